#include "stages/prune/outlier_counts.h"

#include "io/file/sealed_json.h"
#include "kernels/pruning/allocation/outliers.h"
#include "stages/prune/layer_finding.h"
#include "stages/prune/layer_scores.h"

#include <float.h>

// *sum += the linear's scores, *scored += how many there are. The rank that has a row sums it, then all ranks
// add the rows in their order.
static enum status add_scores(struct layer_scores *c, const struct layer_tensor *tensor, double *sum,
                              uint64_t *scored, struct error *err)
{
    struct scored_rows rows;

    FORWARD_IF_ERROR(layer_scores_begin(c, &rows, tensor, err));
    if (!rows.scored)
        return STATUS_OK;
    *scored += (uint64_t)tensor->out * tensor->in;
    for (size_t row = rows.first; row < rows.first + rows.count; row++) {
        layer_scores_row(c, tensor, row);
        c->sums[row] = outlier_sum(c->scores, tensor->in);
    }
    FORWARD_IF_ERROR(team_allgather(c->stage->team, c->sums, tensor->out, sizeof *c->sums, err));
    for (size_t row = 0; row < tensor->out; row++)
        *sum += c->sums[row];
    return STATUS_OK;
}

// *outliers += how many of the linear's scores on this rank are above limit.
static enum status count_outliers(struct layer_scores *c, const struct layer_tensor *tensor, double limit,
                                  uint64_t *outliers, struct error *err)
{
    struct scored_rows rows;

    FORWARD_IF_ERROR(layer_scores_begin(c, &rows, tensor, err));
    for (size_t row = rows.first; row < rows.first + rows.count && rows.scored; row++) {
        layer_scores_row(c, tensor, row);
        *outliers += outlier_count(c->scores, tensor->in, limit);
    }
    return STATUS_OK;
}

static enum status count_layer(struct layer_outliers *found, struct layer_scores *c, double threshold,
                               struct error *err)
{
    const struct layer_map *map = &c->weights->map;
    const struct settings *settings = c->stage->settings;
    double sum = 0;

    *found = (struct layer_outliers){0};
    for (size_t i = 0; i < map->num_tensors; i++) {
        if (!linear_is_allocated(settings, map->layer, &map->tensors[i]))
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
        if (linear_is_allocated(settings, map->layer, &map->tensors[i]))
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

// Collective.
static enum status write_outliers(const struct layer_outliers *found, const struct stage *stage,
                                  const struct variant *variant, size_t layer, struct error *err)
{
    char path[PATH_SIZE];

    outliers_path(path, stage->settings, variant, layer);
    return layer_finding_write(
        path,
        json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:f, s:f}", "layer", (json_int_t)layer, "layers",
                  (json_int_t)stage->model->config.num_hidden_layers, "threshold", variant->owl_threshold,
                  "weights", (json_int_t)found->weights, "scored", (json_int_t)found->scored, "outliers",
                  (json_int_t)found->outliers, "mean_score", found->mean, "outlier_ratio",
                  outlier_ratio(found)),
        stage, err);
}

enum status outliers_read(struct layer_outliers *found, const struct settings *settings,
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
    outliers_path(path, settings, variant, 0);
    return layer_finding_layers(layers, path, err);
}

enum status outliers_layer(const struct stage *stage, struct layer_weights *weights,
                           const struct variant *variant, size_t layer, struct error *err)
{
    struct layer_scores scores;
    struct layer_outliers found;
    enum status status = layer_scores_open(&scores, stage, weights, layer, err);

    if (status == STATUS_OK)
        status = count_layer(&found, &scores, variant->owl_threshold, err);
    if (status == STATUS_OK)
        status = write_outliers(&found, stage, variant, layer, err);
    layer_scores_close(&scores);
    return status;
}
