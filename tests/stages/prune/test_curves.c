// What pruning single linears costs the whole model, against the model in plain loops; the sparsities that
// follow.
// ranks: 1 3
#include "io/file/sealed_json.h"
#include "stages/prune/allocation.h"
#include "stages/prune/curves.h"
#include "stages/prune/measured_allocation.h"
#include "stages/prune/score.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"
#include "tests/support/naive_masks.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 3, TOKENS = 12 };

static struct small_model_shape three_layers(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.layers = LAYERS;
    return shape;
}

static struct variant *add_measured(struct small_model *small, enum method method)
{
    struct variant *variant = small_model_add(small, "measured", method);
    variant->allocation = ALLOCATION_MEASURED;
    variant->measured_sequences = 3;
    return variant;
}

static void measure_all(struct small_model *small, const struct variant *variant)
{
    struct error err = {0};
    for (size_t layer = 0; layer < small->model->config.num_hidden_layers; layer++)
        assert_ok(curves_layer(&small->stage, &small->weights, variant, layer, &err), err);
}

// ---- the model in plain loops
// ---------------------------------------------------------------------------------

// Means over the last `sequences` sequences: KL divergence of the changed model's next tokens from the dense
// model's, and cross-entropy of the text.
static struct curve naive_outcome(const struct small_model *small, const struct naive_layer *dense,
                                  const struct naive_layer *changed, size_t sequences)
{
    const size_t vocabulary = small->shape.checkpoint.vocab, all = small->settings.sequences;
    double *p = calloc(TOKENS * vocabulary, sizeof *p), *q = calloc(TOKENS * vocabulary, sizeof *q);
    struct curve outcome = {.weights = 0};

    for (size_t s = all - sequences; s < all; s++) {
        const int32_t *ids = small->ids + s * TOKENS;
        naive_logits(p, small, dense, ids, TOKENS);
        naive_logits(q, small, changed, ids, TOKENS);
        for (size_t t = 0; t < TOKENS; t++) {
            double sum_p = 0, sum_q = 0;
            for (size_t v = 0; v < vocabulary; v++) {
                sum_p += exp(p[t * vocabulary + v]);
                sum_q += exp(q[t * vocabulary + v]);
            }
            for (size_t v = 0; v < vocabulary; v++) {
                const double log_p = p[t * vocabulary + v] - log(sum_p);
                outcome.divergence[0] += exp(log_p) * (log_p - q[t * vocabulary + v] + log(sum_q));
            }
            if (t + 1 < TOKENS)
                outcome.loss[0] -= q[t * vocabulary + (size_t)ids[t + 1]] - log(sum_q);
        }
    }
    outcome.divergence[0] /= (double)(sequences * TOKENS);
    outcome.loss[0] /= (double)(sequences * (TOKENS - 1));
    free(p);
    free(q);
    return outcome;
}

// Prunes a linear of the naive layer by the oracle's mask.
static void prune_naive(struct naive_layer *layer, const struct small_model *small,
                        const struct variant *variant, size_t index, const char *linear, double sparsity)
{
    const bool even = strstr(linear, "experts") != NULL; // too few tokens reach them
    struct small_matrix weight = small_dense_weight(small, index, linear);
    double *scores = naive_scores(small, variant, index, linear, even);
    uint8_t *mask = naive_mask(scores, &weight, variant, sparsity);
    for (size_t i = 0; i < weight.out * weight.in; i++)
        weight.values[i] = mask[i] != 0 ? weight.values[i] : 0;
    naive_layer_put(layer, linear, weight.values);
    free(mask);
    free(scores);
    free(weight.values);
}

static void assert_curve(const struct curve *curve, size_t level, const struct curve *expected)
{
    // Logits of a few units in float32.
    assert_close(curve->divergence[level], expected->divergence[0], 1e-6 + 1e-4 * expected->divergence[0]);
    assert_close(curve->loss[level], expected->loss[0], 1e-5);
}

// ---- tests
// --------------------------------------------------------------------------------------------------

