// Least squares towards the dense model's outputs, against normal equations that are gathered and solved in
// plain loops.
// ranks: 1 3
#include "kernels/pruning/select.h"
#include "stages/compensate/compensate.h"
#include "stages/layer/calibrate.h"
#include "stages/prune/prune.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- naively ---------------------------------------------------------------------------------------------

static double *zeros(size_t count)
{
    double *x = calloc(count + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

// x[n] solves a[n, n] x = b by elimination with pivots; overwrites a and b.
static void eliminate(double *x, double *a, double *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            pivot = fabs(a[i * n + k]) > fabs(a[pivot * n + k]) ? i : pivot;
        for (size_t j = 0; j < n; j++) {
            const double swap = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = swap;
        }
        const double swap = b[k];
        b[k] = b[pivot];
        b[pivot] = swap;
        for (size_t i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            b[i] -= factor * b[k];
        }
    }
    for (size_t k = n; k-- > 0;) {
        x[k] = b[k];
        for (size_t j = k + 1; j < n; j++)
            x[k] -= a[k * n + j] * x[j];
        x[k] /= a[k * n + k];
    }
}

// The dense layer, and the same with what is finished, over the sequences that enter each.
struct bench {
    const struct small_model *small;
    const struct variant *variant;
    size_t layer;
    struct naive_pass dense, pruned;
    const char *stream; // that enters the pruned layer
};

static void bench_open(struct bench *bench, const struct small_model *small, const struct variant *variant,
                       size_t layer)
{
    *bench = (struct bench){.small = small, .variant = variant, .layer = layer};
    bench->stream = hidden_stream(&small->settings, variant);
    naive_pass_run(&bench->dense, small, "dense", layer);
    naive_pass_run(&bench->pruned, small, bench->stream, layer);
}

static void bench_close(struct bench *bench)
{
    naive_pass_free(&bench->dense);
    naive_pass_free(&bench->pruned);
}

// The linear as the program wrote it takes its place in the pruned layer.
static void finish(struct bench *bench, const char *linear)
{
    struct small_matrix found = small_pruned_weight(bench->small, bench->variant, bench->layer, linear);
    naive_layer_put(&bench->pruned.layer, linear, found.values);
    free(found.values);
}

// G and C of the linear's inputs over the first `sequences`; an expert's are both of the pruned stream.
static void gather(double *g, double *c, const struct bench *bench, const char *linear, size_t sequences,
                   bool expert)
{
    const size_t at = naive_index_of(&bench->dense.layer, linear), in = bench->dense.layer.linears[at].in;
    for (size_t s = 0; s < sequences; s++) {
        const struct naive_trace *pruned = &bench->pruned.traces[s];
        const struct naive_trace *dense = expert ? pruned : &bench->dense.traces[s];
        for (size_t t = 0; t < pruned->tokens; t++)
            for (size_t j = 0; j < in; j++)
                for (size_t k = 0; k < in; k++) {
                    g[j * in + k] += pruned->inputs[at][t * in + j] * pruned->inputs[at][t * in + k];
                    c[j * in + k] += pruned->inputs[at][t * in + j] * dense->inputs[at][t * in + k];
                }
    }
}

// The row of the exact solution.
static void solve_row(double *row, const double *g, const double *c, double lambda, const double *dense,
                      const uint8_t *mask, size_t in)
{
    double *a = zeros(in * in), *b = zeros(in), *x = zeros(in);
    size_t *kept = calloc(in + 1, sizeof *kept), n = 0;

    assert_non_null(kept);
    for (size_t j = 0; j < in; j++)
        if (mask[j])
            kept[n++] = j;
    for (size_t p = 0; p < n; p++) {
        b[p] = lambda * dense[kept[p]];
        for (size_t k = 0; k < in; k++)
            b[p] += c[kept[p] * in + k] * dense[k];
        for (size_t q = 0; q < n; q++)
            a[p * n + q] = g[kept[p] * in + kept[q]] + (p == q ? lambda : 0);
    }
    eliminate(x, a, b, n);
    for (size_t j = 0; j < in; j++)
        row[j] = 0;
    for (size_t p = 0; p < n; p++)
        row[kept[p]] = x[p];
    free(a);
    free(b);
    free(x);
    free(kept);
}

// (v - w)^T (G + lambda I) (v - w): how much worse a row v fits than the solution w.
static double excess(const double *v, const double *w, const double *g, double lambda, size_t in)
{
    double sum = 0;
    for (size_t j = 0; j < in; j++)
        for (size_t k = 0; k < in; k++)
            sum += (v[j] - w[j]) * (g[j * in + k] + (j == k ? lambda : 0)) * (v[k] - w[k]);
    return sum;
}

// Of all that there is to gain over the weights as pruned, ten steps of conjugate gradients leave at most
// this much. (They come to 1e-9 for most linears here, and to 1e-5 behind attention.)
static const double left_over = 1e-4, rounding = 1e-20;

static void check_solved(const struct bench *bench, const char *linear, size_t sequences, bool expert)
{
    const struct naive_linear *dense = naive_linear_of(&bench->dense.layer, linear);
    const size_t out = dense->out, in = dense->in;
    struct small_matrix found = small_pruned_weight(bench->small, bench->variant, bench->layer, linear);
    uint8_t *mask = small_mask(bench->small, bench->variant, bench->layer, linear);
    double *g = zeros(in * in), *c = zeros(in * in), *exact = zeros(in), *pruned = zeros(in);
    double lambda = 0, left = 0, all = 0;

    gather(g, c, bench, linear, sequences, expert);
    for (size_t j = 0; j < in; j++)
        lambda += 0.01 * g[j * in + j] / (double)in;
    for (size_t i = 0; i < out; i++) {
        double *row = doubles_of(found.values + i * in, in);
        solve_row(exact, g, c, lambda, dense->weight + i * in, mask + i * in, in);
        for (size_t j = 0; j < in; j++) {
            assert_true(mask[i * in + j] || row[j] == 0);
            pruned[j] = mask[i * in + j] ? dense->weight[i * in + j] : 0;
        }
        left += excess(row, exact, g, lambda, in);
        all += excess(pruned, exact, g, lambda, in);
        free(row);
    }
    assert_true(left <= left_over * all + rounding);
    free(g);
    free(c);
    free(exact);
    free(pruned);
    free(mask);
    free(found.values);
}

static const char *const groups[4][4] = {{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", ""},
                                         {"self_attn.o_proj", ""},
                                         {"mlp.gate_proj", "mlp.up_proj", ""},
                                         {"mlp.down_proj", ""}};

static void check_layer(const struct small_model *small, const struct variant *variant, size_t layer,
                        size_t sequences)
{
    struct bench bench;

    bench_open(&bench, small, variant, layer);
    for (size_t g = 0; g < 4; g++) {
        for (size_t i = 0; groups[g][i][0] != '\0'; i++)
            check_solved(&bench, groups[g][i], sequences, false);
        for (size_t i = 0; groups[g][i][0] != '\0'; i++)
            finish(&bench, groups[g][i]);
        naive_pass_again(&bench.pruned, small, bench.stream, layer);
    }
    bench_close(&bench);
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
    struct error err = {0};
    assert_ok(prune_layer(&small->stage, &small->weights, &variant, 1, layer, &err), err);
    assert_ok(compensate_layer(&small->stage, &small->weights, variant, layer, &err), err);
}

static struct small_model_shape solved_shape(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.dtype = DTYPE_F32;
    shape.sequences = 16;
    return shape;
}

static double number_of(const struct small_model *small, const struct variant *variant, size_t layer,
                        const char *linear, const char *attribute)
{
    struct store_reader *reader;
    struct error err = {0};
    char group[128], *path = small_path(small, RUN_WEIGHTS, variant->name, layer);
    double number;

    snprintf(group, sizeof group, "/%s", linear);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_read_attribute_f64(reader, group, attribute, &number, &err), err);
    store_close(reader);
    free(path);
    return number;
}

static uint64_t count_of(const struct small_model *small, const struct variant *variant, size_t layer,
                         const char *linear, const char *attribute)
{
    struct store_reader *reader;
    struct error err = {0};
    char group[128], *path = small_path(small, RUN_WEIGHTS, variant->name, layer);
    uint64_t count;

    snprintf(group, sizeof group, "/%s", linear);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_read_attribute_u64(reader, group, attribute, &count, &err), err);
    store_close(reader);
    free(path);
    return count;
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
    pattern->is_pattern = true;
    pattern->keep = 2;
    pattern->of = 4;
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
    assert_int_equal(count_of(&small, half, 1, "mlp.down_proj", "solution_kept"), 1);
    assert_int_equal(count_of(&small, half, 1, "mlp.down_proj", "solution_tokens"),
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
    struct bench bench;
    char linear[64];
    (void)state;

    shape.checkpoint.experts = 2;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    const struct variant *variant = add_solving(&small, "experts", METHOD_MAGNITUDE);
    prune_and_solve(&small, variant, 1);
    bench_open(&bench, &small, variant, 1);
    for (size_t g = 0; g < 2; g++)
        for (size_t i = 0; groups[g][i][0] != '\0'; i++)
            finish(&bench, groups[g][i]);
    naive_pass_again(&bench.pruned, &small, bench.stream, 1);
    for (size_t i = 0; i < 3; i++) {
        for (size_t e = 0; e < 2; e++) {
            snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.%s", e, names[i]);
            assert_int_equal(count_of(&small, variant, 1, linear, "solution_kept"), 1);
            check_solved(&bench, linear, shape.sequences, true);
        }
        if (i == 0)
            continue;
        for (size_t e = 0; e < 2 && i == 1; e++) {
            for (size_t k = 0; k < 2; k++) {
                snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.%s", e, names[k]);
                finish(&bench, linear);
            }
        }
        naive_pass_again(&bench.pruned, &small, bench.stream, 1);
    }
    bench_close(&bench);
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
    assert_int_equal(count_of(&small, variant, 1, linear, "solution_kept"), 0);
    assert_int_equal(count_of(&small, variant, 1, linear, "solution_tokens"), 0);
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
        const uint64_t kept = count_of(&small, variant, 0, groups[g][0], "solution_kept");
        const double before = number_of(&small, variant, 0, groups[g][0], "layer_error_pruned");
        const double after = number_of(&small, variant, 0, groups[g][0], "layer_error_compensated");
        assert_true(after <= before);
        assert_true(kept == 1 || count_of(&small, variant, 0, groups[g][0], "output_kept") == 1 ||
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(kept_weights_are_the_least_squares_solution),
        mpi_unit_test(the_drift_of_earlier_layers_is_made_good),
        mpi_unit_test(experts_are_solved_from_their_own_tokens),
        mpi_unit_test(an_expert_with_few_tokens_keeps_its_weights),
        mpi_unit_test(the_guard_drops_a_solution_that_overfits),
        mpi_unit_test(the_bytes_do_not_depend_on_the_ranks),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
