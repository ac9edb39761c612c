// Patterns in an order of channels: masks against sorting the reordered scores, the kept sums against plain
// loops, sparsegpt against itself on a layer whose channels stand in that order from the start, and the same
// bytes on any number of ranks.
// ranks: 1 3
#include "stages/joint/joint.h"
#include "stages/prune/linear_order.h"
#include "stages/prune/prune.h"
#include "tests/support/naive.h"
#include "tests/support/naive_masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// head_dim 8; four query heads over two key-value heads.
static struct small_model_shape shape_of_heads(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.hidden = 32;
    shape.checkpoint.heads = 4;
    shape.checkpoint.kv_heads = 2;
    shape.checkpoint.intermediate = 72;
    return shape;
}

static struct variant *add_pattern(struct small_model *small, const char *name, enum method method)
{
    struct variant *variant = small_model_add(small, name, method);
    small_set_pattern(variant, 2, 4);
    variant->permute = true;
    return variant;
}

static void prune(struct small_model *small, size_t first, size_t count)
{
    const struct variant *variants[SCORE_BATCH];
    struct error err = {0};
    for (size_t k = 0; k < count; k++)
        variants[k] = &small->variants[first + k];
    assert_ok(prune_layer(&small->stage, &small->weights, variants, count, 0, &err), err);
}

// An order within each block of `channels`, the same in all `copies` blocks that follow one another.
static void assert_block_order(const uint32_t *columns, size_t in, size_t channels, size_t copies)
{
    bool *seen = calloc(in, 1);
    assert_non_null(seen);
    for (size_t k = 0; k < in; k++) {
        assert_int_equal(columns[k] / channels, k / channels);
        assert_false(seen[columns[k]]);
        seen[columns[k]] = true;
        if (k / channels % copies != 0)
            assert_int_equal(columns[k], columns[k - channels] + channels);
    }
    free(seen);
}

static double kept_by(const uint8_t *mask, const double *scores, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += mask[k] ? scores[k] : 0;
    return sum;
}

// values[rows, in] with columns in the order; the caller frees.
static double *moved(const double *values, const uint32_t *columns, size_t rows, size_t in)
{
    double *result = malloc(rows * in * sizeof *result);
    assert_non_null(result);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < in; k++)
            result[i * in + k] = values[i * in + columns[k]];
    return result;
}

// The mask of the linear is that of the naive oracle in the file's order, which keeps more than the model's.
static void check_ordered(const struct small_model *small, const struct variant *variant, const char *linear,
                          size_t channels, size_t copies)
{
    const struct small_matrix weight = small_dense_weight(small, 0, linear);
    const size_t n = weight.out * weight.in;
    const struct small_order order = small_order(small, variant, 0, linear, weight.in);
    double *scores = naive_scores(small, variant, 0, linear, false);
    uint8_t *found = small_mask(small, variant, 0, linear);

    assert_non_null(order.columns);
    assert_block_order(order.columns, weight.in, channels, copies);
    double *reordered = moved(scores, order.columns, weight.out, weight.in);
    uint8_t *expected = naive_mask(reordered, &weight, variant, 0),
            *plain = naive_mask(scores, &weight, variant, 0);
    for (size_t k = 0; k < n; k++)
        assert_int_equal(found[k / weight.in * weight.in + order.columns[k % weight.in]], expected[k]);
    // Scores are float32, the oracle's are doubles.
    assert_close(order.kept_before, kept_by(plain, scores, n), 1e-6 * order.kept_before);
    assert_close(order.kept_after, kept_by(expected, reordered, n), 1e-6 * order.kept_before);
    assert_true(order.kept_after > order.kept_before);
    free(order.columns);
    free(scores);
    free(reordered);
    free(found);
    free(expected);
    free(plain);
    free(weight.values);
}

static void groups_are_taken_in_an_order_that_keeps_more(void **state)
{
    const struct small_model_shape shape = shape_of_heads();
    struct small_model small;
    (void)state;

    // Given a pattern with an order and the same without, which share their scores, and one of another size
    small_model_open(&small, &shape);
    const struct variant *two = add_pattern(&small, "two", METHOD_RIA);
    struct variant *plain = add_pattern(&small, "plain", METHOD_RIA),
                   *four = add_pattern(&small, "four", METHOD_RIA);
    plain->permute = false;
    four->keep = 4;
    four->of = 8;
    small_model_calibrate(&small, false);
    prune(&small, 0, 3);

    // Then what reads free channels has the order, the others have not
    check_ordered(&small, two, "mlp.down_proj", 72, 1);
    check_ordered(&small, two, "self_attn.o_proj", 8, 2);
    check_ordered(&small, four, "mlp.down_proj", 72, 1);
    assert_naive_mask(&small, two, 0, "mlp.up_proj", 0);
    assert_naive_mask(&small, two, 0, "self_attn.v_proj", 0);
    assert_null(small_order(&small, two, 0, "mlp.up_proj", 32).columns);
    assert_naive_mask(&small, plain, 0, "mlp.down_proj", 0);
    assert_null(small_order(&small, plain, 0, "mlp.down_proj", 72).columns);
    assert_int_equal(small.num_notices, 0);
    small_model_close(&small);
}

