#include "io/model/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256, BLOCK_ALIGNMENT = 16 /* floats: one cache line */ };

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

// One occurrence of a family's member in a layer.
struct occurrence {
    const struct family_member *member;
    size_t expert; // of an EXPERT member
};

// How often a member occurs in a layer: 0, 1, or once for every expert.
static size_t occurrences(const struct family_member *member, const struct model *model, size_t layer)
{
    const bool sparse = model->config.layers[layer].sparse;

    switch (member->part) {
    case DENSE_LAYER:
        return sparse ? 0 : 1;
    case SPARSE_LAYER:
        return sparse ? 1 : 0;
    case EXPERT:
        return sparse ? model->config.decoder.num_experts : 0;
    case EVERY_LAYER:
        break;
    }
    return 1;
}

// Calls visit for every member of a layer in the order of the map: the rows in order, those of experts (the
// last rows) expert by expert.
static enum status visit_members(const struct model *model, size_t layer, void *context,
                                 enum status (*visit)(void *context, const struct occurrence *occurrence,
                                                      struct error *err),
                                 struct error *err)
{
    const struct family *family = model->family;
    size_t row = 0;

    for (; row < family->num_members && family->members[row].part != EXPERT; row++) {
        const struct occurrence occurrence = {.member = &family->members[row]};
        if (occurrences(occurrence.member, model, layer) != 0)
            FORWARD_IF_ERROR(visit(context, &occurrence, err));
    }
    const size_t experts = row < family->num_members ? occurrences(&family->members[row], model, layer) : 0;
    for (size_t e = 0; e < experts; e++) {
        for (size_t i = row; i < family->num_members; i++) {
            const struct occurrence occurrence = {.member = &family->members[i], .expert = e};
            FORWARD_IF_ERROR(visit(context, &occurrence, err));
        }
    }
    return STATUS_OK;
}

static bool has_bias(const struct family_member *member, const struct model *model)
{
    return family_presence(member->bias, &model->config);
}

// Whether it has that bias only since model_add_biases.
static bool is_added(const struct family_member *member, const struct model *model)
{
    return (member->bias == WITH_ATTENTION_BIAS && model->added_attention_bias) ||
           (member->bias == WITH_MLP_BIAS && model->added_mlp_bias);
}

static enum bias_place bias_place(const struct family_member *member, const struct model *model)
{
    if (has_bias(member, model))
        return BIAS_PRESENT;
    if (member->bias == WITH_ATTENTION_BIAS && model->family->can_add_attention_bias)
        return BIAS_ATTENTION;
    return member->bias == WITH_MLP_BIAS && model->family->can_add_mlp_bias ? BIAS_MLP : BIAS_NONE;
}

void model_add_biases(struct model *model, bool attention, bool mlp)
{
    struct model_config *config = &model->config;
    model->added_attention_bias =
        attention && model->family->can_add_attention_bias && !config->attention_bias;
    model->added_mlp_bias = mlp && model->family->can_add_mlp_bias && !config->mlp_bias;
    config->attention_bias = config->attention_bias || model->added_attention_bias;
    config->mlp_bias = config->mlp_bias || model->added_mlp_bias;
}

const struct layer_tensor *layer_map_bias(const struct layer_tensor *weight)
{
    return weight->bias == BIAS_PRESENT ? weight + 1 : NULL;
}

static enum status count_tensors(void *context, const struct occurrence *occurrence, struct error *err)
{
    (void)occurrence;
    (void)err;
    *(size_t *)context += 2; // a weight, perhaps a bias
    return STATUS_OK;
}

struct builder {
    struct layer_map *map;
    const struct model *model;
    size_t first_expert_source;
};

// Appends one tensor to the map. suffix is "weight" or "bias"; added: the checkpoint does not have it.
static enum status add_tensor(const struct builder *builder, const char *linear, const char *suffix,
                              size_t source, size_t out, size_t in, bool vector, bool added,
                              struct error *err)
{
    const struct model *model = builder->model;
    struct layer_map *map = builder->map;
    struct layer_tensor *entry = &map->tensors[map->num_tensors];
    char name[NAME_SIZE];

