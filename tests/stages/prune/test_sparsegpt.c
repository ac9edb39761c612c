// Second-order pruning against the optimal brain surgeon, one column at a time, with an inverse of its own
// for every column.
// ranks: 1 3
#include "stages/layer/few_tokens.h"
#include "stages/layer/hessian.h"
#include "stages/prune/sparsegpt.h"
#include "tests/support/naive.h"
#include "tests/support/small_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 128 }; // columns whose pruned weights are decided together, as in the authors' program

// ---- the oracle ------------------------------------------------------------------------------------------

// The first row of the inverse of h[first ..., first ...], row[in - first]: Gauss-Jordan on a copy.
static void inverse_row(double *row, const double *h, size_t in, size_t first)
{
    const size_t n = in - first, width = n + 1;
    double *a = malloc(n * width * sizeof *a); // h and the first unit vector: h is symmetric

    assert_non_null(a);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            a[i * width + j] = h[(first + i) * in + first + j];
        a[i * width + n] = i == 0;
    }
    for (size_t k = 0; k < n; k++) {
        const double pivot = a[k * width + k];
        for (size_t j = k; j < width; j++)
            a[k * width + j] /= pivot;
        for (size_t i = 0; i < n; i++) {
            const double factor = a[i * width + k];
            for (size_t j = k; j < width && i != k && factor != 0; j++)
                a[i * width + j] -= factor * a[k * width + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        row[i] = a[i * width + n];
    free(a);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct surgeon {
    size_t out, in;
    double *weight;  // [out, in]
    double *inverse; // [in, in]: row q from column q on is the first row of the inverse of h[q ..., q ...]
    uint8_t *mask;   // [out, in]
};

static double score_of(const struct surgeon *s, size_t i, size_t j)
{
    return s->weight[i * s->in + j] * s->weight[i * s->in + j] / s->inverse[j * s->in + j];
}

// Of all rows' columns [first, end) those up to the score at floor(n * sparsity) in ascending order.
static void decide_block(struct surgeon *s, size_t first, size_t end, double sparsity)
{
    const size_t n = s->out * (end - first), at = (size_t)floor((double)n * sparsity);
    double *scores = malloc(n * sizeof *scores);
    size_t k = 0;

    assert_non_null(scores);
    for (size_t i = 0; i < s->out; i++)
        for (size_t j = first; j < end; j++)
            scores[k++] = score_of(s, i, j);
    qsort(scores, n, sizeof *scores, by_size);
    const double threshold = sparsity == 0 ? -1 : scores[at < n ? at : n - 1];
    for (size_t i = 0; i < s->out; i++)
        for (size_t j = first; j < end; j++)
            s->mask[i * s->in + j] = score_of(s, i, j) > threshold;
    free(scores);
}

// Of each row's columns [first, first + of) the `keep` largest scores; of equal ones the lower column goes.
static void decide_group(struct surgeon *s, size_t first, size_t keep, size_t of)
{
    for (size_t i = 0; i < s->out; i++)
        for (size_t j = first; j < first + of; j++) {
            size_t larger = 0;
            for (size_t k = first; k < first + of; k++)
                larger += score_of(s, i, k) > score_of(s, i, j) ||
                          (score_of(s, i, k) == score_of(s, i, j) && k > j);
            s->mask[i * s->in + j] = larger < keep;
        }
}

// Sets a column's pruned weights to 0 and moves the columns after it so that x W^T changes least.
static void prune_column(struct surgeon *s, size_t column)
{
    const double *row = s->inverse + column * s->in;
    for (size_t i = 0; i < s->out; i++) {
        double *weight = s->weight + i * s->in;
        if (s->mask[i * s->in + column])
            continue;
        const double error = weight[column] / row[column];
        for (size_t j = column + 1; j < s->in; j++)
            weight[j] -= error * row[j];
        weight[column] = 0;
    }
}

// hessian[in, in]: its upper triangle. Freed with surgeon_free.
static struct surgeon operate(const struct small_matrix *dense, const double *hessian, double damping,
                              const struct variant *variant, double sparsity)
{
    const size_t out = dense->out, in = dense->in;
    struct surgeon s = {out, in, malloc(out * in * sizeof(double)), calloc(in * in, sizeof(double)),
                        malloc(out * in)};
    double *h = malloc(in * in * sizeof *h), mean = 0;

    assert_true(s.weight != NULL && s.inverse != NULL && s.mask != NULL && h != NULL);
    for (size_t j = 0; j < in; j++) {
        const bool dead = hessian[j * in + j] == 0;
        for (size_t i = 0; i < out; i++)
            s.weight[i * in + j] = dead ? 0 : (double)dense->values[i * in + j];
        for (size_t i = 0; i < in; i++)
            h[i * in + j] = i < j ? hessian[i * in + j] : hessian[j * in + i];
        h[j * in + j] = dead ? 1 : h[j * in + j];
        mean += h[j * in + j] / (double)in;
    }
    for (size_t j = 0; j < in; j++)
        h[j * in + j] += damping * mean;
    for (size_t j = 0; j < in; j++)
        inverse_row(s.inverse + j * in + j, h, in, j);
    for (size_t j = 0; j < in; j++) {
        if (variant->is_pattern && j % variant->of == 0)
            decide_group(&s, j, variant->keep, variant->of);
        if (!variant->is_pattern && j % BLOCK == 0)
            decide_block(&s, j, j + BLOCK < in ? j + BLOCK : in, sparsity);
        prune_column(&s, j);
    }
    free(h);
    return s;
}

static void surgeon_free(struct surgeon *s)
{
    free(s->weight);
    free(s->inverse);
    free(s->mask);
}

// ---- what the file has -----------------------------------------------------------------------------------

static struct store_reader *open_masks(const struct small_model *small, const struct variant *variant)
{
    struct store_reader *reader;
    struct error err = {0};
    char *path = small_path(small, RUN_MASKS, variant->name, 0);

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    free(path);
    return reader;
}

static void assert_operated(const struct small_model *small, const struct variant *variant,
                            const char *linear, const struct surgeon *expected)
{
    struct store_reader *reader = open_masks(small, variant);
    const size_t n = expected->out * expected->in;
    uint8_t *mask = small_mask(small, variant, 0, linear);
    float *update = malloc(n * sizeof *update);
    struct error err = {0};
    char name[80];

    assert_non_null(update);
    assert_memory_equal(mask, expected->mask, n);
    snprintf(name, sizeof name, "/%s/update", linear);
    assert_ok(store_read(reader, name, STORE_F32, 0, expected->out, update, &err), err);
    for (size_t k = 0; k < n; k++) {
        if (!mask[k])
            assert_true(update[k] == 0);
        // One rounding to float32; two ways of solving in double, with a condition of at most 1e4, on numbers
        // of about 1, differ by far less than 1e-10.
        assert_close((double)update[k], expected->weight[k], 0x1p-24 * fabs(expected->weight[k]) + 1e-10);
    }
    free(update);
    free(mask);
    store_close(reader);
}

static double number_of(const struct small_model *small, const struct variant *variant, const char *attribute)
{
    struct store_reader *reader = open_masks(small, variant);
    struct error err = {0};
    double number;
    uint64_t count;

    if (strcmp(attribute, "damping") == 0) {
        assert_ok(store_read_attribute_f64(reader, "/mlp.down_proj/update", attribute, &number, &err), err);
    } else {
        assert_ok(store_read_attribute_u64(reader, "/mlp.down_proj/update", attribute, &count, &err), err);
        number = (double)count;
    }
    store_close(reader);
    return number;
}

// ---- a model ---------------------------------------------------------------------------------------------

// 600 tokens for up to 140 columns, so that H has full rank; down_proj has two blocks of columns, and the MLP
// five blocks of rows.
static struct small_model_shape full_rank_shape(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.hidden = 40;
    shape.checkpoint.intermediate = 140;
    shape.sequences = 25;
    shape.length = 24;
    return shape;
}

static void prune_together(struct small_model *small)
{
    const struct variant *variants[SCORE_BATCH];
    struct error err = {0};

    for (size_t k = 0; k < small->settings.num_variants; k++)
        variants[k] = &small->variants[k];
    assert_ok(layer_weights_load(&small->weights, &small->stage, 0, NULL, &err), err);
    assert_ok(
        sparsegpt_layer(&small->stage, &small->weights, variants, small->settings.num_variants, 0, &err),
        err);
}

// first: the linear whose name its Hessian has.
static void check_linear(const struct small_model *small, const char *linear, const char *first)
{
    double *hessian = small_hessian(small, "dense", 0, first);
    struct small_matrix dense = small_dense_weight(small, 0, linear);

    for (size_t k = 0; k < small->settings.num_variants; k++) {
        const struct variant *variant = &small->variants[k];
        struct surgeon expected = operate(&dense, hessian, 0.01, variant, variant->sparsity);
        assert_operated(small, variant, linear, &expected);
        surgeon_free(&expected);
    }
    free(dense.values);
    free(hessian);
}

static void check_all_linears(const struct small_model *small)
{
    check_linear(small, "self_attn.q_proj", "self_attn.q_proj");
    check_linear(small, "self_attn.v_proj", "self_attn.q_proj");
    check_linear(small, "self_attn.o_proj", "self_attn.o_proj");
    check_linear(small, "mlp.up_proj", "mlp.gate_proj");
    check_linear(small, "mlp.down_proj", "mlp.down_proj");
}

static void blocks_of_columns_lose_the_weights_that_change_least(void **state)
{
    const double sparsities[] = {0.5, 0.27, 0, 1};
    const struct small_model_shape shape = full_rank_shape();
    struct small_model small;
    char name[16];
    (void)state;

    small_model_open(&small, &shape);
    for (size_t k = 0; k < 4; k++) {
        snprintf(name, sizeof name, "%g", sparsities[k]);
        small_model_add(&small, name, METHOD_SPARSEGPT)->sparsity = sparsities[k];
    }
    small_model_calibrate(&small, true);
    prune_together(&small);
    check_all_linears(&small);
    assert_int_equal(small.num_notices, 0);
    assert_true(number_of(&small, &small.variants[0], "damping") == 0.01);
    assert_true(number_of(&small, &small.variants[0], "dead_channels") == 0);
    small_model_close(&small);
}

static void groups_are_scored_by_the_weights_as_corrected_so_far(void **state)
{
    const size_t patterns[][2] = {{2, 4}, {3, 5}, {1, 4}};
    const struct small_model_shape shape = full_rank_shape();
    struct small_model small;
    char name[16];
    (void)state;

    small_model_open(&small, &shape);
    for (size_t k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "%zu", k);
        struct variant *variant = small_model_add(&small, name, METHOD_SPARSEGPT);
        small_set_pattern(variant, patterns[k][0], patterns[k][1]);
    }
    small_model_calibrate(&small, true);
    prune_together(&small);
    check_all_linears(&small);
    small_model_close(&small);
}

// The order of a linear's columns in the mask file; the caller frees.
// The surgeon operates on a linear whose channels stand in the order, and puts everything back.
static struct surgeon operate_in_order(const struct small_matrix *dense, const double *hessian,
                                       const struct variant *variant, const uint32_t *order)
{
    const size_t out = dense->out, in = dense->in;
    struct small_matrix moved = {malloc(out * in * sizeof(float)), out, in};
    double *h = malloc(in * in * sizeof *h);

    assert_true(moved.values != NULL && h != NULL);
    for (size_t i = 0; i < in; i++)
        for (size_t j = 0; j < in; j++) {
            const size_t a = order[i] < order[j] ? order[i] : order[j];
            h[i * in + j] = hessian[a * in + (order[i] + order[j] - a)];
        }
    for (size_t k = 0; k < out * in; k++)
        moved.values[k] = dense->values[k / in * in + order[k % in]];
    const struct surgeon there = operate(&moved, h, 0.01, variant, 0);
    struct surgeon back = {out, in, malloc(out * in * sizeof(double)), NULL, malloc(out * in)};
    assert_true(back.weight != NULL && back.mask != NULL);
    for (size_t k = 0; k < out * in; k++) {
        back.weight[k / in * in + order[k % in]] = there.weight[k];
        back.mask[k / in * in + order[k % in]] = there.mask[k];
    }
    surgeon_free((struct surgeon *)&there);
    free(moved.values);
    free(h);
    return back;
}

static void with_an_order_the_surgeon_works_from_channel_to_channel_in_it(void **state)
{
    static const char *const linears[] = {"self_attn.o_proj", "mlp.down_proj"};
    const struct small_model_shape shape = full_rank_shape();
    struct small_model small;
    (void)state;

    // Given the same pattern with and without an order, and then another without, of heads of 20 channels and
    // an MLP of 140
    small_model_open(&small, &shape);
    for (size_t k = 0; k < 3; k++) {
        struct variant *variant = small_model_add(&small,
                                                  k == 0   ? "a"
                                                  : k == 1 ? "b"
                                                           : "c",
                                                  METHOD_SPARSEGPT);
        small_set_pattern(variant, k == 2 ? 1 : 2, 4);
        variant->permute = k == 1;
    }
    small_model_calibrate(&small, true);
    prune_together(&small);

    const struct variant *ordered = &small.variants[1];
    for (size_t i = 0; i < 2; i++) {
        struct small_matrix dense = small_dense_weight(&small, 0, linears[i]);
        double *hessian = small_hessian(&small, "dense", 0, linears[i]);
        uint32_t *order = small_order(&small, ordered, 0, linears[i], dense.in).columns;
        struct surgeon expected = operate_in_order(&dense, hessian, ordered, order);
        struct surgeon plain = operate(&dense, hessian, 0.01, ordered, 0);
        assert_operated(&small, ordered, linears[i], &expected);
        assert_operated(&small, &small.variants[0], linears[i], &plain);
        struct surgeon other = operate(&dense, hessian, 0.01, &small.variants[2], 0);
        assert_operated(&small, &small.variants[2], linears[i], &other);
        assert_memory_not_equal(expected.mask, plain.mask, dense.out * dense.in);
        surgeon_free(&expected);
        surgeon_free(&plain);
        surgeon_free(&other);
        free(order);
        free(hessian);
        free(dense.values);
    }
    small_model_close(&small);
}

static void the_bytes_do_not_depend_on_ranks_or_company(void **state)
{
    const struct small_model_shape shape = full_rank_shape();
    struct small_model small, alone;
    (void)state;

    small_model_open(&small, &shape);
    small_model_add(&small, "a", METHOD_SPARSEGPT);
    small_model_add(&small, "same-as-a", METHOD_SPARSEGPT);
    small_model_add(&small, "b", METHOD_SPARSEGPT)->sparsity = 0.7;
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, true);
    small_model_calibrate(&alone, true);
    prune_together(&small);
    for (size_t k = 0; k < 3; k++) {
        const struct variant *variants[] = {&alone.variants[k]};
        struct error err = {0};
        assert_ok(layer_weights_load(&alone.weights, &alone.stage, 0, NULL, &err), err);
        assert_ok(sparsegpt_layer(&alone.stage, &alone.weights, variants, 1, 0, &err), err);
        char *path = small_path(&small, RUN_MASKS, small.variants[k].name, 0);
        char *other = small_path(&alone, RUN_MASKS, small.variants[k].name, 0);
        assert_same_file(path, other);
        free(path);
        free(other);
    }
    small_model_close(&alone);
    small_model_close(&small);
}

// ---- Hessians of the test's own --------------------------------------------------------------------------

// Only down_proj is pruned, and its Hessian is hessian[in, in], by all ranks.
static void use_hessian(struct small_model *small, const double *hessian, size_t in)
{
    static struct skip skip[] = {
        {(char *)"self_attn.*", 0}, {(char *)"mlp.gate_proj", 0}, {(char *)"mlp.up_proj", 0}};
    const struct store_shape shape = {.type = STORE_F64, .rank = 2, .dims = {in, in}};
    const bool root = small->team.rank == 0;
    struct store_writer *writer;
    struct error err = {0};
    char path[PATH_SIZE];

    small->settings.skip = skip;
    small->settings.num_skip = 3;
    hessian_path(path, &small->settings, "dense", 0);
    if (root)
        remove(path);
    assert_ok(store_create(&writer, path, NO_ORIGIN, small->team.comm, &err), err);
    assert_ok(store_declare(writer, "/mlp.down_proj/hessian", &shape, &err), err);
    assert_ok(store_attribute_u64(writer, "/mlp.down_proj/hessian", "tokens", 60, &err), err);
    assert_ok(store_write(writer, "/mlp.down_proj/hessian", 0, root ? in : 0, hessian, &err), err);
    assert_ok(store_commit(writer, &err), err);
}

// Diagonal 1, 1 + 1/in, ...; neighbours are correlated.
static double *mild_hessian(size_t in)
{
    double *h = calloc(in * in, sizeof *h);
    assert_non_null(h);
    for (size_t i = 0; i < in; i++) {
        h[i * in + i] = 1 + (double)i / (double)in;
        if (i + 1 < in)
            h[i * in + i + 1] = 0.3;
    }
    return h;
}

static void check_down_proj(struct small_model *small, const double *hessian, double damping)
{
    struct small_matrix dense = small_dense_weight(small, 0, "mlp.down_proj");
    struct surgeon expected = operate(&dense, hessian, damping, &small->variants[0], 0.5);

    assert_operated(small, &small->variants[0], "mlp.down_proj", &expected);
    surgeon_free(&expected);
    free(dense.values);
}

static void channels_that_were_never_active_are_pruned(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t in = shape.checkpoint.intermediate;
    struct small_model small;
    double *hessian = mild_hessian(in);
    (void)state;

    for (size_t dead = 3; dead < in; dead += 20)
        for (size_t i = 0; i < in; i++)
            hessian[dead * in + i] = hessian[i * in + dead] = 0;
    small_model_open(&small, &shape);
    small_model_add(&small, "dead", METHOD_SPARSEGPT);
    use_hessian(&small, hessian, in);
    prune_together(&small);
    check_down_proj(&small, hessian, 0.01);
    assert_true(number_of(&small, &small.variants[0], "dead_channels") == 2); // 3 and 23
    free(hessian);
    small_model_close(&small);
}

static void damping_is_raised_until_the_hessian_is_positive_definite(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t in = shape.checkpoint.intermediate;
    struct small_model small;
    double *hessian = mild_hessian(in);
    (void)state;

    // An eigenvalue of 1.5 - 1.6 in a matrix whose diagonal has a mean of about 1.5: 0.01 is too little.
    for (size_t j = 0; j < in; j++)
        hessian[j] = 0;
    hessian[0] = 1.5;
    hessian[in + 1] = 1.5;
    hessian[1] = 1.6;
    hessian[in + 2] = 0;
    small_model_open(&small, &shape);
    small_model_add(&small, "raised", METHOD_SPARSEGPT);
    use_hessian(&small, hessian, in);
    prune_together(&small);
    check_down_proj(&small, hessian, 0.01 * 10);
    assert_int_equal(small.num_notices, 1);
    assert_non_null(strstr(small.notice, "layers.0.mlp.down_proj"));
    assert_non_null(strstr(small.notice, "damping raised to 0.1 "));
    free(hessian);
    small_model_close(&small);
}

static void assert_refused(const double *hessian, const char *part)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};

    small_model_open(&small, &shape);
    const struct variant *variants[] = {small_model_add(&small, "refused", METHOD_SPARSEGPT)};
    use_hessian(&small, hessian, shape.checkpoint.intermediate);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err);
    assert_int_equal(sparsegpt_layer(&small.stage, &small.weights, variants, 1, 0, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, part);
    char *path = small_path(&small, RUN_MASKS, "refused", 0);
    assert_false(store_exists(path));
    free(path);
    small_model_close(&small);
}

