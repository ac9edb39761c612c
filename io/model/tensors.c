#include "io/model/tensors.h"

#include "io/model/family.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 256 };

static bool has_shape(const struct safetensors_tensor *tensor, const struct tensor_shape *shape)
{
    if (tensor->rank == 0 && shape->rank == 1 && shape->sizes[0] == 1) // a number
        return true;
    if (tensor->rank != shape->rank)
        return false;
    for (size_t d = 0; d < shape->rank; d++)
        if (tensor->shape[d] != shape->sizes[d])
            return false;
    return true;
}

// "[8, 4096, 14336]"
static const char *shape_text(char *text, size_t size, const struct tensor_shape *shape)
{
    size_t used = 0;
    for (size_t d = 0; d < shape->rank && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu", d == 0 ? "[" : ", ", shape->sizes[d]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

static bool begins_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

const struct safetensors_tensor *model_lookup(const struct model *model, const char *name, size_t *shard)
{
    const struct family *family = model->family;
    const char *bare = begins_with(name, family->prefix) ? name + strlen(family->prefix) : name;
    const struct safetensors_tensor *found = NULL;
    char full[NAME_SIZE];

    if (model->config.wrapper != NULL ||
        begins_with(bare, family->lm_head)) // these have no prefix, or another
        return checkpoint_find(model->checkpoint, name, shard);
    found = checkpoint_find(model->checkpoint, bare, shard);
    if (found != NULL)
        return found;
    snprintf(full, sizeof full, "%s%s", family->prefix, bare);
    return checkpoint_find(model->checkpoint, full, shard);
}

enum status model_find_tensor(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, const struct tensor_shape *shape, struct error *err)
{
    const char *directory = model->checkpoint->directory;
    size_t shard = 0;
    char text[80];

    *tensor = model_lookup(model, name, &shard);
    RETURN_ERROR_IF(*tensor == NULL, err, STATUS_INPUT,
                    "%s: tensor '%s' is missing, which config.json (%s) asks for", directory, name,
                    model->config.model_type);
    RETURN_ERROR_IF(!has_shape(*tensor, shape), err, STATUS_INPUT,
                    "%s/%s: tensor '%s' must have the shape %s by config.json", directory,
                    model->checkpoint->shard_names[shard], name, shape_text(text, sizeof text, shape));
    RETURN_ERROR_IF(!(*tensor)->supported, err, STATUS_INPUT,
                    "%s/%s: tensor '%s' is %s; coppice computes with F32, F16 and BF16", directory,
                    model->checkpoint->shard_names[shard], name, (*tensor)->dtype_name);
    return STATUS_OK;
}

enum status model_find_vector(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t size, struct error *err)
{
    const struct tensor_shape shape = {1, {size}};
    return model_find_tensor(tensor, model, name, &shape, err);
}

enum status model_find_matrix(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t out, size_t in, struct error *err)
{
    const struct tensor_shape shape = {2, {out, in}};
    return model_find_tensor(tensor, model, name, &shape, err);
}