// The middle layer, one linear skipped, one with a ratio; a linear at two levels, all together at one.
static void curves_are_what_the_pruned_model_costs(void **state)
{
    static const size_t levels[] = {3, 7};
    struct skip skip = {(char *)"self_attn.k_proj", 0};
    struct ratio ratio = {.pattern = (char *)"layers.1.self_attn.q_proj", .sparsity = 0.1};
    const struct small_model_shape shape = three_layers();
    struct naive_layer dense[LAYERS], changed[LAYERS];
    struct layer_curves found;
    struct small_model small;
    struct error err = {0};
    size_t layers;
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = &skip;
    small.settings.num_skip = 1;
    small.settings.ratios = &ratio;
    small.settings.num_ratios = 1;
    small_model_calibrate(&small, false);
    const struct variant *variant = add_measured(&small, METHOD_WANDA);
    assert_ok(curves_layer(&small.stage, &small.weights, variant, 1, &err), err);
    measure_all(&small, variant); // layer 1 once more, with other layers loaded
    assert_ok(curves_read(&found, &layers, &small.settings, variant, 1, &err), err);
    assert_int_equal(layers, LAYERS);
    assert_int_equal(found.count, 5);
    assert_int_equal(found.sequences, 3);
    assert_int_equal(found.tokens, 3 * TOKENS);
    assert_string_equal(found.curves[0].linear, "self_attn.v_proj");
    assert_string_equal(found.curves[4].linear, "mlp.down_proj");
    assert_int_equal(found.curves[4].weights, 20 * 36);
    assert_int_equal(found.together.weights, 10 * 20 + 20 * 20 + 3 * 20 * 36);
    for (size_t l = 0; l < LAYERS; l++)
        naive_layer_read(&dense[l], &small, l);
    memcpy(changed, dense, sizeof changed);
    const struct curve unchanged = naive_outcome(&small, dense, dense, 3);
    for (size_t i = 0; i < found.count; i++) {
        assert_true(found.curves[i].divergence[0] == 0);
        assert_close(found.curves[i].loss[0], unchanged.loss[0], 1e-5);
    }
    for (size_t k = 0; k < 2; k++) {
        naive_layer_read(&changed[1], &small, 1);
        prune_naive(&changed[1], &small, variant, 1, "mlp.down_proj", curve_levels[levels[k]]);
        const struct curve expected = naive_outcome(&small, dense, changed, 3);
        assert_true(expected.divergence[0] > 1e-5);
        assert_curve(&found.curves[4], levels[k], &expected);
        naive_layer_free(&changed[1]);
    }
    naive_layer_read(&changed[1], &small, 1);
    for (size_t i = 0; i < found.count; i++)
        prune_naive(&changed[1], &small, variant, 1, found.curves[i].linear, 0.5);
    const struct curve expected = naive_outcome(&small, dense, changed, 3);
    assert_curve(&found.together, 3, &expected);
    naive_layer_free(&changed[1]);
    for (size_t l = 0; l < LAYERS; l++)
        naive_layer_free(&dense[l]);
    layer_curves_free(&found);
    small_model_close(&small);
}

// ---- least squares
// ------------------------------------------------------------------------------------------

// x[n] <- the solution of a[n, n] x = b, a positive definite; both are overwritten.
static void eliminate(double *x, double *a, double *b, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            b[i] -= factor * b[k];
        }
    for (size_t k = n; k-- > 0;) {
        x[k] = b[k];
        for (size_t j = k + 1; j < n; j++)
            x[k] -= a[k * n + j] * x[j];
        x[k] /= a[k * n + k];
    }
}

// row[in] <- the kept weights that minimise (w - w0)^T (H + lambda I) (w - w0), w0 the row as it is.
static void solve_naive(float *row, const uint8_t *mask, const double *hessian, size_t in)
{
    double *a = calloc(in * in, sizeof *a), *b = calloc(in, sizeof *b), *x = calloc(in, sizeof *x),
           lambda = 0;
    size_t kept = 0, *at = calloc(in, sizeof *at);

    for (size_t j = 0; j < in; j++) {
        lambda += 0.01 * hessian[j * in + j] / (double)in;
        if (mask[j] != 0)
            at[kept++] = j;
    }
    for (size_t i = 0; i < kept; i++) {
        for (size_t j = 0; j < in; j++) {
            const size_t k = at[i], low = k < j ? k : j, high = k < j ? j : k;
            b[i] += (hessian[low * in + high] + (k == j ? lambda : 0)) * (double)row[j];
        }
        for (size_t j = 0; j < kept; j++) {
            const size_t low = i < j ? at[i] : at[j], high = i < j ? at[j] : at[i];
            a[i * kept + j] = hessian[low * in + high] + (i == j ? lambda : 0);
        }
    }
    eliminate(x, a, b, kept);
    for (size_t j = 0; j < in; j++)
        row[j] = 0;
    for (size_t i = 0; i < kept; i++)
        row[at[i]] = (float)x[i];
    free(a);
    free(b);
    free(x);
    free(at);
}

