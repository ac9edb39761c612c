#include "io/model/tensors.h"

#include <stdio.h>

static bool has_shape(const struct safetensors_tensor *tensor, size_t out, size_t in, bool vector)
{
    if (vector)
        return tensor->rank == 1 && tensor->shape[0] == out;
    return tensor->rank == 2 && tensor->shape[0] == out && tensor->shape[1] == in;
}

static enum status find_tensor(const struct safetensors_tensor **tensor, const struct model *model,
                               const char *name, size_t out, size_t in, bool vector, struct error *err)
{
    const char *directory = model->checkpoint->directory;
    size_t shard = 0;
    char shape[64];

    *tensor = checkpoint_find(model->checkpoint, name, &shard);
    RETURN_ERROR_IF(*tensor == NULL, err, STATUS_INPUT,
                    "%s: tensor '%s' is missing, which config.json (%s) asks for", directory, name,
                    model->config.model_type);
    snprintf(shape, sizeof shape, vector ? "[%zu]" : "[%zu, %zu]", out, in);
    RETURN_ERROR_IF(!has_shape(*tensor, out, in, vector), err, STATUS_INPUT,
                    "%s/%s: tensor '%s' must have the shape %s by config.json", directory,
                    model->checkpoint->shard_names[shard], name, shape);
    RETURN_ERROR_IF(!(*tensor)->supported, err, STATUS_INPUT,
                    "%s/%s: tensor '%s' is %s; coppice computes with F32, F16 and BF16", directory,
                    model->checkpoint->shard_names[shard], name, (*tensor)->dtype_name);
    return STATUS_OK;
}

enum status model_find_vector(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t size, struct error *err)
{
    return find_tensor(tensor, model, name, size, 1, true, err);
}

enum status model_find_matrix(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t out, size_t in, struct error *err)
{
    return find_tensor(tensor, model, name, out, in, false, err);
}
