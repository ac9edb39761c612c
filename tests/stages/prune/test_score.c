// Masks by first-order importance against scores in double and sorting, to the bit.
// ranks: 1 3
#include "stages/layer/few_tokens.h"
#include "stages/prune/prune.h"
#include "stages/prune/score.h"
#include "tests/support/naive_masks.h"

#include <stdlib.h>
#include <string.h>

static const char *const linears[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                      "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                      "mlp.down_proj"};
enum { LINEARS = sizeof linears / sizeof linears[0] };
static const enum method methods[] = {METHOD_MAGNITUDE, METHOD_WANDA, METHOD_RIA, METHOD_CVR};
enum { METHODS = sizeof methods / sizeof methods[0] };

// A small model, calibrated.
static void open_calibrated(struct small_model *small, const struct small_model_shape *shape)
{
    small_model_open(small, shape);
    small_model_calibrate(small, false);
}

// Prunes one layer for all variants of the model, which share their scores.
static void score_together(struct small_model *small, size_t layer)
{
    const struct variant *variants[SCORE_BATCH];
    struct error err = {0};

    for (size_t k = 0; k < small->settings.num_variants; k++)
        variants[k] = &small->variants[k];
    assert_ok(layer_weights_load(&small->weights, &small->stage, layer, NULL, &err), err);
    assert_ok(
        score_layer(&small->stage, &small->weights, variants, small->settings.num_variants, layer, &err),
        err);
}

static void assert_naive_masks(const struct small_model *small, size_t layer)
{
    for (size_t k = 0; k < small->settings.num_variants; k++)
        for (size_t i = 0; i < LINEARS; i++)
            assert_naive_mask(small, &small->variants[k], layer, linears[i], small->variants[k].sparsity);
}

static void every_method_prunes_the_smallest_scores_of_every_row(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    open_calibrated(&small, &shape);
    for (size_t m = 0; m < METHODS; m++) {
        small.settings.num_variants = 0;
        small_model_add(&small, "half", methods[m]);
        small_model_add(&small, "more", methods[m])->sparsity = 0.83;
        score_together(&small, 1);
        assert_naive_masks(&small, 1);
    }
    small_model_close(&small);
}

static void every_method_prunes_the_smallest_scores_of_the_matrix(void **state)
{
    const double sparsities[] = {0.31, 0.5, 0.52, 0.9}; // bfloat16 weights have equals at any threshold
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    char name[16];
    (void)state;

    open_calibrated(&small, &shape);
    for (size_t m = 0; m < METHODS; m++) {
        small.settings.num_variants = 0;
        for (size_t k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "%g", sparsities[k]);
            struct variant *variant = small_model_add(&small, name, methods[m]);
            variant->sparsity = sparsities[k];
            variant->group = GROUP_LAYER;
        }
        score_together(&small, 0);
        assert_naive_masks(&small, 0);
    }
    small_model_close(&small);
}

// Every weight 1/16: all scores of magnitude are equal, and the lowest indices of the matrix go first,
// whichever rank has them.
static void of_equal_scores_the_first_of_the_matrix_are_pruned(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "equal", METHOD_MAGNITUDE);
    const struct variant *variants[] = {variant};
    variant->group = GROUP_LAYER;
    variant->sparsity = 0.55;
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err);
    if (small.team.node_rank == 0)
        for (size_t k = 0; k < small.weights.map.block_size; k++)
            ((float *)small.weights.memory.data)[k] = 0.0625F;
    shared_block_sync(&small.weights.memory, &small.team);
    assert_ok(score_layer(&small.stage, &small.weights, variants, 1, 0, &err), err);
    uint8_t *mask = small_mask(&small, variant, 0, "mlp.gate_proj");
    for (size_t k = 0; k < 36 * 20; k++)
        assert_int_equal(mask[k], k >= 396); // 36 * 20 * 0.55
    free(mask);
    small_model_close(&small);
}

static void patterns_keep_the_largest_scores_of_every_group(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    open_calibrated(&small, &shape);
    for (size_t m = 0; m < METHODS; m++) {
        small.settings.num_variants = 0;
        for (size_t keep = 1; keep <= 3; keep++) {
            struct variant *variant = small_model_add(&small,
                                                      keep == 1   ? "1"
                                                      : keep == 2 ? "2"
                                                                  : "3",
                                                      methods[m]);
            small_set_pattern(variant, keep, 4);
            variant->group = keep == 3 ? GROUP_LAYER : GROUP_ROW; // means nothing with a pattern
        }
        score_together(&small, 1);
        assert_naive_masks(&small, 1);
    }
    small_model_close(&small);
}

