#include "io/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256, BLOCK_ALIGNMENT = 16 /* floats: one cache line */ };

static bool has_shape(const struct safetensors_tensor *tensor, size_t out, size_t in)
{
    if (in == 1)
        return tensor->rank == 1 && tensor->shape[0] == out;
    return tensor->rank == 2 && tensor->shape[0] == out && tensor->shape[1] == in;
}

enum status model_find_tensor(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t out, size_t in, struct error *err)
{
    const char *directory = model->checkpoint->directory;
    size_t shard = 0;
    char shape[64];

    *tensor = checkpoint_find(model->checkpoint, name, &shard);
    RETURN_ERROR_IF(*tensor == NULL, err, STATUS_INPUT,
                    "%s: tensor '%s' is missing, which config.json (%s) asks for", directory, name,
                    model->config.model_type);
    if (in == 1)
        snprintf(shape, sizeof shape, "[%zu]", out);
    else
        snprintf(shape, sizeof shape, "[%zu, %zu]", out, in);
    RETURN_ERROR_IF(!has_shape(*tensor, out, in), err, STATUS_INPUT,
                    "%s/%s: tensor '%s' must have the shape %s by config.json", directory,
                    model->checkpoint->shard_names[shard], name, shape);
    RETURN_ERROR_IF(!(*tensor)->supported, err, STATUS_INPUT,
                    "%s/%s: tensor '%s' is %s; coppice computes with F32, F16 and BF16", directory,
                    model->checkpoint->shard_names[shard], name, (*tensor)->dtype_name);
    return STATUS_OK;
}

// Appends one tensor to the map. suffix is ".weight" or ".bias".
static enum status add_tensor(struct layer_map *map, const struct model *model,
                              const struct family_member *member, const char *suffix, size_t out, size_t in,
                              struct error *err)
{
    struct layer_tensor *entry = &map->tensors[map->num_tensors];
    char name[NAME_SIZE];

    snprintf(name, sizeof name, "%s%s.%zu.%s%s", model->family->prefix, model->family->layers, map->layer,
             member->name, suffix);
    FORWARD_IF_ERROR(model_find_tensor(&entry->tensor, model, name, out, in, err));
    entry->source = member->source;
    entry->out = out;
    entry->in = in;
    entry->offset = map->block_size;
    map->block_size += (out * in + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    map->num_tensors++;
    return STATUS_OK;
}

static bool has_bias(const struct family_member *member, const struct model *model)
{
    return family_presence(member->bias, &model->config);
}

static enum status add_member(struct layer_map *map, const struct model *model,
                              const struct family_member *member, struct error *err)
{
    const size_t out = family_dimension(member->out, &model->config);
    const size_t in = family_dimension(member->in, &model->config);

    if (member->kind == MEMBER_LINEAR) {
        struct layer_tensor *entry = &map->tensors[map->num_tensors];
        snprintf(entry->linear, sizeof entry->linear, "%s", member->name);
        map->source_channels[member->source] = in;
        if (member->source >= map->num_sources)
            map->num_sources = member->source + 1;
    }
    FORWARD_IF_ERROR(add_tensor(map, model, member, ".weight", out, in, err));
    return has_bias(member, model) ? add_tensor(map, model, member, ".bias", out, 1, err) : STATUS_OK;
}

enum status layer_map_create(struct layer_map *map, const struct model *model, size_t layer,
                             struct error *err)
{
    const struct family *family = model->family;
    enum status status;

    *map = (struct layer_map){.layer = layer};
    GOTO_IF_ERROR(
        allocate(&map->tensors, 2 * family->num_members, sizeof *map->tensors, "a layer's tensors", err),
        failed);
    GOTO_IF_ERROR(allocate(&map->source_channels, family->num_members, sizeof *map->source_channels,
                           "a layer's statistics sources", err),
                  failed);
    for (size_t i = 0; i < family->num_members; i++)
        GOTO_IF_ERROR(add_member(map, model, &family->members[i], err), failed);
    return STATUS_OK;

failed:
    layer_map_free(map);
    return status;
}

void layer_map_free(struct layer_map *map)
{
    free(map->tensors);
    free(map->source_channels);
    *map = (struct layer_map){0};
}

void layer_map_bind(struct decoder_layer *layer, const struct layer_map *map, const struct model *model,
                    const float *block)
{
    const struct layer_tensor *entry = map->tensors;

    *layer = (struct decoder_layer){0};
    for (size_t i = 0; i < model->family->num_members; i++) {
        const struct family_member *member = &model->family->members[i];
        const float *weight = block + entry->offset, *bias = NULL;
        const size_t out = entry->out, in = entry->in;
        entry++;
        if (has_bias(member, model))
            bias = block + (entry++)->offset;
        void *place = (char *)layer + member->member;
        if (member->kind == MEMBER_NORM)
            *(struct norm *)place = (struct norm){.weight = weight, .bias = bias};
        else
            *(struct linear *)place = (struct linear){.out = out, .in = in, .weight = weight, .bias = bias};
    }
}
