#include "stages/prune/layer_scores.h"

#include "io/file/run_paths.h"
#include "stages/prune/linear_statistics.h"

#include <stdlib.h>

bool linear_is_allocated(const struct settings *settings, size_t layer, const struct layer_tensor *tensor)
{
    return tensor_is_pruned(settings, layer, tensor) && linear_ratio(settings, layer, tensor->linear) == NULL;
}

static enum status make_room(struct layer_scores *c, struct error *err)
{
    const struct layer_map *map = &c->weights->map;
    size_t widest = 0, tallest = 0;

    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (!linear_is_allocated(c->stage->settings, map->layer, tensor))
            continue;
        widest = tensor->in > widest ? tensor->in : widest;
        tallest = tensor->out > tallest ? tensor->out : tallest;
    }
    FORWARD_IF_ERROR(allocate_aligned(&c->factors, widest, sizeof(float), "importance factors", err));
    FORWARD_IF_ERROR(allocate_aligned(&c->scores, widest, sizeof(float), "scores of one row", err));
    return allocate(&c->sums, tallest, sizeof *c->sums, "sums of scores", err);
}

enum status layer_scores_open(struct layer_scores *c, const struct stage *stage,
                              struct layer_weights *weights, size_t layer, struct error *err)
{
    char path[PATH_SIZE];

    *c = (struct layer_scores){.stage = stage, .weights = weights};
    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    run_layer_path(path, stage->settings->run, RUN_STATISTICS, DENSE_NAME, layer);
    FORWARD_IF_ERROR(store_open(&c->statistics, path, stage->team->comm, err));
    return team_agree(stage->team, make_room(c, err), err);
}

void layer_scores_close(struct layer_scores *c)
{
    store_close(c->statistics);
    free(c->factors);
    free(c->scores);
    free(c->sums);
}

// wanda's factors of the linear's columns.
static enum status read_factors(struct layer_scores *c, const struct layer_tensor *tensor, bool *scored,
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

enum status layer_scores_begin(struct layer_scores *c, struct scored_rows *rows,
                               const struct layer_tensor *tensor, struct error *err)
{
    const struct team *team = c->stage->team;
    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &rows->first, &rows->count);
    return team_agree(team, read_factors(c, tensor, &rows->scored, err), err);
}

void layer_scores_row(struct layer_scores *c, const struct layer_tensor *tensor, size_t row)
{
    importance_row(c->scores, layer_weights_of(c->weights, tensor) + row * tensor->in, c->factors, NULL,
                   tensor->in);
}
