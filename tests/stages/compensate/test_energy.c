// Weights compensated by energy, against the formulas in double.
// ranks: 1 3
#include "io/store/store.h"
#include "stages/compensate/compensate.h"
#include "tests/support/compensated.h"
#include "tests/support/naive.h"
#include "tests/support/naive_energy.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where the found weight should be: no number of the dtype is nearer to the exact one, but for the rounding
// of some 40 operations in double.
static void assert_rounded(const float *found, const double *exact, size_t n, int digits)
{
    for (size_t k = 0; k < n; k++) {
        int exponent;
        frexp((double)found[k], &exponent);
        assert_close((double)found[k], exact[k], ldexp(0.5, exponent - digits) * (1 + 1e-9));
        if (exact[k] == 0)
            assert_true(found[k] == 0 && !signbit(found[k]));
    }
}

static void check_energy(const struct small_model *small, const struct variant *variant, const char *linear,
                         const float *updated, int digits)
{
    struct small_matrix dense = small_dense_weight(small, 0, linear);
    struct small_matrix found = small_pruned_weight(small, variant, 0, linear);
    uint8_t *mask = small_mask(small, variant, 0, linear);
    struct energy_case c = {.out = dense.out,
                            .in = dense.in,
                            .dense = dense.values,
                            .updated = updated != NULL ? updated : dense.values,
                            .mask = mask};
    const struct {
        const char *name;
        const double *expected;
        size_t length;
        bool present;
    } vectors[] = {{"energy_before", NULL, dense.out, true},
                   {"energy_pruned", NULL, dense.out, true},
                   {"energy_compensated", NULL, dense.out, true},
                   {"row_gamma", NULL, dense.out, variant->energy_rows},
                   {"column_gamma", NULL, dense.in, variant->energy_columns}};

    naive_energy(&c, variant);
    const double *const expected[] = {c.before, c.pruned_energy, c.compensated, c.row_gamma, c.column_gamma};
    assert_rounded(found.values, c.weight, dense.out * dense.in, digits);
    for (size_t k = 0; k < 5; k++) {
        assert_int_equal(weights_file_has(small, variant, 0, linear, vectors[k].name), vectors[k].present);
        if (!vectors[k].present)
            continue;
        double *values = weights_file_vector(small, variant, 0, linear, vectors[k].name, vectors[k].length),
               total = 0;
        assert_vector(values, expected[k], vectors[k].length, 1e-12); // sums of up to 36 terms in double
        for (size_t i = 0; i < vectors[k].length; i++)
            total += expected[k][i];
        if (k < 3)
            assert_close(weights_file_number(small, variant, 0, linear, vectors[k].name), total,
                         1e-12 * total);
        free(values);
    }
    energy_case_free(&c);
    free(mask);
    free(dense.values);
    free(found.values);
}

static struct variant *add_energy(struct small_model *small, const char *name, bool columns, bool rows)
{
    struct variant *variant = small_model_add(small, name, METHOD_MAGNITUDE);
    variant->energy_columns = columns;
    variant->energy_rows = rows;
    return variant;
}

static void energy_comes_back_column_by_column_then_row_by_row(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.dtype = DTYPE_F32;
    small_model_open(&small, &shape);
    add_energy(&small, "none", false, false);
    add_energy(&small, "columns", true, false);
    add_energy(&small, "rows", false, true);
    add_energy(&small, "both", true, true);
    struct variant *clamped = add_energy(&small, "clamped", true, true);
    clamped->clamp = (struct energy_clamp){.low = 1.02, .high = 1.05, .epsilon = 0.01};
    for (size_t k = 0; k < small.settings.num_variants; k++) {
        prune_one(&small, &small.variants[k], 0);
        compensate_one(&small, &small.variants[k], 0);
        check_energy(&small, &small.variants[k], "self_attn.k_proj", NULL, 24);
        check_energy(&small, &small.variants[k], "mlp.up_proj", NULL, 24);
        check_energy(&small, &small.variants[k], "mlp.down_proj", NULL, 24);
    }
    small_model_close(&small);
}

static void weights_are_rounded_once_to_the_dtype_of_the_model(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    for (int k = 0; k < 2; k++) {
        shape.checkpoint.dtype = k == 0 ? DTYPE_BF16 : DTYPE_F16;
        small_model_open(&small, &shape);
        const struct variant *both = add_energy(&small, "both", true, true);
        prune_one(&small, both, 0);
        compensate_one(&small, both, 0);
        check_energy(&small, both, "mlp.down_proj", NULL, k == 0 ? 8 : 11);
        small_model_close(&small);
    }
}

static void sparsegpts_corrected_weights_are_what_is_compensated(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.dtype = DTYPE_F32;
    shape.sequences = 20; // 240 tokens for 36 columns
    small_model_open(&small, &shape);
    struct variant *variants[] = {small_model_add(&small, "columns-rows", METHOD_SPARSEGPT),
                                  small_model_add(&small, "rows", METHOD_SPARSEGPT)};
    variants[0]->energy_columns = true;
    small_model_calibrate(&small, true);
    for (size_t v = 0; v < 2; v++) {
        variants[v]->energy_rows = true;
        prune_one(&small, variants[v], 0);
        compensate_one(&small, variants[v], 0);
        struct store_reader *reader = open_layer_file(&small, variants[v], RUN_MASKS, 0);
        float update[20 * 36];
        assert_ok(store_read(reader, "/mlp.down_proj/update", STORE_F32, 0, 20, update, &err), err);
        store_close(reader);
        check_energy(&small, variants[v], "mlp.down_proj", update, 24);
    }
    small_model_close(&small);
}

static void a_weight_beyond_the_dtype_is_refused(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.dtype = DTYPE_F16;
    small_model_open(&small, &shape);
    struct variant *variant = add_energy(&small, "beyond", false, true);
    variant->clamp = (struct energy_clamp){.low = 1e9, .high = 1e10, .epsilon = 1e-8};
    prune_one(&small, variant, 0);
    assert_int_equal(compensate_layer(&small.stage, &small.weights, variant, 0, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "layers.0.self_attn.q_proj: weight [0, ");
    assert_error(err, STATUS_FAILED, "F16 cannot hold: narrow compensate.clamp");
    char *path = small_path(&small, RUN_WEIGHTS, "beyond", 0);
    assert_false(store_exists(path));
    free(path);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(energy_comes_back_column_by_column_then_row_by_row),
        mpi_unit_test(weights_are_rounded_once_to_the_dtype_of_the_model),
        mpi_unit_test(sparsegpts_corrected_weights_are_what_is_compensated),
        mpi_unit_test(a_weight_beyond_the_dtype_is_refused),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
