#include "stages/export/permutation.h"

#include "io/file/run_paths.h"
#include "io/model/free_channels.h"
#include "io/store/store.h"

#include <stdio.h>

static json_t *qualified(size_t layer, const char *linear)
{
    char name[DATASET_PATH_SIZE];
    snprintf(name, sizeof name, "layers.%zu.%s", layer, linear);
    return json_string(name);
}

// Adds the order of one linear's columns, if it has one.
static enum status describe_order(json_t *array, const struct layer_map *map,
                                  const struct layer_tensor *tensor, const struct store_reader *masks,
                                  struct error *err)
{
    double before, after;
    bool is_there;
    char name[DATASET_PATH_SIZE];

    dataset_path(name, tensor->linear, DATASET_ORDER);
    FORWARD_IF_ERROR(store_find(masks, name, &is_there, err));
    if (!is_there)
        return STATUS_OK;
    FORWARD_IF_ERROR(store_read_attribute_f64(masks, name, "kept_before", &before, err));
    FORWARD_IF_ERROR(store_read_attribute_f64(masks, name, "kept_after", &after, err));
    json_t *rows = json_array();
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0' && free_rows_reader(map, &map->tensors[i]) == tensor)
            json_array_append_new(rows, qualified(map->layer, map->tensors[i].linear));
    json_t *row =
        json_pack("{s:o, s:o, s:f, s:f, s:f}", "columns", qualified(map->layer, tensor->linear), "rows", rows,
                  "kept_before", before, "kept_after", after, "gain", before > 0 ? after / before - 1 : 0);
    RETURN_ERROR_IF(row == NULL || json_array_append_new(array, row) != 0, err, STATUS_MEMORY,
                    "out of memory for coppice.json");
    return STATUS_OK;
}

static enum status describe_layer(json_t *array, const struct stage *stage, const struct variant *variant,
                                  size_t layer, struct error *err)
{
    struct store_reader *masks = NULL;
    struct layer_map map;
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_map_create(&map, stage->model, layer, err));
    run_layer_path(path, stage->settings->run, RUN_MASKS, variant->name, layer);
    status = store_open(&masks, path, MPI_COMM_SELF, err);
    for (size_t i = 0; i < map.num_tensors && status == STATUS_OK; i++)
        if (tensor_is_pruned(stage->settings, layer, &map.tensors[i]))
            status = describe_order(array, &map, &map.tensors[i], masks, err);
    store_close(masks);
    layer_map_free(&map);
    return status;
}

enum status permutation_describe(json_t **array, const struct stage *stage, const struct variant *variant,
                                 struct error *err)
{
    enum status status = STATUS_OK;

    *array = NULL;
    if (!variant->permute)
        return STATUS_OK;
    *array = json_array();
    for (size_t layer = 0; layer < stage->model->config.num_hidden_layers && status == STATUS_OK; layer++)
        status = describe_layer(*array, stage, variant, layer, err);
    if (status == STATUS_OK)
        return STATUS_OK;
    json_decref(*array);
    *array = NULL;
    return status;
}
