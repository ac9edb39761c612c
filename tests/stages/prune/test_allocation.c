// Outliers and the sparsities that follow from them, against counting and the formula in double; ratios.
// ranks: 1 3
#include "io/file/sealed_json.h"
#include "stages/prune/allocation.h"
#include "stages/prune/median_scores.h"
#include "stages/prune/outlier_counts.h"
#include "stages/prune/score.h"
#include "tests/support/naive.h"
#include "tests/support/naive_masks.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 4 };

// Four layers, because among two or three the formula has fewer cases.
static struct small_model_shape four_layers(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.layers = LAYERS;
    return shape;
}

static struct variant *add_owl(struct small_model *small, double threshold, double range)
{
    struct variant *variant = small_model_add(small, "owl", METHOD_WANDA);
    variant->allocation = ALLOCATION_OWL;
    variant->owl_threshold = threshold;
    variant->owl_range = range;
    return variant;
}

static void count_all_layers(struct small_model *small, const struct variant *variant)
{
    struct error err = {0};
    for (size_t layer = 0; layer < small->model->config.num_hidden_layers; layer++)
        assert_ok(outliers_layer(&small->stage, &small->weights, variant, layer, &err), err);
}

static enum status targets_and_outliers(double *targets, struct layer_outliers *found,
                                        const struct small_model *small, const struct variant *variant,
                                        size_t layers, struct error *err)
{
    for (size_t layer = 0; layer < layers; layer++)
        FORWARD_IF_ERROR(outliers_read(&found[layer], &small->settings, variant, layer, err));
    return allocation_targets(targets, &small->settings, variant, layers, err);
}

// The sparsity of a linear that has no ratio of its own.
static double target_of_layer(const struct small_model *small, const struct variant *variant, size_t layer)
{
    struct layer_map map;
    struct error err = {0};
    assert_ok(layer_map_create(&map, small->model, layer, &err), err);
    double *targets = calloc(map.num_tensors, sizeof *targets);
    size_t last = 0;
    assert_ok(allocation_of_layer(targets, &small->stage, variant, &map, &err), err);
    for (size_t i = 0; i < map.num_tensors; i++)
        if (strcmp(map.tensors[i].linear, "mlp.gate_proj") == 0)
            last = i;
    const double target = targets[last];
    free(targets);
    layer_map_free(&map);
    return target;
}

// The layer's scores by wanda of the linears named, "" ends the list, in two passes.
static struct layer_outliers naive_outliers(const struct small_model *small, size_t layer, double threshold,
                                            const char *const *linears)
{
    const struct variant wanda = {.method = METHOD_WANDA, .parameters = importance_defaults(METHOD_WANDA)};
    struct layer_outliers found = {0};

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; linears[i][0] != '\0'; i++) {
            struct small_matrix weight = small_dense_weight(small, layer, linears[i]);
            double *scores = naive_scores(small, &wanda, layer, linears[i], false);
            const size_t n = weight.out * weight.in;
            for (size_t k = 0; k < n; k++) {
                found.mean += pass == 0 ? scores[k] : 0;
                found.outliers += pass == 1 && scores[k] > threshold * found.mean;
            }
            found.scored += pass == 0 ? n : 0;
            free(scores);
            free(weight.values);
        }
        if (pass == 0)
            found.mean /= (double)found.scored;
    }
    return found;
}

static void assert_outliers(const struct layer_outliers *found, const struct layer_outliers *expected)
{
    assert_int_equal(found->scored, expected->scored);
    assert_int_equal(found->outliers, expected->outliers);
    assert_close(found->mean, expected->mean, 0x1p-22 * expected->mean); // scores are float32
}

// sum weights * targets = sparsity * sum weights, but for the rounding of a handful of operations.
static void assert_mean(const double *targets, const struct layer_outliers *found, size_t layers,
                        double sparsity)
{
    double pruned = 0, weights = 0;
    for (size_t l = 0; l < layers; l++) {
        pruned += (double)found[l].weights * targets[l];
        weights += (double)found[l].weights;
    }
    assert_close(pruned / weights, sparsity, 0x1p-50);
}