static void heads_that_cannot_be_cut_into_groups_keep_their_order_and_it_is_said(void **state)
{
    const struct small_model_shape shape = shape_of_heads();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape); // 32 columns, heads of 8
    struct variant *variant = add_pattern(&small, "wide", METHOD_MAGNITUDE);
    variant->keep = 3;
    variant->of = 16;
    struct skip skip[] = {{(char *)"mlp.*", 0}};
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    assert_int_equal(prune_check(small.model, &small.settings, &err), STATUS_USAGE);
    assert_error(err, STATUS_USAGE,
                 "prune.permute: no linear that is pruned has columns whose order is free");
    variant->of = 8;
    assert_ok(prune_check(small.model, &small.settings, &err), err);
    small_model_close(&small);

    struct small_model_shape wider = shape_of_heads();
    wider.checkpoint.hidden = 48; // heads of 12
    small_model_open(&small, &wider);
    variant = add_pattern(&small, "wide", METHOD_MAGNITUDE);
    variant->of = 8;
    assert_ok(prune_check(small.model, &small.settings, &err), err);
    prune(&small, 0, 1);
    assert_null(small_order(&small, variant, 0, "self_attn.o_proj", 48).columns);
    assert_naive_mask(&small, variant, 0, "self_attn.o_proj", 0);
    check_ordered(&small, variant, "mlp.down_proj", 72, 1);
    assert_int_equal(small.num_notices, 1);
    assert_non_null(strstr(small.notice, "self_attn.o_proj keeps its order: 8 does not divide the 12"));
    small_model_close(&small);
}

static void experts_have_an_order_each(void **state)
{
    struct small_model_shape shape = shape_of_heads();
    struct small_model small;
    (void)state;

    shape.checkpoint.experts = 3;
    small_model_open(&small, &shape);
    const struct variant *variant = add_pattern(&small, "two", METHOD_MAGNITUDE);
    prune(&small, 0, 1);
    check_ordered(&small, variant, "block_sparse_moe.experts.0.w2", 72, 1);
    check_ordered(&small, variant, "block_sparse_moe.experts.2.w2", 72, 1);
    assert_naive_mask(&small, variant, 0, "block_sparse_moe.experts.1.w3", 0);
    small_model_close(&small);
}

static void the_bytes_depend_neither_on_ranks_nor_on_company(void **state)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_WANDA, METHOD_SPARSEGPT, METHOD_SPARSEGPT,
                                          METHOD_AUTO};
    const struct small_model_shape shape = shape_of_heads();
    struct small_model small, alone;
    (void)state;

    small_model_open(&small, &shape);
    for (size_t k = 0; k < 5; k++) {
        const char name[2] = {(char)('a' + k), '\0'};
        add_pattern(&small, name, methods[k])->permute = k != 1 && k != 3;
    }
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, true);
    small_model_calibrate(&alone, true);
    prune(&small, 0, 2);
    prune(&small, 2, 2);
    prune(&small, 4, 1);
    for (size_t k = 0; k < 5; k++) {
        prune(&alone, k, 1);
        char *path = small_path(&small, RUN_MASKS, small.variants[k].name, 0);
        char *other = small_path(&alone, RUN_MASKS, small.variants[k].name, 0);
        assert_same_file(path, other);
        free(path);
        free(other);
    }
    small_model_close(&alone);
    small_model_close(&small);
}

// Of each `of` columns in the order `keep` are kept, in every row.
static void assert_pattern(const struct small_model *small, const struct variant *variant, const char *linear,
                           const struct small_order *order)
{
    const struct small_matrix weight = small_dense_weight(small, 0, linear);
    uint8_t *mask = small_mask(small, variant, 0, linear);

    for (size_t i = 0; i < weight.out; i++)
        for (size_t first = 0; first < weight.in; first += variant->of) {
            size_t kept = 0;
            for (size_t k = first; k < first + variant->of; k++)
                kept += mask[i * weight.in + order->columns[k]];
            assert_int_equal(kept, variant->keep);
        }
    free(mask);
    free(weight.values);
}

static void masks_made_together_with_weights_have_an_order_too(void **state)
{
    const struct small_model_shape shape = shape_of_heads();
    struct small_model small, alone;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = add_pattern(&small, "joint", METHOD_WANDA);
    variant->output = MATCHING_LEAST_SQUARES;
    variant->drift = DRIFT_CORRECTED;
    small_model_open_alone(&alone, &small);
    assert_ok(joint_layer(&small.stage, &small.weights, variant, 0, &err), err);
    assert_ok(joint_layer(&alone.stage, &alone.weights, &alone.variants[0], 0, &err), err);
    const struct small_order down = small_order(&small, variant, 0, "mlp.down_proj", 72);
    const struct small_order attention = small_order(&small, variant, 0, "self_attn.o_proj", 32);
    assert_block_order(down.columns, 72, 72, 1);
    assert_block_order(attention.columns, 32, 8, 2);
    assert_pattern(&small, variant, "mlp.down_proj", &down);
    assert_pattern(&small, variant, "self_attn.o_proj", &attention);
    char *path = small_path(&small, RUN_MASKS, "joint", 0),
         *other = small_path(&alone, RUN_MASKS, "joint", 0);
    assert_same_file(path, other);
    free(path);
    free(other);
    free(down.columns);
    free(attention.columns);
    small_model_close(&alone);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(groups_are_taken_in_an_order_that_keeps_more),
        mpi_unit_test(heads_that_cannot_be_cut_into_groups_keep_their_order_and_it_is_said),
        mpi_unit_test(experts_have_an_order_each),
        mpi_unit_test(masks_made_together_with_weights_have_an_order_too),
        mpi_unit_test(the_bytes_depend_neither_on_ranks_nor_on_company),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