static void parameters_of_the_job_change_the_scores(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    open_calibrated(&small, &shape);
    for (size_t m = 1; m < METHODS; m++) {
        small.settings.num_variants = 0;
        struct variant *variant = small_model_add(&small, "own", methods[m]);
        variant->parameters = (struct importance_parameters){.alpha = 0.7, .epsilon = 0.01, .exponent = 0.8};
        score_together(&small, 0);
        assert_naive_masks(&small, 0);
    }
    small_model_close(&small);
}

// Rows, matrices and patterns at once, and two variants with the same cut.
static void variants_scored_together_get_the_bytes_that_each_gets_alone(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    small_model_open(&small, &shape);
    small_model_add(&small, "rows", METHOD_RIA);
    small_model_add(&small, "matrix", METHOD_RIA)->group = GROUP_LAYER;
    small_model_add(&small, "again", METHOD_RIA);
    struct variant *pattern = small_model_add(&small, "pattern", METHOD_RIA);
    small_set_pattern(pattern, 2, 4);
    small_model_add(&small, "most", METHOD_RIA)->sparsity = 0.9;
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, false);
    small_model_calibrate(&alone, false);
    score_together(&small, 0);
    for (size_t k = 0; k < small.settings.num_variants; k++) {
        const struct variant *variants[] = {&alone.variants[k]};
        struct error err = {0};
        // Each rank by itself, too: the bytes do not depend on the number of ranks.
        assert_ok(layer_weights_load(&alone.weights, &alone.stage, 0, NULL, &err), err);
        assert_ok(score_layer(&alone.stage, &alone.weights, variants, 1, 0, &err), err);
        char *path = small_path(&small, RUN_MASKS, small.variants[k].name, 0);
        char *other = small_path(&alone, RUN_MASKS, small.variants[k].name, 0);
        assert_same_file(path, other);
        free(path);
        free(other);
    }
    small_model_close(&alone);
    small_model_close(&small);
}

static void ratios_and_skipped_linears_are_taken_at_their_word(void **state)
{
    struct ratio ratios[] = {{.pattern = (char *)"self_attn.*", .sparsity = 0.25},
                             {.pattern = (char *)"layers.1.self_attn.o_proj", .sparsity = 1},
                             {.pattern = (char *)"mlp.up_proj", .sparsity = 0}};
    struct skip skip[] = {{(char *)"mlp.down_proj", 0}};
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct store_reader *reader;
    struct error err = {0};
    bool is_there;
    (void)state;

    open_calibrated(&small, &shape);
    small.settings.ratios = ratios;
    small.settings.num_ratios = 3;
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    struct variant *variant = small_model_add(&small, "ratios", METHOD_WANDA);
    score_together(&small, 1);
    assert_naive_mask(&small, variant, 1, "self_attn.q_proj", 0.25);
    assert_naive_mask(&small, variant, 1, "self_attn.o_proj", 1);
    assert_naive_mask(&small, variant, 1, "mlp.up_proj", 0);
    assert_naive_mask(&small, variant, 1, "mlp.gate_proj", 0.5);
    char *path = small_path(&small, RUN_MASKS, "ratios", 1);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_find(reader, "/mlp.down_proj/mask", &is_there, &err), err);
    assert_false(is_there);
    store_close(reader);
    free(path);
    small_model_close(&small);
}

// ---- experts ---------------------------------------------------------------------------------------------

static void check_expert(const struct small_model *small, const struct variant *variant, const char *linear)
{
    const struct small_matrix weight = small_dense_weight(small, 0, linear);
    struct small_statistics statistics;
    struct store_reader *reader;
    struct error err = {0};
    char object[80], *fallback;
    uint64_t tokens;

    small_statistics_read(&statistics, small, "dense", 0, linear);
    const bool few = statistics.count < FEWEST_EXPERT_TOKENS;
    double *scores = naive_scores(small, variant, 0, linear, few);
    uint8_t *expected = naive_mask(scores, &weight, variant, variant->sparsity);
    uint8_t *found = small_mask(small, variant, 0, linear);
    assert_memory_equal(found, expected, weight.out * weight.in);

    char *path = small_path(small, RUN_MASKS, variant->name, 0);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    snprintf(object, sizeof object, "/%s/mask", linear);
    assert_ok(store_read_attribute_u64(reader, object, "tokens", &tokens, &err), err);
    assert_int_equal(tokens, statistics.count);
    assert_ok(store_read_attribute_string(reader, object, "fallback", &fallback, &err), err);
    assert_string_equal(fallback, few ? "weights" : "none");
    free(fallback);
    store_close(reader);
    free(path);
    small_statistics_free(&statistics);
    free(weight.values);
    free(scores);
    free(expected);
    free(found);
}