static void outliers_are_the_scores_above_a_multiple_of_their_mean(void **state)
{
    // Layer 0 has a skipped linear, layer 1 one with a ratio of its own.
    static const char *const all[] = {
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj",    ""};
    const double thresholds[] = {0.7, 2.3, 3.1};
    struct skip skip[] = {{(char *)"layers.0.mlp.down_proj", 0}};
    struct ratio ratio = {.pattern = (char *)"layers.1.self_attn.q_proj", .sparsity = 0.1};
    const struct small_model_shape shape = four_layers();
    struct layer_outliers found[LAYERS];
    double targets[LAYERS];
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    small.settings.ratios = &ratio;
    small.settings.num_ratios = 1;
    small_model_calibrate(&small, false);
    for (size_t t = 0; t < 3; t++) {
        small.settings.num_variants = 0;
        const struct variant *owl = add_owl(&small, thresholds[t], 0.08);
        count_all_layers(&small, owl);
        assert_ok(targets_and_outliers(targets, found, &small, owl, LAYERS, &err), err);
        for (size_t l = 0; l < LAYERS; l++) {
            const char *linears[8];
            memcpy(linears, l == 1 ? all + 1 : all, (l == 1 ? 7 : 8) * sizeof *linears);
            if (l == 0)
                linears[6] = "";
            const struct layer_outliers expected = naive_outliers(&small, l, thresholds[t], linears);
            assert_outliers(&found[l], &expected);
            assert_int_equal(found[l].weights, expected.scored); // all have scores
            assert_true(outlier_ratio(&found[l]) == (double)expected.outliers / (double)expected.scored);
        }
        assert_mean(targets, found, LAYERS, 0.5);
    }
    small_model_close(&small);
}

static void targets_spread_by_the_outliers_around_the_sparsity(void **state)
{
    const double sparsities[] = {0.5, 0.03, 0.95}; // the range is cut to what is left beyond the sparsity
    const double ranges[] = {0.08, 0.03, 0.05};
    struct skip skip[] = {{(char *)"layers.2.mlp.*", 0}}; // a lighter layer
    const struct small_model_shape shape = four_layers();
    struct layer_outliers found[LAYERS];
    double targets[LAYERS];
    struct small_model small;
    struct error err = {0};
    size_t layers = 0;
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    small_model_calibrate(&small, false);
    struct variant *owl = add_owl(&small, 2.3, 0.08);
    count_all_layers(&small, owl);
    assert_ok(outliers_layers(&layers, &small.settings, owl, &err), err);
    assert_int_equal(layers, LAYERS);
    for (size_t s = 0; s < 3; s++) {
        double mean = 0, weights = 0, widest = 0, furthest = 0;
        owl->sparsity = sparsities[s];
        assert_ok(targets_and_outliers(targets, found, &small, owl, LAYERS, &err), err);
        for (size_t l = 0; l < LAYERS; l++) {
            mean += (double)found[l].weights * (double)found[l].outliers / (double)found[l].scored;
            weights += (double)found[l].weights;
        }
        mean /= weights;
        for (size_t l = 0; l < LAYERS; l++)
            widest = fmax(widest, fabs((double)found[l].outliers / (double)found[l].scored - mean));
        for (size_t l = 0; l < LAYERS; l++) {
            const double ratio = (double)found[l].outliers / (double)found[l].scored;
            assert_close(targets[l], sparsities[s] - ranges[s] * (ratio - mean) / widest, 1e-15);
            furthest = fmax(furthest, fabs(targets[l] - sparsities[s]));
        }
        assert_close(furthest, ranges[s], 1e-15);
        assert_mean(targets, found, LAYERS, sparsities[s]);
        for (size_t l = 0; l < LAYERS; l++) {
            double target = -1;
            target = target_of_layer(&small, owl, l);
            assert_true(target == targets[l]);
        }
    }
    small_model_close(&small);
}

static void masks_have_the_sparsity_of_their_layer(void **state)
{
    struct ratio ratio = {.pattern = (char *)"self_attn.o_proj", .sparsity = 0.2};
    const struct small_model_shape shape = four_layers();
    double targets[LAYERS];
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.ratios = &ratio;
    small.settings.num_ratios = 1;
    small_model_calibrate(&small, false);
    struct variant *owl = add_owl(&small, 2.3, 0.3);
    const struct variant *variants[] = {owl};
    owl->group = GROUP_LAYER;
    count_all_layers(&small, owl);
    assert_ok(allocation_targets(targets, &small.settings, owl, LAYERS, &err), err);
    for (size_t l = 0; l < LAYERS; l++) {
        assert_ok(layer_weights_load(&small.weights, &small.stage, l, NULL, &err), err);
        assert_ok(score_layer(&small.stage, &small.weights, variants, 1, l, &err), err);
        assert_naive_mask(&small, owl, l, "self_attn.q_proj", targets[l]);
        assert_naive_mask(&small, owl, l, "mlp.down_proj", targets[l]);
        assert_naive_mask(&small, owl, l, "self_attn.o_proj", 0.2);
    }
    small_model_close(&small);
}

static void experts_without_tokens_have_weights_but_no_scores(void **state)
{
    static const char *const scored[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                         "self_attn.o_proj", ""};
    struct small_model_shape shape = small_model_shape();
    struct layer_outliers found[2];
    double targets[2];
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.experts = 3; // 60 tokens: no expert has the 128 that it needs
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    const struct variant *owl = add_owl(&small, 2.3, 0.08);
    count_all_layers(&small, owl);
    assert_ok(targets_and_outliers(targets, found, &small, owl, 2, &err), err);
    for (size_t l = 0; l < 2; l++) {
        const struct layer_outliers expected = naive_outliers(&small, l, 2.3, scored);
        assert_outliers(&found[l], &expected);
        assert_int_equal(found[l].weights, expected.scored + 3 * 3 * 20 * 36);
    }
    assert_mean(targets, found, 2, 0.5);
    small_model_close(&small);
}

static void the_file_is_the_same_bytes_from_one_rank_and_from_all(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    char path[PATH_SIZE], other[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *owl = add_owl(&small, 2.3, 0.08);
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, false);
    small_model_calibrate(&alone, false);
    count_all_layers(&small, owl);
    count_all_layers(&alone, &alone.variants[0]);
    outliers_path(path, &small.settings, owl, 1);
    outliers_path(other, &alone.settings, owl, 1);
    assert_same_file(path, other);
    small_model_close(&alone);
    small_model_close(&small);
}

static void a_file_with_more_outliers_than_scores_is_damaged(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    char path[PATH_SIZE];
    double targets[2];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *owl = add_owl(&small, 5, 0.08);
    outliers_path(path, &small.settings, owl, 0);
    if (small.team.rank == 0) {
        json_t *json =
            json_pack("{s:i, s:i, s:i, s:f}", "weights", 10, "scored", 8, "outliers", 9, "mean_score", 1.0);
        assert_ok(sealed_json_write(path, json, &err), err);
        json_decref(json);
    }
    team_barrier(&small.team);
    assert_int_equal(allocation_targets(targets, &small.settings, owl, 2, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "9 outliers of 8 scores of 10 weights");
    small_model_close(&small);
}

// ---- dlp -------------------------------------------------------------------------------------------------

static struct variant *add_dlp(struct small_model *small, double alpha)
{
    struct variant *variant = small_model_add(small, "dlp", METHOD_WANDA);
    variant->allocation = ALLOCATION_DLP;
    variant->dlp_alpha = alpha;
    return variant;
}

static void find_all_medians(struct small_model *small)
{
    struct error err = {0};
    for (size_t layer = 0; layer < small->model->config.num_hidden_layers; layer++)
        assert_ok(medians_layer(&small->stage, &small->weights, layer, &err), err);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Of the layer's scores by wanda of the linears named, "" ends the list, by sorting them.
static struct layer_median naive_median(const struct small_model *small, size_t layer,
                                        const char *const *linears)
{
    const struct variant wanda = {.method = METHOD_WANDA, .parameters = importance_defaults(METHOD_WANDA)};
    struct layer_median found = {0};
    double *all = NULL;
    for (const char *const *linear = linears; **linear != '\0'; linear++) {
        const struct small_matrix weight = small_dense_weight(small, layer, *linear);
        double *scores = naive_scores(small, &wanda, layer, *linear, false);
        const size_t n = weight.out * weight.in;
        all = realloc(all, (found.scored + n) * sizeof *all);
        memcpy(all + found.scored, scores, n * sizeof *scores);
        found.scored += n;
        free(scores);
        free(weight.values);
    }
    qsort(all, found.scored, sizeof *all, compare_doubles);
    found.median = all[(found.scored - 1) / 2];
    free(all);
    return found;
}

static void medians_are_of_all_allocated_linears_of_a_layer(void **state)
{
    // Layer 0 has a skipped linear, layer 1 one with a ratio of its own.
    static const char *const all[] = {
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj",    ""};
    struct skip skip[] = {{(char *)"layers.0.mlp.down_proj", 0}};
    struct ratio ratio = {.pattern = (char *)"layers.1.self_attn.q_proj", .sparsity = 0.1};
    const struct small_model_shape shape = four_layers();
    double targets[LAYERS], target, least = INFINITY, most = 0, mean = 0, total = 0, pruned = 0;
    struct layer_median found[LAYERS];
    struct small_model small;
    struct error err = {0};
    size_t layers;
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    small.settings.ratios = &ratio;
    small.settings.num_ratios = 1;
    small_model_calibrate(&small, false);
    const struct variant *dlp = add_dlp(&small, 0.2);
    find_all_medians(&small);
    assert_ok(medians_layers(&layers, &small.settings, &err), err);
    assert_int_equal(layers, LAYERS);
    for (size_t l = 0; l < LAYERS; l++) {
        const char *linears[8];
        memcpy(linears, l == 1 ? all + 1 : all, (l == 1 ? 7 : 8) * sizeof *linears);
        if (l == 0)
            linears[6] = "";
        const struct layer_median expected = naive_median(&small, l, linears);
        assert_ok(median_read(&found[l], &small.settings, l, &err), err);
        assert_int_equal(found[l].scored, expected.scored);
        assert_int_equal(found[l].weights, expected.scored);                       // all have scores
        assert_close(found[l].median, expected.median, 0x1p-22 * expected.median); // scores are float32
        least = fmin(least, found[l].median);
        most = fmax(most, found[l].median);
    }
    for (size_t l = 0; l < LAYERS; l++) {
        mean += (double)found[l].weights * 2 * 0.2 * (most - found[l].median) / (most - least);
        total += (double)found[l].weights;
    }
    assert_ok(allocation_targets(targets, &small.settings, dlp, LAYERS, &err), err);
    for (size_t l = 0; l < LAYERS; l++) {
        const double d = 2 * 0.2 * (most - found[l].median) / (most - least);
        assert_close(targets[l], 0.5 + mean / total - d, 1e-14);
        target = target_of_layer(&small, dlp, l);
        assert_true(target == targets[l]);
        pruned += (double)found[l].weights * targets[l];
    }
    assert_close(pruned / total, 0.5, 0x1p-50);
    small_model_close(&small);
}

static void experts_without_tokens_have_no_part_in_the_median(void **state)
{
    static const char *const scored[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                         "self_attn.o_proj", ""};
    struct skip skip = {(char *)"layers.0.self_attn.*", 0};
    struct small_model_shape shape = small_model_shape();
    struct layer_median found;
    double targets[2];
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.experts = 3; // 60 tokens: no expert has the 128 that it needs
    small_model_open(&small, &shape);
    small.settings.skip = &skip;
    small.settings.num_skip = 1;
    small_model_calibrate(&small, false);
    const struct variant *dlp = add_dlp(&small, 0.15);
    find_all_medians(&small);
    const struct layer_median expected = naive_median(&small, 1, scored);
    assert_ok(median_read(&found, &small.settings, 1, &err), err);
    assert_int_equal(found.weights, expected.scored + 3 * 3 * 20 * 36);
    assert_int_equal(found.scored, expected.scored);
    assert_close(found.median, expected.median, 0x1p-22 * expected.median);
    // Layer 0 has no scores at all: it keeps the job's sparsity, and is no layer with the median 0.
    assert_ok(median_read(&found, &small.settings, 0, &err), err);
    assert_int_equal(found.weights, 3 * 3 * 20 * 36);
    assert_int_equal(found.scored, 0);
    assert_true(found.median == 0);
    assert_ok(allocation_targets(targets, &small.settings, dlp, 2, &err), err);
    assert_true(targets[0] == 0.5 && targets[1] == 0.5);
    small_model_close(&small);
}

static void medians_are_the_same_bytes_from_one_rank_and_from_all(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    char path[PATH_SIZE], other[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    add_dlp(&small, 0.15);
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, false);
    small_model_calibrate(&alone, false);
    find_all_medians(&small);
    find_all_medians(&alone);
    run_medians_path(path, small.settings.run, 1);
    run_medians_path(other, alone.settings.run, 1);
    assert_same_file(path, other);
    small_model_close(&alone);
    small_model_close(&small);
}

static void a_median_of_more_scores_than_weights_is_damaged(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    char path[PATH_SIZE];
    double targets[2];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *dlp = add_dlp(&small, 0.15);
    run_medians_path(path, small.settings.run, 0);
    if (small.team.rank == 0) {
        json_t *json = json_pack("{s:i, s:i, s:f}", "weights", 8, "scored", 9, "median_score", 1.0);
        assert_ok(sealed_json_write(path, json, &err), err);
        json_decref(json);
    }
    team_barrier(&small.team);
    assert_int_equal(allocation_targets(targets, &small.settings, dlp, 2, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "9 scores of 8 weights");
    small_model_close(&small);
}

// ---- ratios ----------------------------------------------------------------------------------------------

static void the_last_ratio_that_fits_counts(void **state)
{
    struct ratio ratios[] = {{.pattern = (char *)"*", .sparsity = 0.1},
                             {.pattern = (char *)"layers.1.*", .sparsity = 0.2},
                             {.pattern = (char *)"mlp.*", .sparsity = 0.3}};
    struct settings settings = {.ratios = ratios, .num_ratios = 3};
    (void)state;

    assert_true(linear_sparsity(&settings, 0.5, 0, "self_attn.q_proj") == 0.1);
    assert_true(linear_sparsity(&settings, 0.5, 1, "self_attn.q_proj") == 0.2);
    assert_true(linear_sparsity(&settings, 0.5, 1, "mlp.up_proj") == 0.3);
    settings.num_ratios = 0;
    assert_true(linear_sparsity(&settings, 0.5, 1, "mlp.up_proj") == 0.5);
}

static void a_ratio_that_fits_no_pruned_linear_is_refused(void **state)
{
    struct ratio ratios[] = {{.pattern = (char *)"layers.1.mlp.*", .sparsity = 0.1, .line = 7},
                             {.pattern = (char *)"mlp.*", .sparsity = 0.2, .line = 8},
                             {.pattern = (char *)"mlp.down_proj", .sparsity = 0.3, .line = 9}};
    struct skip skip[] = {{(char *)"mlp.down_proj", 0}};
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.ratios = ratios;
    small.settings.num_ratios = 3;
    // The first never counts, because the second fits all that it fits; that is no mistake.
    assert_ok(allocation_check(small.model, &small.settings, "job.yaml", &err), err);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    assert_int_equal(allocation_check(small.model, &small.settings, "job.yaml", &err), STATUS_USAGE);
    assert_error(err, STATUS_USAGE, "job.yaml:9: prune.ratios: 'mlp.down_proj' fits no linear");
    small_model_close(&small);
}

static void a_pattern_of_skip_must_fit_something(void **state)
{
    // The second fits only what the first skips already, which is no mistake.
    struct skip skip[] = {
        {(char *)"mlp.*", 7}, {(char *)"layers.1.mlp.up_proj", 8}, {(char *)"down_proj", 9}};
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = skip;
    small.settings.num_skip = 2;
    assert_ok(allocation_check(small.model, &small.settings, "job.yaml", &err), err);
    small.settings.num_skip = 3;
    assert_int_equal(allocation_check(small.model, &small.settings, "job.yaml", &err), STATUS_USAGE);
    assert_error(err, STATUS_USAGE, "job.yaml:9: prune.skip: 'down_proj' fits no linear");
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(outliers_are_the_scores_above_a_multiple_of_their_mean),
        mpi_unit_test(targets_spread_by_the_outliers_around_the_sparsity),
        mpi_unit_test(masks_have_the_sparsity_of_their_layer),
        mpi_unit_test(experts_without_tokens_have_weights_but_no_scores),
        mpi_unit_test(the_file_is_the_same_bytes_from_one_rank_and_from_all),
        mpi_unit_test(a_file_with_more_outliers_than_scores_is_damaged),
        mpi_unit_test(medians_are_of_all_allocated_linears_of_a_layer),
        mpi_unit_test(experts_without_tokens_have_no_part_in_the_median),
        mpi_unit_test(medians_are_the_same_bytes_from_one_rank_and_from_all),
        mpi_unit_test(a_median_of_more_scores_than_weights_is_damaged),
        mpi_unit_test(the_last_ratio_that_fits_counts),
        mpi_unit_test(a_ratio_that_fits_no_pruned_linear_is_refused),
        mpi_unit_test(a_pattern_of_skip_must_fit_something),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
