#include "stages/prune/cuts.h"

#include "io/file/run_paths.h"
#include "kernels/pruning/masks/select.h"
#include "stages/prune/allocation.h"
#include "stages/prune/linear_order.h"

#include <stdlib.h>
#include <string.h>

bool variants_share_scores(const struct variant *a, const struct variant *b)
{
    return a->method == b->method && a->drift == b->drift && a->parameters.alpha == b->parameters.alpha &&
           a->parameters.epsilon == b->parameters.epsilon && a->parameters.exponent == b->parameters.exponent;
}

static enum status declare_mask(const struct layer_tensor *tensor, struct store_writer *writer,
                                struct error *err)
{
    const struct store_shape shape = {.type = STORE_U8,
                                      .rank = 2,
                                      .dims = {tensor->out, mask_row_bytes(tensor->in)},
                                      .meaning = "bit k of byte b of a row is column 8b + k; 1 = kept"};
    char name[DATASET_PATH_SIZE];

    dataset_path(name, tensor->linear, DATASET_MASK);
    FORWARD_IF_ERROR(store_declare(writer, name, &shape, err));
    return store_attribute_u64(writer, name, "columns", tensor->in, err);
}

enum status cuts_open(struct cut *cuts, const struct stage *stage, const struct variant *const *variants,
                      size_t count, const struct layer_map *map, struct error *err)
{
    char path[PATH_SIZE];

    memset(cuts, 0, count * sizeof *cuts);
    for (size_t k = 0; k < count; k++) {
        cuts[k].variant = variants[k];
        const enum status status =
            allocate(&cuts[k].targets, map->num_tensors, sizeof *cuts[k].targets, "sparsities", err);
        FORWARD_IF_ERROR(team_agree(stage->team, status, err));
        FORWARD_IF_ERROR(allocation_of_layer(cuts[k].targets, stage, variants[k], map, err));
        run_layer_path(path, stage->settings->run, RUN_MASKS, variants[k]->name, map->layer);
        FORWARD_IF_ERROR(
            store_create(&cuts[k].writer, path, settings_origin(stage->settings), stage->team->comm, err));
        for (size_t i = 0; i < map->num_tensors; i++)
            if (tensor_is_pruned(stage->settings, map->layer, &map->tensors[i]))
                FORWARD_IF_ERROR(declare_mask(&map->tensors[i], cuts[k].writer, err));
        FORWARD_IF_ERROR(linear_orders_declare(stage, variants[k], map, cuts[k].writer, err));
    }
    return STATUS_OK;
}

enum status updates_declare(const struct cut *cut, const struct settings *settings,
                            const struct layer_map *map, const char *meaning, struct error *err)
{
    char name[DATASET_PATH_SIZE];
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        const struct store_shape shape = {
            .type = STORE_F32, .rank = 2, .dims = {tensor->out, tensor->in}, .meaning = meaning};
        if (!tensor_is_pruned(settings, map->layer, tensor))
            continue;
        dataset_path(name, tensor->linear, DATASET_UPDATE);
        FORWARD_IF_ERROR(store_declare(cut->writer, name, &shape, err));
    }
    return STATUS_OK;
}

static bool is_same_cut(const struct cut *a, const struct cut *b)
{
    const struct variant *x = a->variant, *y = b->variant;
    if (x->is_pattern || y->is_pattern)
        return x->is_pattern && y->is_pattern && x->keep == y->keep && x->of == y->of &&
               x->permute == y->permute;
    return a->sparsity == b->sparsity && x->group == y->group;
}

void cuts_begin_linear(struct cut *cuts, size_t count, const struct layer_map *map,
                       const struct layer_tensor *tensor)
{
    for (size_t k = 0; k < count; k++) {
        cuts[k].sparsity = cuts[k].targets[tensor - map->tensors];
        cuts[k].like = 0;
        while (!is_same_cut(&cuts[cuts[k].like], &cuts[k]))
            cuts[k].like++;
    }
}

enum status cuts_finish(struct cut *cuts, size_t count, enum status status, struct error *err)
{
    for (size_t k = 0; k < count; k++) {
        if (status == STATUS_OK)
            status = store_commit(cuts[k].writer, err);
        else
            store_abandon(cuts[k].writer);
        cuts[k].writer = NULL;
        free(cuts[k].targets);
        cuts[k].targets = NULL;
    }
    return status;
}

enum status mask_write(struct store_writer *writer, const struct team *team,
                       const struct layer_tensor *tensor, const struct mask_rows *rows, struct error *err)
{
    const size_t bytes = mask_row_bytes(tensor->in);
    uint64_t kept = 0;
    char name[DATASET_PATH_SIZE];

    for (size_t row = 0; row < rows->count; row++)
        kept += mask_count(rows->mask + row * bytes, tensor->in);
    FORWARD_IF_ERROR(team_sum_u64(team, &kept, 1, err));
    dataset_path(name, tensor->linear, DATASET_MASK);
    FORWARD_IF_ERROR(store_attribute_u64(writer, name, "kept", kept, err));
    return store_write(writer, name, rows->first, rows->count, rows->mask, err);
}
