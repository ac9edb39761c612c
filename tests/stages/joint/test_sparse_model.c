// A model that is sparse before it is pruned: whatever the method, its zeros are pruned, in masks and in
// weights, and beside them only as many weights as the sparsity asks for beyond.
// ranks: 1 3
#include "stages/joint/joint.h"
#include "stages/prune/prune.h"
#include "tests/support/small_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct small_model_shape sparse_shape(double zeros)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.hidden = 32;
    shape.checkpoint.heads = 4;
    shape.checkpoint.kv_heads = 2;
    shape.checkpoint.intermediate = 72;
    shape.checkpoint.zeros = zeros;
    shape.sequences = 16;
    return shape;
}

// Of a run of weights that is pruned by itself: the zeros, or as many as are asked for.
static size_t pruned_of(size_t zeros, size_t asked)
{
    return zeros > asked ? zeros : asked;
}

static void check_linear(const struct small_model *small, const struct variant *variant, const char *linear)
{
    const bool is_joint = variant->output == MATCHING_LEAST_SQUARES;
    const bool changes = is_joint || variant->method == METHOD_SPARSEGPT;
    struct small_matrix dense = small_dense_weight(small, 0, linear), written = {0};
    uint8_t *mask = small_mask(small, variant, 0, linear);
    const size_t in = dense.in, all = dense.out * in;
    const size_t run = variant->is_pattern ? variant->of : variant->group == GROUP_LAYER ? all : in;
    const size_t asked =
        variant->is_pattern ? variant->of - variant->keep : (size_t)floor((double)run * variant->sparsity);
    size_t of_all = 0;

    if (changes)
        written = small_update(small, variant, 0, linear);
    for (size_t first = 0; first < all; first += run) {
        size_t zeros = 0, pruned = 0;
        for (size_t k = first; k < first + run; k++) {
            zeros += dense.values[k] == 0;
            pruned += mask[k] == 0;
            assert_true(dense.values[k] != 0 || mask[k] == 0);
            assert_true(!changes || mask[k] != 0 || written.values[k] == 0);
        }
        // sparsegpt looks for the smallest in blocks of columns of all rows.
        if ((variant->method != METHOD_SPARSEGPT || variant->is_pattern) && !variant->permute)
            assert_int_equal(pruned, pruned_of(zeros, asked));
        of_all += pruned;
    }
    assert_true(of_all >=
                (size_t)((double)all * (variant->is_pattern ? 0.5 : variant->sparsity)) - dense.out);
    free(mask);
    free(dense.values);
    free(written.values);
}

static void check_layer(const struct small_model *small, const struct variant *variant)
{
    static const char *const linears[] = {"self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj",
                                          "mlp.down_proj"};
    for (size_t l = 0; l < sizeof linears / sizeof *linears; l++)
        check_linear(small, variant, linears[l]);
}

static void add_all(struct small_model *small, double sparsity)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_CVR, METHOD_SPARSEGPT, METHOD_ALPS,
                                          METHOD_ADMM};
    static const char *const kinds[] = {"row", "layer", "pattern", "ordered"};
    static char names[20][32];

    for (size_t m = 0; m < 5; m++)
        for (size_t k = 0; k < 4; k++) {
            char *name = names[4 * m + k];
            if ((methods[m] == METHOD_SPARSEGPT && k == 1) ||
                (k == 3 && methods[m] != METHOD_SPARSEGPT && methods[m] != METHOD_ALPS))
                continue;
            snprintf(name, sizeof names[0], "%s-%s", method_name(methods[m]), kinds[k]);
            struct variant *variant = small_model_add(small, name, methods[m]);
            variant->sparsity = sparsity;
            variant->group = k == 1 ? GROUP_LAYER : GROUP_ROW;
            variant->is_pattern = k >= 2;
            variant->permute = k == 3;
            variant->keep = 2;
            variant->of = 4;
            if (methods[m] == METHOD_ALPS || methods[m] == METHOD_ADMM ||
                (methods[m] == METHOD_CVR && k < 2)) {
                variant->output = MATCHING_LEAST_SQUARES;
                variant->drift = method_has_factors(methods[m]) ? DRIFT_CORRECTED : DRIFT_IGNORED;
            }
        }
}

static void check_model(double zeros)
{
    const struct small_model_shape shape = sparse_shape(zeros);
    struct small_model small;
    struct error err = {0};

    small_model_open(&small, &shape);
    add_all(&small, 0.5);
    small_model_calibrate(&small, true);
    for (size_t v = 0; v < small.settings.num_variants; v++) {
        const struct variant *variant = &small.variants[v];
        if (variant->output == MATCHING_LEAST_SQUARES)
            assert_ok(joint_layer(&small.stage, &small.weights, variant, 0, &err), err);
        else
            assert_ok(prune_layer(&small.stage, &small.weights, &variant, 1, 0, &err), err);
        check_layer(&small, variant);
    }
    small_model_close(&small);
}

static void more_zeros_than_are_asked_for_stay(void **state)
{
    (void)state;
    check_model(0.6);
}

static void fewer_zeros_count_among_those_that_are_asked_for(void **state)
{
    (void)state;
    check_model(0.3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {mpi_unit_test(more_zeros_than_are_asked_for_stay),
                                       mpi_unit_test(fewer_zeros_count_among_those_that_are_asked_for)};
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