static void with_least_squares_the_linear_is_solved_for_first(void **state)
{
    enum { LEVEL = 5 };
    const struct small_model_shape shape = three_layers();
    struct naive_layer dense[LAYERS], changed[LAYERS];
    struct layer_curves found, plain;
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, true);
    struct variant *variant = add_measured(&small, METHOD_WANDA);
    assert_ok(curves_layer(&small.stage, &small.weights, variant, 1, &err), err);
    assert_ok(curves_read(&plain, NULL, &small.settings, variant, 1, &err), err);
    variant->output = MATCHING_LEAST_SQUARES;
    assert_ok(curves_layer(&small.stage, &small.weights, variant, 1, &err), err);
    assert_ok(curves_read(&found, NULL, &small.settings, variant, 1, &err), err);
    for (size_t l = 0; l < LAYERS; l++)
        naive_layer_read(&dense[l], &small, l);
    memcpy(changed, dense, sizeof changed);
    for (size_t i = 0; i < found.count; i += 3) { // q, o, down: of different sources
        const char *linear = found.curves[i].linear;
        struct small_matrix weight = small_dense_weight(&small, 1, linear);
        double *scores = naive_scores(&small, variant, 1, linear, false);
        double *hessian = small_hessian(&small, "dense", 1, linear);
        uint8_t *mask = naive_mask(scores, &weight, variant, curve_levels[LEVEL]);
        naive_layer_read(&changed[1], &small, 1);
        for (size_t r = 0; r < weight.out; r++)
            solve_naive(weight.values + r * weight.in, mask + r * weight.in, hessian, weight.in);
        naive_layer_put(&changed[1], linear, weight.values);
        const struct curve expected = naive_outcome(&small, dense, changed, 3);
        // Ten steps of conjugate gradients come close to the solution; the pruned weights are far from it.
        assert_close(found.curves[i].divergence[LEVEL], expected.divergence[0],
                     0.01 * expected.divergence[0]);
        assert_true(fabs(plain.curves[i].divergence[LEVEL] - expected.divergence[0]) >
                    0.05 * expected.divergence[0]);
        naive_layer_free(&changed[1]);
        free(mask);
        free(hessian);
        free(scores);
        free(weight.values);
    }
    for (size_t l = 0; l < LAYERS; l++)
        naive_layer_free(&dense[l]);
    layer_curves_free(&found);
    layer_curves_free(&plain);
    small_model_close(&small);
}

// The linears of one name of all experts have one curve; by magnitude, which needs no statistics.
static void experts_are_pruned_together(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct naive_layer dense[2], changed[2];
    struct layer_curves found;
    struct small_model small;
    struct error err = {0};
    size_t index = SIZE_MAX;
    (void)state;

    shape.checkpoint.experts = 3;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    const struct variant *variant = add_measured(&small, METHOD_MAGNITUDE);
    assert_ok(curves_layer(&small.stage, &small.weights, variant, 0, &err), err);
    assert_ok(curves_read(&found, NULL, &small.settings, variant, 0, &err), err);
    assert_int_equal(found.count, 4 + 3);
    for (size_t l = 0; l < 2; l++) {
        naive_layer_read(&dense[l], &small, l);
        naive_layer_read(&changed[l], &small, l);
    }
    for (size_t i = 0; i < found.count; i++)
        if (strstr(found.curves[i].linear, ".*.") != NULL)
            index = i;
    assert_true(index != SIZE_MAX);
    assert_int_equal(found.curves[index].weights, 3 * 20 * 36);
    for (size_t i = 0; i < dense[0].num_linears; i++) {
        // "block_sparse_moe.experts.1.w2" belongs to "block_sparse_moe.experts.*.w2".
        const char *name = dense[0].linears[i].name, *curve = found.curves[index].linear;
        const char *star = strchr(curve, '*');
        if (strncmp(name, curve, (size_t)(star - curve)) == 0 &&
            strcmp(name + (star - curve) + 1, star + 1) == 0)
            prune_naive(&changed[0], &small, variant, 0, name, 0.8);
    }
    const struct curve expected = naive_outcome(&small, dense, changed, 3);
    assert_true(expected.divergence[0] > 1e-6);
    assert_curve(&found.curves[index], 6, &expected);
    for (size_t l = 0; l < 2; l++) {
        naive_layer_free(&dense[l]);
        naive_layer_free(&changed[l]);
    }
    layer_curves_free(&found);
    small_model_close(&small);
}

