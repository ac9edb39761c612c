// Least squares towards the dense model's outputs, against normal equations that are gathered and solved in
// plain loops.
// ranks: 1 3
#include "kernels/pruning/solving/least_squares.h"
#include "stages/compensate/compensate.h"
#include "stages/layer/calibrate.h"
#include "stages/prune/prune.h"
#include "tests/support/compensated.h"
#include "tests/support/naive_least_squares.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_layer(const struct small_model *small, const struct variant *variant, size_t layer,
                        size_t sequences)
{
    struct naive_streams streams;

    naive_streams_open(&streams, small, variant, layer, RUN_WEIGHTS);
    for (size_t g = 0; g < 4; g++) {
        for (size_t i = 0; naive_groups[g][i][0] != '\0'; i++)
            assert_solved(&streams, naive_groups[g][i], sequences, false);
        naive_streams_finish(&streams, naive_groups[g]);
    }
    naive_streams_close(&streams);
}

// ---- the program -----------------------------------------------------------------------------------------

static struct variant *add_solving(struct small_model *small, const char *name, enum method method)
{
    struct variant *variant = small_model_add(small, name, method);
    variant->output = MATCHING_LEAST_SQUARES;
    return variant;
}

static void prune_and_solve(struct small_model *small, const struct variant *variant, size_t layer)
{
    prune_one(small, variant, layer);
    compensate_one(small, variant, layer);
}

static struct small_model_shape solved_shape(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.dtype = DTYPE_F32;
    shape.sequences = 16;
    return shape;
}

static void kept_weights_are_the_least_squares_solution(void **state)
{
    const struct small_model_shape shape = solved_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, true);
    const struct variant *half = add_solving(&small, "half", METHOD_WANDA);
    struct variant *pattern = add_solving(&small, "pattern", METHOD_MAGNITUDE);
    small_set_pattern(pattern, 2, 4);
    struct variant *all = add_solving(&small, "all", METHOD_WANDA),
                   *none = add_solving(&small, "none", METHOD_RIA);
    all->sparsity = 0;
    none->sparsity = 1;
    const struct variant *second_order = add_solving(&small, "second-order", METHOD_SPARSEGPT);
    const struct variant *const variants[] = {half, pattern, all, none, second_order};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        prune_and_solve(&small, variants[v], 1);
        check_layer(&small, variants[v], 1, shape.sequences);
    }
    assert_int_equal(weights_file_count(&small, half, 1, "mlp.down_proj", "solution_kept"), 1);
    assert_int_equal(weights_file_count(&small, half, 1, "mlp.down_proj", "solution_tokens"),
                     shape.sequences * shape.length);
    small_model_close(&small);
}

static void the_drift_of_earlier_layers_is_made_good(void **state)
{
    const struct small_model_shape shape = solved_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    const struct variant *variant = add_solving(&small, "half", METHOD_MAGNITUDE);
    small.settings.propagation = PROPAGATION_PRUNED;
    prune_and_solve(&small, variant, 0);
    assert_ok(propagate_layer(&small.stage, &small.weights, "half", 0, variant, &err), err);
    prune_and_solve(&small, variant, 1);
    check_layer(&small, variant, 1, shape.sequences);
    small_model_close(&small);
}

// An expert that 16 x 12 tokens suffice for: fewer than 128 reach those of five, more those of two.
static void experts_are_solved_from_their_own_tokens(void **state)
{
    static const char *const names[] = {"w1", "w3", "w2"};
    struct small_model_shape shape = solved_shape();
    struct small_model small;
    struct naive_streams streams;
    char linear[64];
    (void)state;

    shape.checkpoint.experts = 2;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    const struct variant *variant = add_solving(&small, "experts", METHOD_MAGNITUDE);
    prune_and_solve(&small, variant, 1);
    naive_streams_open(&streams, &small, variant, 1, RUN_WEIGHTS);
    naive_streams_finish(&streams, naive_groups[0]);
    naive_streams_finish(&streams, naive_groups[1]);
    for (size_t i = 0; i < 3; i++) {
        for (size_t e = 0; e < 2; e++) {
            snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.%s", e, names[i]);
            assert_int_equal(weights_file_count(&small, variant, 1, linear, "solution_kept"), 1);
            assert_solved(&streams, linear, shape.sequences, true);
        }
        for (size_t e = 0; e < 2 && i == 1; e++) {
            char gate[64], up[64];
            snprintf(gate, sizeof gate, "block_sparse_moe.experts.%zu.w1", e);
            snprintf(up, sizeof up, "block_sparse_moe.experts.%zu.w3", e);
            naive_streams_finish(&streams, (const char *const[]){gate, up, ""});
        }
    }
    naive_streams_close(&streams);
    small_model_close(&small);
}

