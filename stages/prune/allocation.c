#include "stages/prune/allocation.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "kernels/pruning/outliers.h"
#include "stages/prune/linear_statistics.h"

#include <float.h>
#include <jansson.h>
#include <stdlib.h>

double linear_sparsity(const struct settings *settings, double target, size_t layer, const char *linear)
{
    const struct ratio *ratio = linear_ratio(settings, layer, linear);
    return ratio != NULL ? ratio->sparsity : target;
}

static bool is_allocated(const struct settings *settings, size_t layer, const struct layer_tensor *tensor)
{
    return tensor_is_pruned(settings, layer, tensor) && linear_ratio(settings, layer, tensor->linear) == NULL;
}

// ---- counting outliers --------------------------------------------------------------------------------

// The allocated linears of a layer, and their scores, on one rank.
struct counter {
    const struct stage *stage;
    const struct layer_weights *weights;
    const struct store_reader *statistics;
    float *factors; // [widest] of the current linear
    float *scores;  // [widest] of one row
    double *sums;   // [tallest] of the rows of the current linear
};

// This rank's rows of a linear, and whether they have scores: the calibration saw enough of the linear.
struct counted_rows {
    size_t first, count;
    bool scored;
};

static void counter_free(struct counter *c)
{
    free(c->factors);
    free(c->scores);
    free(c->sums);
}

static enum status counter_create(struct counter *c, const struct stage *stage,
                                  const struct layer_weights *weights, const struct store_reader *statistics,
                                  struct error *err)
{
    size_t widest = 0, tallest = 0;

    *c = (struct counter){.stage = stage, .weights = weights, .statistics = statistics};
    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        if (!is_allocated(stage->settings, weights->map.layer, tensor))
            continue;
        widest = tensor->in > widest ? tensor->in : widest;
        tallest = tensor->out > tallest ? tensor->out : tallest;
    }
    FORWARD_IF_ERROR(allocate_aligned(&c->factors, widest, sizeof(float), "importance factors", err));
    FORWARD_IF_ERROR(allocate_aligned(&c->scores, widest, sizeof(float), "scores of one row", err));
    return allocate(&c->sums, tallest, sizeof *c->sums, "sums of scores", err);
}

// wanda's factors of the linear's columns.
static enum status read_factors(struct counter *c, const struct layer_tensor *tensor, bool *scored,
                                struct error *err)
{
    const struct importance_parameters parameters = importance_defaults(METHOD_WANDA);
    struct linear_statistics statistics;
    const enum status status = linear_statistics_read(&statistics, c->statistics, tensor, err);

    *scored = statistics.suffice;
    if (status == STATUS_OK)
        importance_factors(c->factors, METHOD_WANDA, &parameters, statistics.second_moment, NULL, NULL,
                           tensor->in);
    linear_statistics_free(&statistics);
    return status;
}

// Makes a linear the current one. Collective.
static enum status begin_linear(struct counter *c, struct counted_rows *rows,
                                const struct layer_tensor *tensor, struct error *err)
{
    const struct team *team = c->stage->team;
    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &rows->first, &rows->count);
    return team_agree(team, read_factors(c, tensor, &rows->scored, err), err);
}

static void score_row(struct counter *c, const struct layer_tensor *tensor, size_t row)
{
    importance_row(c->scores, layer_weights_of(c->weights, tensor) + row * tensor->in, c->factors, NULL,
                   tensor->in);
}

// *sum += the linear's scores, *scored += how many there are. The rank that has a row sums it, then all ranks
// add the rows in their order.
static enum status add_scores(struct counter *c, const struct layer_tensor *tensor, double *sum,
                              uint64_t *scored, struct error *err)
{
    struct counted_rows rows;

    FORWARD_IF_ERROR(begin_linear(c, &rows, tensor, err));
    if (!rows.scored)
        return STATUS_OK;
    *scored += (uint64_t)tensor->out * tensor->in;
    for (size_t row = rows.first; row < rows.first + rows.count; row++) {
        score_row(c, tensor, row);
        c->sums[row] = outlier_sum(c->scores, tensor->in);
    }
    FORWARD_IF_ERROR(team_allgather(c->stage->team, c->sums, tensor->out, sizeof *c->sums, err));
    for (size_t row = 0; row < tensor->out; row++)
        *sum += c->sums[row];
    return STATUS_OK;
}

// *outliers += how many of the linear's scores on this rank are above limit.
static enum status count_outliers(struct counter *c, const struct layer_tensor *tensor, double limit,
                                  uint64_t *outliers, struct error *err)
{
    struct counted_rows rows;

    FORWARD_IF_ERROR(begin_linear(c, &rows, tensor, err));
    for (size_t row = rows.first; row < rows.first + rows.count && rows.scored; row++) {
        score_row(c, tensor, row);
        *outliers += outlier_count(c->scores, tensor->in, limit);
    }
    return STATUS_OK;
}