static void curves_are_the_same_bytes_from_one_rank_and_from_all(void **state)
{
    static const enum matching outputs[] = {MATCHING_OFF, MATCHING_LEAST_SQUARES};
    const struct small_model_shape shape = three_layers();
    struct small_model small, alone;
    char path[PATH_SIZE], other[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = add_measured(&small, METHOD_WANDA);
    variant->measured_sequences = 5;
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, true);
    small_model_calibrate(&alone, true);
    for (size_t k = 0; k < 2; k++) {
        variant->output = alone.variants[0].output = outputs[k];
        measure_all(&small, variant);
        measure_all(&alone, &alone.variants[0]);
        for (size_t layer = 0; layer < LAYERS; layer++) {
            curves_path(path, &small.settings, variant, layer);
            curves_path(other, &alone.settings, variant, layer);
            assert_same_file(path, other);
        }
    }
    small_model_close(&alone);
    small_model_close(&small);
}

// Writes files that are made up: later layers and linears are cheaper. together: of the last layer's linears,
// in units of what they cost one by one.
static void make_curves(const struct small_model *small, const struct variant *variant, double together)
{
    struct error err = {0};
    for (size_t layer = 0; layer < LAYERS; layer++) {
        struct layer_curves made;
        struct layer_map map;
        assert_ok(layer_map_create(&map, small->model, layer, &err), err);
        assert_ok(layer_curves_create(&made, &small->settings, &map, &err), err);
        for (size_t i = 0; i < made.count; i++)
            for (size_t k = 1; k < CURVE_LEVELS; k++) {
                made.curves[i].divergence[k] = pow(curve_levels[k], 4) / (double)(1 + 3 * layer + i);
                if (layer + 1 == LAYERS)
                    made.together.divergence[k] += together * made.curves[i].divergence[k];
            }
        if (small->team.rank == 0)
            assert_ok(curves_write(&made, &small->stage, variant, layer, &err), err);
        layer_curves_free(&made);
        layer_map_free(&map);
    }
    team_barrier(&small->team);
}

// What files that are made up say comes back as sparsities whose mean over the weights is the variant's,
// which masks then have.
static void linears_get_what_costs_least_and_the_mean_is_the_sparsity(void **state)
{
    static const double sparsities[] = {0, 0.37, 0.5, 0.7, 0.9};
    struct skip skip = {(char *)"layers.0.self_attn.*", 0};
    struct ratio ratio = {.pattern = (char *)"layers.1.mlp.up_proj", .sparsity = 0.25};
    const struct small_model_shape shape = three_layers();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = &skip;
    small.settings.num_skip = 1;
    small.settings.ratios = &ratio;
    small.settings.num_ratios = 1;
    struct variant *variant = add_measured(&small, METHOD_WANDA);
    small_model_calibrate(&small, false);
    make_curves(&small, variant, 0);
    for (size_t s = 0; s < sizeof sparsities / sizeof *sparsities; s++) {
        struct measured_allocation allocation;
        double total = 0, pruned = 0;
        variant->sparsity = sparsities[s];
        assert_ok(measured_allocation_create(&allocation, &small.settings, variant, &err), err);
        for (size_t layer = 0; layer < LAYERS; layer++)
            for (size_t i = 0; i < allocation.curves[layer].count; i++) {
                total += (double)allocation.curves[layer].curves[i].weights;
                pruned += (double)allocation.curves[layer].curves[i].weights * allocation.targets[layer][i];
            }
        assert_close(pruned / total, sparsities[s], 1e-14);
        if (sparsities[s] == 0.5) { // of as many weights those that cost less are pruned more
            assert_true(allocation.targets[0][0] < allocation.targets[2][4]);
            assert_true(allocation.targets[2][4] < allocation.targets[2][6]);
            const struct variant *variants[] = {variant};
            assert_ok(layer_weights_load(&small.weights, &small.stage, 1, NULL, &err), err);
            assert_ok(score_layer(&small.stage, &small.weights, variants, 1, 1, &err), err);
            assert_naive_mask(&small, variant, 1, "self_attn.k_proj", allocation.targets[1][1]);
            assert_naive_mask(&small, variant, 1, "mlp.down_proj", allocation.targets[1][5]);
            assert_naive_mask(&small, variant, 1, "mlp.up_proj", 0.25);
        }
        measured_allocation_free(&allocation);
    }
    small_model_close(&small);
}