static void a_hessian_that_no_damping_helps_is_refused(void **state)
{
    const size_t in = small_model_shape().checkpoint.intermediate;
    double *hessian = mild_hessian(in);
    (void)state;

    hessian[1] = 100; // ten times the mean of the diagonal does not outweigh it
    assert_refused(hessian,
                   "layers.0.mlp.down_proj: its Hessian is not positive definite, even with 10 of the mean");
    free(hessian);
}

static void inputs_of_nothing_but_zeros_are_refused(void **state)
{
    const size_t in = small_model_shape().checkpoint.intermediate;
    double *hessian = calloc(in * in, sizeof *hessian);
    (void)state;

    assert_non_null(hessian);
    assert_refused(hessian, "layers.0.mlp.down_proj: all its inputs are 0");
    free(hessian);
}

// ---- experts ---------------------------------------------------------------------------------------------

// With few tokens H counts as its diagonal, with fewer still as the unit matrix: then nothing is corrected.
static void experts_that_saw_few_tokens_are_not_corrected(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    size_t kinds[3] = {0};
    (void)state;

    shape.checkpoint.experts = 5; // the last one gets no token
    shape.checkpoint.intermediate = 70;
    shape.sequences = 26; // 624 pairs of token and expert over the others: 100 to 200 each
    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "experts", METHOD_SPARSEGPT);
    small_model_calibrate(&small, true);
    prune_together(&small);
    for (size_t e = 0; e < shape.checkpoint.experts; e++) {
        struct small_statistics statistics;
        char linear[64];
        snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.w2", e);
        small_statistics_read(&statistics, &small, "dense", 0, linear);
        struct small_matrix dense = small_dense_weight(&small, 0, linear);
        double *hessian = small_hessian(&small, "dense", 0, linear);
        const size_t kind = statistics.count < FEWEST_EXPERT_TOKENS ? 0
                            : statistics.count < 2 * dense.in       ? 1
                                                                    : 2;
        for (size_t i = 0; i < dense.in; i++)
            for (size_t j = 0; j < dense.in && kind < 2; j++)
                hessian[i * dense.in + j] = i != j ? 0 : kind == 1 ? hessian[i * dense.in + i] : 1;
        struct surgeon expected = operate(&dense, hessian, 0.01, variant, 0.5);
        assert_operated(&small, variant, linear, &expected);
        kinds[kind]++;
        surgeon_free(&expected);
        small_statistics_free(&statistics);
        free(dense.values);
        free(hessian);
    }
    assert_true(kinds[0] > 0 && kinds[1] > 0 && kinds[2] > 0);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(blocks_of_columns_lose_the_weights_that_change_least),
        mpi_unit_test(groups_are_scored_by_the_weights_as_corrected_so_far),
        mpi_unit_test(with_an_order_the_surgeon_works_from_channel_to_channel_in_it),
        mpi_unit_test(the_bytes_do_not_depend_on_ranks_or_company),
        mpi_unit_test(channels_that_were_never_active_are_pruned),
        mpi_unit_test(damping_is_raised_until_the_hessian_is_positive_definite),
        mpi_unit_test(a_hessian_that_no_damping_helps_is_refused),
        mpi_unit_test(inputs_of_nothing_but_zeros_are_refused),
        mpi_unit_test(experts_that_saw_few_tokens_are_not_corrected),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
