#include "io/model/layer_map.h"

#include "io/model/family.h"
#include "io/model/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256, BLOCK_ALIGNMENT = 16 /* floats: one cache line */ };

// One occurrence of a family's member in a layer.
struct occurrence {
    const struct family_member *member;
    size_t index; // of the expert or head that it belongs to
};

// How often a member occurs in a layer: 0, 1, or once for every expert or head.
static size_t occurrences(const struct family_member *member, const struct model *model, size_t layer)
{
    const struct decoder_config *config = &model->config.decoder;
    const bool sparse = model->config.layers[layer].sparse;
    const bool linear = model->config.layers[layer].linear_attention;
    const bool takes = model->config.layers[layer].key_value_sharing == KEY_VALUE_TAKEN;

    if (!family_condition(member->only, &model->config))
        return 0;
    switch (member->part) {
    case DENSE_LAYER:
        return sparse ? 0 : 1;
    case SPARSE_LAYER:
        return sparse ? 1 : 0;
    case OWN_KEY_LAYER:
        return takes ? 0 : 1;
    case OWN_VALUE_LAYER:
        return takes || model->config.layers[layer].value_is_key ? 0 : 1;
    case ROTARY_LAYER:
        return model->config.layers[layer].no_rotary ? 0 : 1;
    case SOFTMAX_ATTENTION_LAYER:
        return linear ? 0 : 1;
    case LINEAR_ATTENTION_LAYER:
        return linear ? 1 : 0;
    case EXPERT:
        return sparse ? config->num_experts : 0;
    case HEAD:
        return config->num_attention_heads;
    case KEY_VALUE_HEAD:
        return config->num_key_value_heads;
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
        struct occurrence occurrence = {.member = &family->members[row]};
        const size_t count = occurrences(occurrence.member, model, layer);
        for (; occurrence.index < count; occurrence.index++)
            FORWARD_IF_ERROR(visit(context, &occurrence, err));
    }
    const size_t experts = row < family->num_members ? occurrences(&family->members[row], model, layer) : 0;
    for (size_t e = 0; e < experts; e++) {
        for (size_t i = row; i < family->num_members; i++) {
            const struct occurrence occurrence = {.member = &family->members[i], .index = e};
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
    *(size_t *)context += 2; // a weight, and at most a bias
    return STATUS_OK;
}

struct map_builder {
    struct layer_map *map;
    const struct model *model;
    size_t first_expert_source;
};

static bool has_tensor(const struct map_builder *builder, const char *within, const char *suffix)
{
    const struct model *model = builder->model;
    char name[NAME_SIZE];

    snprintf(name, sizeof name, "%s%s.%zu.%s%s", model->prefix, model->family->layers, builder->map->layer,
             within, suffix);
    return model_lookup(model, name, NULL) != NULL;
}

// Whether a linear lies in the tensor that `storage` names. Some checkpoints of a family have every expert
// by itself, mostly quantised ones: then it does not. Of others a checkpoint seldom has that tensor.
static bool is_in_storage(const struct map_builder *builder, const struct family_member *member,
                          const char *storage, const char *linear, const char *suffix)
{
    return storage != NULL && (member->storage.outside || has_tensor(builder, storage, "") ||
                               (!member->storage.seldom && !has_tensor(builder, linear, suffix)));
}

// Whether the layer has tensors as the reference has them in memory, where the family's rows do not.
static bool is_as_in_memory(const struct map_builder *builder)
{
    static const char *const stacks[] = {"mlp.experts.gate_up_proj", "block_sparse_moe.experts.gate_up_proj"};
    const struct family *family = builder->model->family;

    for (size_t i = 0; i < family->num_members; i++)
        for (size_t s = 0; s < 2; s++)
            if (family->members[i].storage.weight != NULL &&
                strcmp(family->members[i].storage.weight, stacks[s]) == 0)
                return false;
    return has_tensor(builder, stacks[0], "") || has_tensor(builder, stacks[1], "");
}

static enum status refuse_as_in_memory(const struct map_builder *builder, struct error *err)
{
    const struct model *model = builder->model;

    return error_set(err, STATUS_INPUT,
                     "%s: the experts of %s%s.%zu are in one tensor, as transformers writes them with "
                     "save_original_format=False, which coppice does not read in this family; save the model "
                     "again without it",
                     model->checkpoint->directory, model->prefix, model->family->layers, builder->map->layer);
}

// Finds tensor "<member><suffix>" of the layer, which is the map's next entry.
static enum status find(const struct map_builder *builder, const char *member, const char *suffix,
                        const struct tensor_shape *shape, struct error *err)
{
    const struct model *model = builder->model;
    const struct layer_map *map = builder->map;
    struct layer_tensor *entry = &map->tensors[map->num_tensors];
    char name[NAME_SIZE];

    entry->view = (struct tensor_view){.row = entry->in, .column = 1};
    snprintf(name, sizeof name, "%s%s.%zu.%s%s", model->prefix, model->family->layers, map->layer, member,
             suffix);
    if (model_lookup(model, name, NULL) == NULL && is_as_in_memory(builder))
        return refuse_as_in_memory(builder, err);
    return model_find_tensor(&entry->tensor, model, name, shape, err);
}

// The shape of a member's weight, which is [out, in] in the layer's block.
static struct tensor_shape weight_shape(const struct family_member *member, size_t out, size_t in)
{
    if (member->kind == MEMBER_CONVOLUTION)
        return (struct tensor_shape){3, {out, 1, in}};
    const bool is_vector =
        (member->kind == MEMBER_VECTOR || member->kind == MEMBER_NORM) && member->in == DIMENSION_ONE;
    return (struct tensor_shape){is_vector ? 1 : 2, {out, in}};
}

// Whether tensor `name` has the shape of a matrix, or of matrices, [.., rows, columns].
static bool has_matrices(const struct model *model, const char *name, size_t rows, size_t columns)
{
    const struct safetensors_tensor *tensor = model_lookup(model, name, NULL);

    return tensor != NULL && tensor->rank >= 2 && tensor->shape[tensor->rank - 2] == rows &&
           tensor->shape[tensor->rank - 1] == columns;
}

// The same for an entry whose tensor family_member's `storage` names: where in it that member lies.
static enum status find_part(const struct map_builder *builder, const struct occurrence *occurrence,
                             bool is_bias, struct error *err)
{
    const struct member_storage *storage = &occurrence->member->storage;
    const struct model *model = builder->model;
    const struct layer_map *map = builder->map;
    struct layer_tensor *entry = &map->tensors[map->num_tensors];
    const size_t parts = storage->parts > 0 ? storage->parts : 1, rows = parts * entry->out;
    const size_t first = storage->interleaved ? storage->part : storage->part * entry->out;
    const size_t step = storage->interleaved ? parts : 1;
    const size_t layers = storage->of_all_layers ? model->config.num_hidden_layers : 1;
    const bool is_vector =
        is_bias || occurrence->member->kind == MEMBER_VECTOR ||
        (occurrence->member->kind == MEMBER_NORM && occurrence->member->in == DIMENSION_ONE);
    struct tensor_shape shape = {.rank = 0};
    char name[NAME_SIZE];

    if (storage->outside)
        snprintf(name, sizeof name, "%s%s", model->prefix, storage->weight);
    else
        snprintf(name, sizeof name, "%s%s.%zu.%s", model->prefix, model->family->layers, map->layer,
                 is_bias ? storage->bias : storage->weight);
    const bool transposed =
        !is_vector &&
        (storage->transposed || (storage->either_way && !has_matrices(model, name, rows, entry->in)));

    if (occurrence->member->part == EXPERT)
        shape.sizes[shape.rank++] = model->config.decoder.num_experts;
    shape.sizes[shape.rank++] = transposed ? entry->in : layers * rows;
    if (!is_vector)
        shape.sizes[shape.rank++] = transposed ? rows : entry->in;
    entry->is_part = occurrence->member->part == EXPERT || parts > 1 || transposed || layers > 1;
    entry->view.row = transposed ? step : step * entry->in;
    entry->view.column = transposed ? rows : 1;
    entry->view.start = occurrence->index * rows * entry->in + (transposed ? first : first * entry->in);
    if (storage->of_all_layers)
        entry->view.start += map->layer * rows * entry->in;
    if (model_lookup(model, name, NULL) == NULL && is_as_in_memory(builder))
        return refuse_as_in_memory(builder, err);
    return model_find_tensor(&entry->tensor, model, name, &shape, err);
}

// What a tensor takes in the block.
static size_t block_size_of(const struct layer_tensor *entry)
{
    return (entry->out * entry->in + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
}

// Gives the map's next entry, which is complete but for that, its place in the block.
static void append(struct layer_map *map)
{
    struct layer_tensor *entry = &map->tensors[map->num_tensors++];
    entry->offset = map->block_size;
    map->block_size += block_size_of(entry);
}

static void use_source(struct layer_map *map, size_t source, size_t channels)
{
    map->source_channels[source] = channels;
    if (source >= map->num_sources)
        map->num_sources = source + 1;
}

// By the place in the layer: all families compute the same between these linears, channel by channel.
static enum channel_role role_of(const struct family_member *member, const struct model_config *config,
                                 size_t layer)
{
    static const struct {
        size_t member;
        enum channel_role role;
    } roles[] = {{offsetof(struct decoder_layer, gate), ROLE_INNER},
                 {offsetof(struct decoder_layer, up), ROLE_INNER},
                 {offsetof(struct decoder_layer, gate_up), ROLE_INNER_TWICE},
                 {offsetof(struct decoder_layer, down), ROLE_DOWN},
                 {offsetof(struct decoder_layer, expert_gate), ROLE_INNER},
                 {offsetof(struct decoder_layer, expert_up), ROLE_INNER},
                 {offsetof(struct decoder_layer, expert_down), ROLE_DOWN},
                 {offsetof(struct decoder_layer, v), ROLE_VALUE},
                 {offsetof(struct decoder_layer, qkv), ROLE_QUERY_KEY_VALUE},
                 {offsetof(struct decoder_layer, latent.kv_b), ROLE_KEY_VALUE},
                 {offsetof(struct decoder_layer, o), ROLE_ATTENTION_OUTPUT}};

    if (member->member == offsetof(struct decoder_layer, q) && config->decoder.gated_attention)
        return ROLE_QUERY_GATE;
    if (member->member == offsetof(struct decoder_layer, o) && config->layers[layer].value_is_key)
        return ROLE_NONE; // keys have an order: they are rotated
    if ((member->member == offsetof(struct decoder_layer, o) ||
         member->member == offsetof(struct decoder_layer, v)) &&
        config->layers[layer].key_value_sharing != KEY_VALUE_OWN)
        return ROLE_NONE; // another layer reads the same values
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (member->kind == MEMBER_LINEAR && member->member == roles[i].member)
            return roles[i].role;
    return ROLE_NONE;
}

static enum status add_weight(const struct map_builder *builder, const struct occurrence *occurrence,
                              const char *linear, size_t source, struct error *err)
{
    const struct family_member *member = occurrence->member;
    struct layer_map *map = builder->map;
    struct layer_tensor *entry = &map->tensors[map->num_tensors];
    const struct model_config *config = &builder->model->config;

    entry->source = source;
    entry->heads = builder->model->config.layers[map->layer].heads;
    entry->out = family_dimension(member->out, config, map->layer);
    entry->in = family_dimension(member->in, config, map->layer);
    if (member->kind == MEMBER_LINEAR) {
        snprintf(entry->linear, sizeof entry->linear, "%s", linear);
        entry->bias = bias_place(member, builder->model);
        entry->expert = member->part == EXPERT;
        entry->role = role_of(member, config, map->layer);
        use_source(map, source, entry->in);
    }
    const struct tensor_shape shape = weight_shape(member, entry->out, entry->in);
    if (is_in_storage(builder, member, member->storage.weight, linear, ".weight"))
        FORWARD_IF_ERROR(find_part(builder, occurrence, false, err));
    else
        FORWARD_IF_ERROR(find(builder, linear, member->kind == MEMBER_VECTOR ? "" : ".weight", &shape, err));
    append(map);
    return STATUS_OK;
}

static enum status add_bias(const struct map_builder *builder, const struct occurrence *occurrence,
                            const char *linear, size_t source, struct error *err)
{
    const struct family_member *member = occurrence->member;
    struct layer_map *map = builder->map;
    struct layer_tensor *entry = &map->tensors[map->num_tensors];

    entry->source = source;
    entry->heads = builder->model->config.layers[map->layer].heads;
    entry->out = family_dimension(member->out, &builder->model->config, map->layer);
    entry->in = 1;
    entry->role = role_of(member, &builder->model->config, map->layer);
    if (entry->role == ROLE_DOWN || entry->role == ROLE_ATTENTION_OUTPUT)
        entry->role = ROLE_NONE;
    if (is_in_storage(builder, member, member->storage.bias, linear, ".bias"))
        FORWARD_IF_ERROR(find_part(builder, occurrence, true, err));
    else if (!is_added(member, builder->model)) // else the checkpoint does not have it
        FORWARD_IF_ERROR(find(builder, linear, ".bias", &(struct tensor_shape){1, {entry->out}}, err));
    append(map);
    return STATUS_OK;
}

static enum status add_member(void *context, const struct occurrence *occurrence, struct error *err)
{
    struct map_builder *builder = context;
    const struct family_member *member = occurrence->member;
    const struct model *model = builder->model;
    size_t source = source_number(&model->config.decoder, member->source);
    char linear[LINEAR_NAME_SIZE];

    if (member->kind == MEMBER_PLAIN_NORM)
        return STATUS_OK;
    if (member->part == EXPERT) {
        if (builder->first_expert_source == 0)
            builder->first_expert_source = builder->map->num_sources;
        source = member->source + builder->first_expert_source + 2 * occurrence->index;
        snprintf(linear, sizeof linear, "%s.%zu.%s", model->family->experts, occurrence->index, member->name);
    } else if (member->part == HEAD || member->part == KEY_VALUE_HEAD) {
        snprintf(linear, sizeof linear, "%s.%zu", member->name, occurrence->index);
    } else {
        snprintf(linear, sizeof linear, "%s", member->name);
    }
    FORWARD_IF_ERROR(add_weight(builder, occurrence, linear, source, err));
    return has_bias(member, model) ? add_bias(builder, occurrence, linear, source, err) : STATUS_OK;
}

enum status layer_map_create(struct layer_map *map, const struct model *model, size_t layer,
                             struct error *err)
{
    struct map_builder builder = {.map = map, .model = model};
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

// Of a norm that has a weight for each head: as rows of one tensor, or as tensors that follow one another.
static size_t head_stride(const struct family_member *member, const struct layer_tensor *weight)
{
    if (member->part == HEAD || member->part == KEY_VALUE_HEAD)
        return block_size_of(weight);
    return member->in != DIMENSION_ONE ? weight->in : 0;
}

// Which experts a token goes to, and how much a shared one counts, is not left to fewer bits.
static enum compute compute_of(const struct family_member *member, const struct model *model)
{
    return member->kind == MEMBER_ROUTER ? COMPUTE_FLOAT32 : model->compute;
}

static enum status bind_member(void *context, const struct occurrence *occurrence, struct error *err)
{
    struct binder *binder = context;
    const struct family_member *member = occurrence->member;
    void *place = (char *)binder->layer + member->member;

    (void)err;
    if (member->kind == MEMBER_PLAIN_NORM) {
        *(struct norm *)place = (struct norm){.plain = true};
        return STATUS_OK;
    }
    const struct layer_tensor *weight = binder->entry++;
    const float *bias = has_bias(member, binder->model) ? binder->block + (binder->entry++)->offset : NULL;
    if (member->part == EXPERT && member->member == offsetof(struct decoder_layer, expert_up) &&
        occurrence->index < 2)
        binder->expert_offsets[occurrence->index] = weight->offset;
    if (occurrence->index != 0) // the others are found by the stride
        return STATUS_OK;
    if (member->kind == MEMBER_NORM)
        *(struct norm *)place = (struct norm){.weight = binder->block + weight->offset,
                                              .bias = bias,
                                              .head_stride = head_stride(member, weight)};
    else if (member->kind == MEMBER_VECTOR || member->kind == MEMBER_CONVOLUTION)
        *(const float **)place = binder->block + weight->offset;
    else
        *(struct linear *)place = (struct linear){.out = weight->out,
                                                  .in = weight->in,
                                                  .weight = binder->block + weight->offset,
                                                  .bias = bias,
                                                  .compute = compute_of(member, binder->model)};
    return STATUS_OK;
}

void layer_map_bind(struct decoder_layer *layer, const struct layer_map *map, const struct model *model,
                    const float *block)
{
    const struct layer_kind *kind = &model->config.layers[map->layer];
    struct binder binder = {.layer = layer, .model = model, .entry = map->tensors, .block = block};

    *layer = (struct decoder_layer){.sliding_window = kind->sliding_window,
                                    .local_rotary = kind->local_rotary,
                                    .no_rotary = kind->no_rotary,
                                    .attention_scale = kind->attention_scale,
                                    .attention_chunk = kind->attention_chunk,
                                    .no_query_scale = kind->no_query_scale,
                                    .key_value_sharing = kind->key_value_sharing,
                                    .key_value_place = kind->key_value_place,
                                    .per_layer_input = model_per_layer_input(model, map->layer),
                                    .heads = kind->heads};
    visit_members(model, map->layer, &binder, bind_member, NULL);
    if (binder.expert_offsets[1] != 0)
        layer->expert_stride = binder.expert_offsets[1] - binder.expert_offsets[0];
}