static void experts_that_saw_too_few_tokens_are_pruned_by_their_weights(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    size_t few = 0;
    char linear[64];
    (void)state;

    shape.checkpoint.experts = 5; // the last one gets no token
    shape.sequences = 20;         // 480 pairs of token and expert over the others
    open_calibrated(&small, &shape);
    for (size_t m = 1; m < METHODS; m++) {
        small.settings.num_variants = 0;
        struct variant *variant = small_model_add(&small, "experts", methods[m]);
        score_together(&small, 0);
        for (size_t e = 0; e < shape.checkpoint.experts; e++) {
            struct small_statistics statistics;
            snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.w2", e);
            check_expert(&small, variant, linear);
            small_statistics_read(&statistics, &small, "dense", 0, linear);
            few += statistics.count < FEWEST_EXPERT_TOKENS;
            small_statistics_free(&statistics);
        }
        assert_naive_mask(&small, variant, 0, "self_attn.q_proj", 0.5);
    }
    assert_in_range(few, METHODS - 1,
                    (METHODS - 1) * (shape.checkpoint.experts - 1)); // both kinds were there
    small_model_close(&small);
}

// ---- the dispatch, and what is refused -------------------------------------------------------------------

static bool has_object(const struct small_model *small, const struct variant *variant, const char *object)
{
    struct store_reader *reader;
    struct error err = {0};
    bool is_there;
    char *path = small_path(small, RUN_MASKS, variant->name, 0);

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_find(reader, object, &is_there, &err), err);
    store_close(reader);
    free(path);
    return is_there;
}

static void each_method_goes_its_own_way(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    char *choice;
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *wanda[] = {small_model_add(&small, "wanda", METHOD_WANDA)};
    const struct variant *second[] = {small_model_add(&small, "second", METHOD_SPARSEGPT)};
    const struct variant *chosen[] = {small_model_add(&small, "auto-1", METHOD_AUTO),
                                      small_model_add(&small, "auto-2", METHOD_AUTO)};
    small_model_calibrate(&small, true);
    assert_ok(prune_layer(&small.stage, &small.weights, wanda, 1, 0, &err), err);
    assert_ok(prune_layer(&small.stage, &small.weights, second, 1, 0, &err), err);
    assert_ok(prune_layer(&small.stage, &small.weights, chosen, 2, 0, &err), err);
    assert_naive_mask(&small, wanda[0], 0, "mlp.down_proj", 0.5);
    assert_false(has_object(&small, wanda[0], "/mlp.down_proj/update"));
    assert_true(has_object(&small, second[0], "/mlp.down_proj/update"));
    for (size_t k = 0; k < 2; k++) {
        struct store_reader *reader;
        char *path = small_path(&small, RUN_MASKS, chosen[k]->name, 0);
        assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
        assert_ok(store_read_attribute_string(reader, "/mlp.down_proj/mask", "measured", &choice, &err), err);
        assert_string_equal(choice, "layer");
        free(choice);
        store_close(reader);
        free(path);
    }
    small_model_close(&small);
}

static void a_pattern_that_does_not_divide_a_pruned_linear_is_refused(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct skip skip[] = {{(char *)"mlp.down_proj", 0}};
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "pattern", METHOD_WANDA);
    small_set_pattern(variant, 2, 4);
    assert_ok(prune_check(small.model, &small.settings, &err), err);
    variant->of = 5; // divides the hidden size of 20, not the 36 columns of down_proj
    assert_int_equal(prune_check(small.model, &small.settings, &err), STATUS_USAGE);
    assert_error(err, STATUS_USAGE,
                 "pattern 2:5: layers.0.mlp.down_proj has 36 columns, which 5 does not divide");
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    err = (struct error){0};
    assert_ok(prune_check(small.model, &small.settings, &err), err);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(every_method_prunes_the_smallest_scores_of_every_row),
        mpi_unit_test(every_method_prunes_the_smallest_scores_of_the_matrix),
        mpi_unit_test(of_equal_scores_the_first_of_the_matrix_are_pruned),
        mpi_unit_test(patterns_keep_the_largest_scores_of_every_group),
        mpi_unit_test(parameters_of_the_job_change_the_scores),
        mpi_unit_test(variants_scored_together_get_the_bytes_that_each_gets_alone),
        mpi_unit_test(ratios_and_skipped_linears_are_taken_at_their_word),
        mpi_unit_test(experts_that_saw_too_few_tokens_are_pruned_by_their_weights),
        mpi_unit_test(each_method_goes_its_own_way),
        mpi_unit_test(a_pattern_that_does_not_divide_a_pruned_linear_is_refused),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
