#include "stages/export/dequantised.h"

#include "io/file/commit.h"
#include "io/file/json.h"
#include "io/file/run_paths.h"
#include "io/model/weights/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const index_name = CHECKPOINT_INDEX;

enum status rewrite_json(const char *path, const struct stage *stage,
                         enum status (*change)(json_t *json, const struct stage *stage, struct error *err),
                         struct error *err)
{
    json_t *json;
    char *text = NULL;
    enum status status;

    FORWARD_IF_ERROR(json_read(&json, path, err));
    status = json_is_object(json) ? change(json, stage, err)
                                  : error_set(err, STATUS_INPUT, "%s: not a JSON object", path);
    if (status == STATUS_OK)
        text = json_dumps(json, JSON_INDENT(2));
    if (status == STATUS_OK && text == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    if (status == STATUS_OK)
        status = commit_bytes(path, text, strlen(text), err);
    free(text);
    json_decref(json);
    return status;
}

// Whether it has codes, and they are not kept.
static bool is_dequantised(const struct model *model)
{
    return checkpoint_is_coded(model->checkpoint) && !model->checkpoint->keeps_codes;
}

static enum status change_config(json_t *json, const struct stage *stage, struct error *err)
{
    json_t *text = json_object_get(json, "text_config"); // a model inside a larger one may say it, too

    (void)stage;
    (void)err;
    json_object_del(json, "quantization_config");
    json_object_del(json, "compression_config");
    json_object_del(text, "quantization_config");
    return STATUS_OK;
}

// The tensor that is exported for one that the index lists; NULL: none, it is a scale.
static const struct safetensors_tensor *exported_for(const struct checkpoint *checkpoint, const char *listed)
{
    static const char ending[] = "_blocks";
    const size_t length = strlen(listed), n = sizeof ending - 1;
    const struct safetensors_tensor *tensor = checkpoint_find(checkpoint, listed, NULL);
    char name[PATH_SIZE];

    if (tensor != NULL || length <= n || strcmp(listed + length - n, ending) != 0)
        return tensor;
    snprintf(name, sizeof name, "%.*s", (int)(length - n), listed);
    return checkpoint_find(checkpoint, name, NULL);
}

static enum status change_index(json_t *json, const struct stage *stage, struct error *err)
{
    const struct checkpoint *checkpoint = stage->model->checkpoint;
    json_t *metadata = json_object_get(json, "metadata"), *map = json_object(), *shard;
    uint64_t parameters = 0;
    const char *listed;
    int failed = map == NULL;

    json_object_foreach(json_object_get(json, "weight_map"), listed, shard)
    {
        const struct safetensors_tensor *tensor = exported_for(checkpoint, listed);
        if (tensor == NULL)
            continue;
        failed |= json_object_set(map, tensor->name, shard);
        parameters += safetensors_elements(tensor);
    }
    failed |= json_object_set_new(json, "weight_map", map);
    if (json_object_get(metadata, "total_size") != NULL)
        failed |= json_object_set_new(metadata, "total_size",
                                      json_integer((json_int_t)checkpoint_bytes(checkpoint)));
    if (json_object_get(metadata, "total_parameters") != NULL)
        failed |= json_object_set_new(metadata, "total_parameters", json_integer((json_int_t)parameters));
    RETURN_ERROR_IF(failed != 0, err, STATUS_MEMORY, "out of memory for %s", index_name);
    return STATUS_OK;
}

static const char *quantisation_name(const struct model *model)
{
    static const char *const names[] = {[QUANTISATION_FP8] = "fp8",
                                        [QUANTISATION_COMPRESSED_FP8] = "compressed-tensors",
                                        [QUANTISATION_MXFP4] = "mxfp4"};
    return names[model->config.quantisation.kind];
}

enum status dequantised_describe(const struct stage *stage, const char *to, struct error *err)
{
    const struct model *model = stage->model;
    char path[PATH_SIZE];

    if (!is_dequantised(model))
        return STATUS_OK;
    path_format(path, sizeof path, "%s/config.json", to);
    FORWARD_IF_ERROR(rewrite_json(path, stage, change_config, err));
    path_format(path, sizeof path, "%s/%s", to, index_name);
    if (model->checkpoint->has_index)
        FORWARD_IF_ERROR(rewrite_json(path, stage, change_index, err));
    return STATUS_OK;
}

void dequantised_notice(const struct stage *stage)
{
    const struct model *model = stage->model;

    if (is_dequantised(model))
        stage_notice(
            stage,
            "export: the %s weights are written as %s, without their scales, and quantization_config "
            "is taken out of config.json",
            quantisation_name(model), dtype_name(model->config.quantisation.dtype));
}

json_t *dequantised_record(const struct model *model)
{
    if (!is_dequantised(model))
        return NULL;
    return json_pack("{s:s, s:s}", "from", quantisation_name(model), "to",
                     dtype_name(model->config.quantisation.dtype));
}