// Linears of a layer that cost four times as much together get what they would get if each cost four times as
// much; linears that cost less together what they would get alone.
static void linears_that_cost_more_together_are_pruned_less(void **state)
{
    static const double together[] = {0, 0.5, 4};
    const struct small_model_shape shape = three_layers();
    struct measured_allocation allocation[3];
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = add_measured(&small, METHOD_WANDA);
    for (size_t k = 0; k < 3; k++) {
        make_curves(&small, variant, together[k]);
        assert_ok(measured_allocation_create(&allocation[k], &small.settings, variant, &err), err);
        team_barrier(&small.team);
    }
    for (size_t i = 0; i < allocation[0].curves[2].count; i++) {
        assert_true(allocation[1].targets[2][i] == allocation[0].targets[2][i]);
        assert_true(allocation[2].targets[2][i] < allocation[0].targets[2][i] - 0.05);
        assert_true(allocation[2].targets[1][i] > allocation[0].targets[1][i]);
    }
    for (size_t k = 0; k < 3; k++)
        measured_allocation_free(&allocation[k]);
    small_model_close(&small);
}

static void what_stands_for_a_method_shares_its_file(void **state)
{
    const struct settings settings = {.run = (char *)"r"};
    struct variant variant = {.method = METHOD_SPARSEGPT,
                              .measured_sequences = 16,
                              .parameters = importance_defaults(METHOD_SPARSEGPT)};
    char path[PATH_SIZE];
    (void)state;

    curves_path(path, &settings, &variant, 7);
    assert_string_equal(path, "r/curves/wanda-16/layer-007.json");
    variant.method = METHOD_CVR;
    variant.parameters = importance_defaults(METHOD_CVR);
    curves_path(path, &settings, &variant, 7);
    assert_string_equal(path, "r/curves/cvr-16/layer-007.json");
    variant.parameters.exponent = 0.5;
    variant.group = GROUP_LAYER;
    curves_path(path, &settings, &variant, 7);
    assert_non_null(strstr(path, "r/curves/cvr-exponent0.5-alpha0.25-"));
    assert_non_null(strstr(path, "-layer-16/layer-007.json"));
    variant.allocation = ALLOCATION_MEASURED;
    variant.output = MATCHING_LEAST_SQUARES;
    curves_path(path, &settings, &variant, 7);
    assert_non_null(strstr(path, "-layer-least_squares-16/layer-007.json"));
    variant = (struct variant){.method = METHOD_ALPS, // which ends with least squares
                               .measured_sequences = 16,
                               .allocation = ALLOCATION_MEASURED,
                               .parameters = importance_defaults(METHOD_ALPS)};
    assert_true(curves_are_solved(&variant));
    curves_path(path, &settings, &variant, 7);
    assert_string_equal(path, "r/curves/wanda-least_squares-16/layer-007.json");
}

static void a_file_of_another_ladder_is_damaged(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct layer_curves read;
    struct error err = {0};
    char path[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = add_measured(&small, METHOD_WANDA);
    curves_path(path, &small.settings, variant, 0);
    if (small.team.rank == 0) {
        json_t *json = json_pack("{s:i, s:[f, f], s:[]}", "layers", 2, "levels", 0.0, 0.5, "linears");
        assert_ok(sealed_json_write(path, json, &err), err);
        json_decref(json);
    }
    team_barrier(&small.team);
    assert_int_equal(curves_read(&read, NULL, &small.settings, variant, 0, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "is not what pruning single linears costs");
    layer_curves_free(&read);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(curves_are_what_the_pruned_model_costs),
        mpi_unit_test(with_least_squares_the_linear_is_solved_for_first),
        mpi_unit_test(experts_are_pruned_together),
        mpi_unit_test(curves_are_the_same_bytes_from_one_rank_and_from_all),
        mpi_unit_test(linears_get_what_costs_least_and_the_mean_is_the_sparsity),
        mpi_unit_test(linears_that_cost_more_together_are_pruned_less),
        mpi_unit_test(what_stands_for_a_method_shares_its_file),
        mpi_unit_test(a_file_of_another_ladder_is_damaged),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