    snprintf(name, sizeof name, "%s%s.%zu.%s.%s", model->prefix, model->family->layers, map->layer, linear,
             suffix);
    if (!added)
        FORWARD_IF_ERROR(find_tensor(&entry->tensor, model, name, out, in, vector, err));
    entry->source = source;
    entry->out = out;
    entry->in = in;
    entry->offset = map->block_size;
    map->block_size += (out * in + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    map->num_tensors++;
    return STATUS_OK;
}

static void use_source(struct layer_map *map, size_t source, size_t channels)
{
    map->source_channels[source] = channels;
    if (source >= map->num_sources)
        map->num_sources = source + 1;
}

static enum status add_member(void *context, const struct occurrence *occurrence, struct error *err)
{
    struct builder *builder = context;
    const struct family_member *member = occurrence->member;
    const struct model *model = builder->model;
    struct layer_tensor *entry = &builder->map->tensors[builder->map->num_tensors];
    const size_t out = family_dimension(member->out, &model->config);
    const size_t in = family_dimension(member->in, &model->config);
    size_t source = member->source;
    char linear[sizeof entry->linear];

    if (member->part == EXPERT) {
        if (builder->first_expert_source == 0)
            builder->first_expert_source = builder->map->num_sources;
        source += builder->first_expert_source + 2 * occurrence->expert;
        snprintf(linear, sizeof linear, "%s.%zu.%s", model->family->experts, occurrence->expert,
                 member->name);
    } else {
        snprintf(linear, sizeof linear, "%s", member->name);
    }
    if (member->kind == MEMBER_LINEAR) {
        memcpy(entry->linear, linear, sizeof linear);
        entry->bias = bias_place(member, model);
        entry->expert = member->part == EXPERT;
        use_source(builder->map, source, in);
    }
    FORWARD_IF_ERROR(
        add_tensor(builder, linear, "weight", source, out, in, member->kind == MEMBER_NORM, false, err));
    if (!has_bias(member, model))
        return STATUS_OK;
    return add_tensor(builder, linear, "bias", source, out, 1, true, is_added(member, model), err);
}

enum status layer_map_create(struct layer_map *map, const struct model *model, size_t layer,
                             struct error *err)
{
    struct builder builder = {.map = map, .model = model};
    enum status status;
    size_t most = 0;

    *map = (struct layer_map){.layer = layer};
    GOTO_IF_ERROR(visit_members(model, layer, &most, count_tensors, err), failed);
    GOTO_IF_ERROR(allocate(&map->tensors, most, sizeof *map->tensors, "a layer's tensors", err), failed);
    GOTO_IF_ERROR(
        allocate(&map->source_channels, most, sizeof *map->source_channels, "a layer's sources", err),
        failed);
    GOTO_IF_ERROR(visit_members(model, layer, &builder, add_member, err), failed);
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

struct binder {
    struct decoder_layer *layer;
    const struct model *model;
    const struct layer_tensor *entry; // the next one
    const float *block;
    size_t expert_offsets[2]; // where the first two experts start
};

static enum status bind_member(void *context, const struct occurrence *occurrence, struct error *err)
{
    struct binder *binder = context;
    const struct family_member *member = occurrence->member;
    const struct layer_tensor *weight = binder->entry++;
    const float *bias = has_bias(member, binder->model) ? binder->block + (binder->entry++)->offset : NULL;
    void *place = (char *)binder->layer + member->member;

    (void)err;
    if (member->part == EXPERT && member->member == offsetof(struct decoder_layer, expert_gate) &&
        occurrence->expert < 2)
        binder->expert_offsets[occurrence->expert] = weight->offset;
    if (occurrence->expert != 0) // the others are found by the stride
        return STATUS_OK;
    if (member->kind == MEMBER_NORM)
        *(struct norm *)place = (struct norm){.weight = binder->block + weight->offset, .bias = bias};
    else
        *(struct linear *)place = (struct linear){
            .out = weight->out, .in = weight->in, .weight = binder->block + weight->offset, .bias = bias};
    return STATUS_OK;
}

void layer_map_bind(struct decoder_layer *layer, const struct layer_map *map, const struct model *model,
                    const float *block)
{
    const struct layer_kind *kind = &model->config.layers[map->layer];
    struct binder binder = {.layer = layer, .model = model, .entry = map->tensors, .block = block};

    *layer =
        (struct decoder_layer){.sliding_window = kind->sliding_window, .local_rotary = kind->local_rotary};
    visit_members(model, map->layer, &binder, bind_member, NULL);
    if (binder.expert_offsets[1] != 0)
        layer->expert_stride = binder.expert_offsets[1] - binder.expert_offsets[0];
}