static enum status count_layer(struct layer_outliers *found, struct counter *c, double threshold,
                               struct error *err)
{
    const struct layer_map *map = &c->weights->map;
    const struct settings *settings = c->stage->settings;
    double sum = 0;

    *found = (struct layer_outliers){0};
    for (size_t i = 0; i < map->num_tensors; i++) {
        if (!is_allocated(settings, map->layer, &map->tensors[i]))
            continue;
        FORWARD_IF_ERROR(
            stage_safe_point(c->stage, STATUS_OK, 0.5 * (double)i / (double)map->num_tensors, err));
        FORWARD_IF_ERROR(add_scores(c, &map->tensors[i], &sum, &found->scored, err));
        found->weights += (uint64_t)map->tensors[i].out * map->tensors[i].in;
    }
    if (found->scored == 0)
        return STATUS_OK;
    found->mean = sum / (double)found->scored;
    RETURN_ERROR_IF(!(found->mean <= DBL_MAX), err, STATUS_INPUT,
                    "layers.%zu: the mean of its importance is not finite, so that owl cannot find its "
                    "outliers",
                    map->layer);
    for (size_t i = 0; i < map->num_tensors; i++)
        if (is_allocated(settings, map->layer, &map->tensors[i]))
            FORWARD_IF_ERROR(
                count_outliers(c, &map->tensors[i], threshold * found->mean, &found->outliers, err));
    return team_sum_u64(c->stage->team, &found->outliers, 1, err);
}

// ---- the file ---------------------------------------------------------------------------------------------

void outliers_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                   size_t layer)
{
    run_outliers_path(path, settings->run, variant->owl_threshold, layer);
}

double outlier_ratio(const struct layer_outliers *outliers)
{
    return outliers->scored > 0 ? (double)outliers->outliers / (double)outliers->scored : 0;
}

static enum status write_outliers(const struct layer_outliers *found, const struct stage *stage,
                                  const struct variant *variant, size_t layer, struct error *err)
{
    const struct settings *settings = stage->settings;
    char path[PATH_SIZE];
    json_t *json = json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:f, s:f}", "layer", (json_int_t)layer, "layers",
                             (json_int_t)stage->model->config.num_hidden_layers, "threshold",
                             variant->owl_threshold, "weights", (json_int_t)found->weights, "scored",
                             (json_int_t)found->scored, "outliers", (json_int_t)found->outliers, "mean_score",
                             found->mean, "outlier_ratio", outlier_ratio(found));

    outliers_path(path, settings, variant, layer);
    const enum status status = json != NULL ? sealed_json_write(path, json, err)
                                            : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}

static enum status read_outliers(struct layer_outliers *found, const struct settings *settings,
                                 const struct variant *variant, size_t layer, struct error *err)
{
    char path[PATH_SIZE];
    json_error_t where;
    json_int_t weights, scored, outliers;
    json_t *json = NULL;

    outliers_path(path, settings, variant, layer);
    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    const int bad = json_unpack_ex(json, &where, 0, "{s:I, s:I, s:I, s:F}", "weights", &weights, "scored",
                                   &scored, "outliers", &outliers, "mean_score", &found->mean);
    json_decref(json);
    RETURN_ERROR_IF(bad != 0, err, STATUS_DAMAGED, "%s: %s", path, where.text);
    RETURN_ERROR_IF(outliers < 0 || outliers > scored || scored > weights, err, STATUS_DAMAGED,
                    "%s: %lld outliers of %lld scores of %lld weights", path, (long long)outliers,
                    (long long)scored, (long long)weights);
    found->scored = (uint64_t)scored;
    found->weights = (uint64_t)weights;
    found->outliers = (uint64_t)outliers;
    return STATUS_OK;
}

enum status outliers_layers(size_t *layers, const struct settings *settings, const struct variant *variant,
                            struct error *err)
{
    char path[PATH_SIZE];
    json_int_t count = 0;
    json_t *json = NULL;

    outliers_path(path, settings, variant, 0);
    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    count = json_integer_value(json_object_get(json, "layers"));
    json_decref(json);
    RETURN_ERROR_IF(count < 1, err, STATUS_DAMAGED, "%s: does not say how many layers there are", path);
    *layers = (size_t)count;
    return STATUS_OK;
}

