#include "stages/prune/median_scores.h"

#include "io/file/sealed_json.h"
#include "kernels/pruning/allocation/layer_medians.h"
#include "stages/prune/layer_finding.h"
#include "stages/prune/layer_scores.h"

#include <math.h>
#include <stdlib.h>

// histogram += the linear's scores on this rank that the search still looks at. Collective.
static enum status count_linear(struct layer_scores *scores, const struct layer_tensor *tensor,
                                const struct select_search *search, uint64_t *histogram, struct error *err)
{
    struct scored_rows rows;

    FORWARD_IF_ERROR(layer_scores_begin(scores, &rows, tensor, err));
    for (size_t row = rows.first; row < rows.first + rows.count && rows.scored; row++) {
        layer_scores_row(scores, tensor, row);
        select_search_count(search, histogram, scores->scores, tensor->in);
    }
    return STATUS_OK;
}

// One digit of the search, over all linears of the layer.
static enum status narrow(struct select_search *search, struct layer_scores *scores, uint64_t *histogram,
                          struct error *err)
{
    const struct layer_map *map = &scores->weights->map;

    for (size_t i = 0; i < SELECT_BINS; i++)
        histogram[i] = 0;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (linear_is_allocated(scores->stage->settings, map->layer, &map->tensors[i]))
            FORWARD_IF_ERROR(count_linear(scores, &map->tensors[i], search, histogram, err));
    FORWARD_IF_ERROR(team_sum_u64(scores->stage->team, histogram, SELECT_BINS, err));
    select_search_narrow(search, histogram);
    return STATUS_OK;
}

static enum status count_scores(struct layer_median *found, struct layer_scores *scores, struct error *err)
{
    const struct layer_map *map = &scores->weights->map;
    struct scored_rows rows;

    *found = (struct layer_median){0};
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (!linear_is_allocated(scores->stage->settings, map->layer, tensor))
            continue;
        FORWARD_IF_ERROR(layer_scores_begin(scores, &rows, tensor, err));
        found->weights += (uint64_t)tensor->out * tensor->in;
        found->scored += rows.scored ? (uint64_t)tensor->out * tensor->in : 0;
    }
    return STATUS_OK;
}

static enum status find_median(struct layer_median *found, struct layer_scores *scores, struct error *err)
{
    struct select_search search;
    uint64_t *histogram = NULL;
    enum status status = allocate(&histogram, SELECT_BINS, sizeof *histogram, "a histogram of scores", err);

    GOTO_IF_ERROR(team_agree(scores->stage->team, status, err), done);
    GOTO_IF_ERROR(count_scores(found, scores, err), done);
    if (found->scored == 0)
        goto done;
    median_search_begin(&search, found->scored);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        GOTO_IF_ERROR(stage_safe_point(scores->stage, STATUS_OK, (double)digit / (double)SELECT_DIGITS, err),
                      done);
        GOTO_IF_ERROR(narrow(&search, scores, histogram, err), done);
    }
    found->median = (double)median_search_found(&search);
    if (!isfinite(found->median))
        status = error_set(err, STATUS_INPUT,
                           "layers.%zu: the median of its importance is not finite, so that dlp cannot "
                           "compare it with others",
                           scores->weights->map.layer);
done:
    free(histogram);
    return status;
}

// ---- the file ---------------------------------------------------------------------------------------------

// Collective.
static enum status write_median(const struct layer_median *found, const struct stage *stage, size_t layer,
                                struct error *err)
{
    char path[PATH_SIZE];

    run_medians_path(path, stage->settings->run, layer);
    return layer_finding_write(path,
                               json_pack("{s:I, s:I, s:I, s:I, s:f}", "layer", (json_int_t)layer, "layers",
                                         (json_int_t)stage->model->config.num_hidden_layers, "weights",
                                         (json_int_t)found->weights, "scored", (json_int_t)found->scored,
                                         "median_score", found->median),
                               stage, err);
}

enum status median_read(struct layer_median *found, const struct settings *settings, size_t layer,
                        struct error *err)
{
    char path[PATH_SIZE];
    json_error_t where;
    json_int_t weights, scored;
    json_t *json = NULL;

    run_medians_path(path, settings->run, layer);
    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    const int bad = json_unpack_ex(json, &where, 0, "{s:I, s:I, s:F}", "weights", &weights, "scored", &scored,
                                   "median_score", &found->median);
    json_decref(json);
    RETURN_ERROR_IF(bad != 0, err, STATUS_DAMAGED, "%s: %s", path, where.text);
    RETURN_ERROR_IF(scored < 0 || scored > weights || !(found->median >= 0), err, STATUS_DAMAGED,
                    "%s: a median of %g of %lld scores of %lld weights", path, found->median,
                    (long long)scored, (long long)weights);
    found->scored = (uint64_t)scored;
    found->weights = (uint64_t)weights;
    return STATUS_OK;
}

enum status medians_layers(size_t *layers, const struct settings *settings, struct error *err)
{
    char path[PATH_SIZE];
    run_medians_path(path, settings->run, 0);
    return layer_finding_layers(layers, path, err);
}

enum status medians_layer(const struct stage *stage, struct layer_weights *weights, size_t layer,
                          struct error *err)
{
    struct layer_scores scores;
    struct layer_median found;
    enum status status = layer_scores_open(&scores, stage, weights, layer, err);

    if (status == STATUS_OK)
        status = find_median(&found, &scores, err);
    if (status == STATUS_OK)
        status = write_median(&found, stage, layer, err);
    layer_scores_close(&scores);
    return status;
}