static void an_expert_with_few_tokens_keeps_its_weights(void **state)
{
    struct small_model_shape shape = solved_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.experts = 5;
    shape.sequences = 5;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    const struct variant *variant = add_solving(&small, "experts", METHOD_MAGNITUDE);
    prune_and_solve(&small, variant, 1);
    const char *const linear = "block_sparse_moe.experts.4.w1"; // gets no token
    struct small_matrix dense = small_dense_weight(&small, 1, linear);
    struct small_matrix found = small_pruned_weight(&small, variant, 1, linear);
    uint8_t *mask = small_mask(&small, variant, 1, linear);
    for (size_t k = 0; k < dense.out * dense.in; k++)
        assert_true(found.values[k] == (mask[k] ? dense.values[k] : 0));
    assert_int_equal(weights_file_count(&small, variant, 1, linear, "solution_kept"), 0);
    assert_int_equal(weights_file_count(&small, variant, 1, linear, "solution_tokens"), 0);
    free(dense.values);
    free(found.values);
    free(mask);
    small_model_close(&small);
}

// 24 tokens are fitted, of which a weight can explain anything; the 24 that are held out tell.
static void the_guard_drops_a_solution_that_overfits(void **state)
{
    struct small_model_shape shape = solved_shape();
    struct small_model small;
    size_t dropped = 0;
    (void)state;

    shape.checkpoint.hidden = 64;
    shape.checkpoint.intermediate = 96;
    shape.sequences = 2;
    shape.length = 24;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    struct variant *variant = add_solving(&small, "guarded", METHOD_WANDA);
    variant->guard = true;
    prune_and_solve(&small, variant, 0);
    for (size_t g = 0; g < 4; g++) {
        const uint64_t kept = weights_file_count(&small, variant, 0, naive_groups[g][0], "solution_kept");
        const double before =
            weights_file_number(&small, variant, 0, naive_groups[g][0], "layer_error_pruned");
        const double after =
            weights_file_number(&small, variant, 0, naive_groups[g][0], "layer_error_compensated");
        assert_true(after <= before);
        assert_true(kept == 1 ||
                    weights_file_count(&small, variant, 0, naive_groups[g][0], "output_kept") == 1 ||
                    after == before);
        dropped += kept == 0;
    }
    assert_true(dropped > 0);
    small_model_close(&small);
}

static void the_bytes_do_not_depend_on_the_ranks(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    shape.checkpoint.hidden = 40;
    shape.checkpoint.intermediate = 300; // three blocks of rows
    small_model_open(&small, &shape);
    struct variant *variant = add_solving(&small, "all", METHOD_WANDA);
    variant->guard = true;
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, false);
    small_model_calibrate(&alone, false);
    prune_and_solve(&small, variant, 0);
    prune_and_solve(&alone, &alone.variants[0], 0);
    char *path = small_path(&small, RUN_WEIGHTS, "all", 0),
         *other = small_path(&alone, RUN_WEIGHTS, "all", 0);
    assert_same_file(path, other);
    free(path);
    free(other);
    small_model_close(&alone);
    small_model_close(&small);
}

static bool count_question(void *context, double fraction)
{
    size_t *asked = context;
    (void)fraction;
    ++*asked;
    return false;
}

// How often a layer asks whether to stop while it is solved.
static size_t questions(size_t intermediate)
{
    struct small_model_shape shape = solved_shape();
    struct small_model small;
    size_t asked = 0;

    shape.checkpoint.intermediate = intermediate;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, true);
    const struct variant *half = add_solving(&small, "half", METHOD_WANDA);
    prune_one(&small, half, 1);
    small.stage.hooks = (struct stage_hooks){.context = &asked, .should_stop = count_question};
    compensate_one(&small, half, 1);
    small_model_close(&small);
    return asked;
}

static void every_step_of_a_block_of_rows_can_stop(void **state)
{
    // gate_proj and up_proj have three blocks more on one rank, and one more on each of three. Each asks
    // before every product.
    const size_t more = mpi_size() == 1 ? 6 : 2;
    (void)state;
    assert_true(questions(3 * 256 + 36) >= questions(36) + more * LEAST_SQUARES_STEPS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(kept_weights_are_the_least_squares_solution),
        mpi_unit_test(the_drift_of_earlier_layers_is_made_good),
        mpi_unit_test(experts_are_solved_from_their_own_tokens),
        mpi_unit_test(an_expert_with_few_tokens_keeps_its_weights),
        mpi_unit_test(the_guard_drops_a_solution_that_overfits),
        mpi_unit_test(every_step_of_a_block_of_rows_can_stop),
        mpi_unit_test(the_bytes_do_not_depend_on_the_ranks),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