enum status outliers_layer(const struct stage *stage, struct layer_weights *weights,
                           const struct variant *variant, size_t layer, struct error *err)
{
    struct store_reader *statistics = NULL;
    struct counter counter = {0};
    struct layer_outliers found;
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    run_layer_path(path, stage->settings->run, RUN_STATISTICS, DENSE_NAME, layer);
    FORWARD_IF_ERROR(store_open(&statistics, path, stage->team->comm, err));
    status = counter_create(&counter, stage, weights, statistics, err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    GOTO_IF_ERROR(count_layer(&found, &counter, variant->owl_threshold, err), done);
    if (stage->team->rank == 0)
        status = write_outliers(&found, stage, variant, layer, err);
    status = team_agree(stage->team, status, err);
done:
    counter_free(&counter);
    store_close(statistics);
    return status;
}

// ---- targets ----------------------------------------------------------------------------------------------

static enum status targets_by_outliers(double *targets, struct layer_outliers *outliers,
                                       const struct settings *settings, const struct variant *variant,
                                       size_t layers, struct error *err)
{
    double *ratios = NULL, *weights = NULL;
    enum status status = allocate(&ratios, layers, sizeof *ratios, "outlier ratios", err);

    if (status == STATUS_OK)
        status = allocate(&weights, layers, sizeof *weights, "outlier ratios", err);
    for (size_t l = 0; l < layers && status == STATUS_OK; l++) {
        struct layer_outliers found;
        status = read_outliers(&found, settings, variant, l, err);
        if (status != STATUS_OK)
            break;
        weights[l] = (double)found.weights;
        ratios[l] = outlier_ratio(&found);
        if (outliers != NULL)
            outliers[l] = found;
    }
    if (status == STATUS_OK)
        outlier_targets(targets, ratios, weights, layers, variant->sparsity, variant->owl_range);
    free(ratios);
    free(weights);
    return status;
}

enum status allocation_targets(double *targets, struct layer_outliers *outliers,
                               const struct settings *settings, const struct variant *variant, size_t layers,
                               struct error *err)
{
    if (variant->allocation == ALLOCATION_OWL)
        return targets_by_outliers(targets, outliers, settings, variant, layers, err);
    for (size_t l = 0; l < layers; l++) {
        targets[l] = variant->sparsity;
        if (outliers != NULL)
            outliers[l] = (struct layer_outliers){0};
    }
    return STATUS_OK;
}

enum status allocation_target(double *target, const struct stage *stage, const struct variant *variant,
                              size_t layer, struct error *err)
{
    const size_t layers = stage->model->config.num_hidden_layers;
    double *targets = NULL;
    enum status status = STATUS_OK;

    *target = variant->sparsity;
    if (variant->allocation != ALLOCATION_OWL)
        return STATUS_OK;
    if (stage->team->rank == 0) {
        status = allocate(&targets, layers, sizeof *targets, "the sparsity of the layers", err);
        if (status == STATUS_OK)
            status = allocation_targets(targets, NULL, stage->settings, variant, layers, err);
        if (status == STATUS_OK)
            *target = targets[layer];
        free(targets);
    }
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    return team_broadcast(stage->team, target, sizeof *target, 0, err);
}

// ---- the job ----------------------------------------------------------------------------------------------

static bool skips_any(const struct settings *settings, size_t s, const struct layer_map *map)
{
    struct settings one = *settings;
    one.skip = &settings->skip[s];
    one.num_skip = 1;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0' && linear_is_skipped(&one, map->layer, map->tensors[i].linear))
            return true;
    return false;
}

// Sets skips[s] where pattern s of settings->num_skip fits a linear of the layer, and found[r] where pattern
// r of settings->num_ratios, taken by itself, fits a pruned linear of the layer.
static void find_fits(uint8_t *skips, uint8_t *found, const struct settings *settings,
                      const struct layer_map *map)
{
    for (size_t s = 0; s < settings->num_skip; s++)
        skips[s] = skips[s] != 0 || skips_any(settings, s, map);
    for (size_t r = 0; r < settings->num_ratios; r++) {
        struct settings one = *settings;
        one.ratios = &settings->ratios[r];
        one.num_ratios = 1;
        for (size_t i = 0; i < map->num_tensors && found[r] == 0; i++)
            found[r] = tensor_is_pruned(settings, map->layer, &map->tensors[i]) &&
                       linear_ratio(&one, map->layer, map->tensors[i].linear) != NULL;
    }
}

enum status allocation_check(const struct model *model, const struct settings *settings, const char *job,
                             struct error *err)
{
    uint8_t *skips = NULL, *found = NULL;
    enum status status = allocate(&found, settings->num_ratios, 1, "prune.ratios", err);

    if (status == STATUS_OK)
        status = allocate(&skips, settings->num_skip, 1, "prune.skip", err);
    for (size_t l = 0; l < model->config.num_hidden_layers && status == STATUS_OK; l++) {
        struct layer_map map;
        status = layer_map_create(&map, model, l, err);
        if (status != STATUS_OK)
            break;
        find_fits(skips, found, settings, &map);
        layer_map_free(&map);
    }
    for (size_t s = 0; s < settings->num_skip && status == STATUS_OK; s++)
        if (skips[s] == 0)
            status = error_set(err, STATUS_USAGE, "%s:%zu: prune.skip: '%.100s' fits no linear of the model",
                               job, settings->skip[s].line, settings->skip[s].pattern);
    for (size_t r = 0; r < settings->num_ratios && status == STATUS_OK; r++)
        if (found[r] == 0)
            status = error_set(err, STATUS_USAGE,
                               "%s:%zu: prune.ratios: '%.100s' fits no linear of the model that is pruned",
                               job, settings->ratios[r].line, settings->ratios[r].pattern);
    free(skips);
    free(found);
    return status;
}
