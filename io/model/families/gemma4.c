// Gemma 4: layers of two kinds, whose heads differ in size and number. The last ones may take the keys and
// values of an earlier layer of their kind, and all may read the tokens themselves: a token's state carries
// these from layer to layer (kernels/forward/layer.h).
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// A norm that only layers with experts have.
#define SPARSE_NORM(text, field)                                                               \
    {                                                                                          \
        .kind = MEMBER_NORM, .part = SPARSE_LAYER, .name = (text),                             \
        .member = offsetof(struct decoder_layer, field), .out = DIMENSION_HIDDEN, .storage = { \
            .weight = (text)                                                                   \
        }                                                                                      \
    }
static const struct family_member gemma4_members[] = {
    NORM("input_layernorm", input_norm),
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    ROW(MEMBER_LINEAR, OWN_KEY_LAYER, "self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN,
        SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    ROW(MEMBER_LINEAR, OWN_VALUE_LAYER, "self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN,
        SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    OWN_HEAD_NORM("self_attn.k_norm", key_norm, OWN_KEY_LAYER, NO_CONDITION),
    PLAIN_NORM(value_norm),
    NORM("post_attention_layernorm", attention_output_norm),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
    ROW(MEMBER_VECTOR, EVERY_LAYER, "layer_scalar", output_scale, DIMENSION_ONE, DIMENSION_ONE, 0, NEVER),
    CONDITIONAL(WITH_PER_LAYER_INPUT, MEMBER_LINEAR, EVERY_LAYER, "per_layer_input_gate", per_layer_gate,
                DIMENSION_PER_LAYER, DIMENSION_HIDDEN, SOURCE_PER_LAYER_GATE, NEVER),
    CONDITIONAL(WITH_PER_LAYER_INPUT, MEMBER_LINEAR, EVERY_LAYER, "per_layer_projection",
                per_layer_projection, DIMENSION_HIDDEN, DIMENSION_PER_LAYER, SOURCE_PER_LAYER_PROJECTION,
                NEVER),
    OPTIONAL_NORM("post_per_layer_input_norm", per_layer_norm, DIMENSION_HIDDEN, NEVER, WITH_PER_LAYER_INPUT),
    {.kind = MEMBER_ROUTER,
     .name = "per_layer_model_projection",
     .only = WITH_PER_LAYER_INPUT,
     .member = offsetof(struct decoder_layer, per_layer_input.projection),
     .out = DIMENSION_PER_LAYER,
     .in = DIMENSION_HIDDEN,
     .storage = {.weight = "per_layer_model_projection.weight", .outside = true, .of_all_layers = true}},
    {.kind = MEMBER_NORM,
     .name = "per_layer_projection_norm",
     .only = WITH_PER_LAYER_INPUT,
     .member = offsetof(struct decoder_layer, per_layer_input.norm),
     .out = DIMENSION_PER_LAYER,
     .in = DIMENSION_ONE,
     .storage = {.weight = "per_layer_projection_norm.weight", .outside = true}},
    SPARSE_NORM("post_feedforward_layernorm_1.weight", dense_output_norm),
    SPARSE_NORM("pre_feedforward_layernorm_2.weight", experts_norm),
    SPARSE_NORM("post_feedforward_layernorm_2.weight", experts_output_norm),
    SPARSE_NORM("router.scale", router_norm),
    ROUTER("router.proj", router, DIMENSION_EXPERTS),
    ROW(MEMBER_VECTOR, SPARSE_LAYER, "router.per_expert_scale", router_expert_scale, DIMENSION_EXPERTS,
        DIMENSION_ONE, 0, NEVER),
    STORED_EXPERT("gate_proj", expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, NEVER,
                  .weight = "experts.gate_up_proj", .parts = 2, .part = 0),
    STORED_EXPERT("up_proj", expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, NEVER,
                  .weight = "experts.gate_up_proj", .parts = 2, .part = 1),
    STORED_EXPERT("down_proj", expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, 1, NEVER,
                  .weight = "experts.down_proj"),
};

static enum status read_causality(const struct config_reader *reader, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    const char *bidirectional = "vision"; // which is about images

    FORWARD_IF_ERROR(config_string(&nullable, "use_bidirectional_attention", &bidirectional, err));
    RETURN_ERROR_IF(strcmp(bidirectional, "vision") != 0, err, STATUS_INPUT,
                    "%s: use_bidirectional_attention: only causal language models can be pruned",
                    reader->path);
    return STATUS_OK;
}

// A size that may be 0.
static enum status read_count(size_t *count, const struct config_reader *reader, const char *key, size_t most,
                              struct error *err)
{
    const json_t *value = config_value(reader, key);
    const json_int_t number = json_integer_value(value);

    if (value == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_integer(value) || number < 0 || (uint64_t)number > most, err, STATUS_INPUT,
                    "%s: %s: must be an integer from 0 to %zu", reader->path, key, most);
    *count = (size_t)number;
    return STATUS_OK;
}

static enum status read_experts(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    static const char *const keys[] = {"num_experts", "top_k_experts", "moe_intermediate_size"};
    struct decoder_config *decoder = &config->decoder;
    bool experts = false;

    FORWARD_IF_ERROR(config_bool(reader, "enable_moe_block", &experts, err));
    for (size_t i = 0; i < LENGTH(keys) && !experts; i++)
        config_pass(reader, keys[i]);
    if (!experts)
        return STATUS_OK;
    FORWARD_IF_ERROR(config_size(reader, keys[0], &decoder->num_experts, err));
    FORWARD_IF_ERROR(config_size(reader, keys[1], &decoder->num_experts_per_tok, err));
    FORWARD_IF_ERROR(config_size(reader, keys[2], &decoder->moe_intermediate_size, err));
    RETURN_ERROR_IF(decoder->num_experts_per_tok > decoder->num_experts, err, STATUS_INPUT,
                    "%s: top_k_experts: %zu is more than num_experts %zu", reader->path,
                    decoder->num_experts_per_tok, decoder->num_experts);
    decoder->routing.normalise = true;
    decoder->experts_beside_mlp = true;
    decoder->router_input_scale = (float)(1.0 / sqrt((double)decoder->hidden_size));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = true;
    return STATUS_OK;
}

static enum status read_per_layer_input(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    static const char key[] = "hidden_size_per_layer_input", rows_key[] = "vocab_size_per_layer_input";
    struct decoder_config *decoder = &config->decoder;

    decoder->per_layer_size = 256;
    config->per_layer_vocab_size = 262144;
    FORWARD_IF_ERROR(read_count(&decoder->per_layer_size, reader, key, INT32_MAX, err));
    if (decoder->per_layer_size == 0) {
        config_pass(reader, rows_key);
        return STATUS_OK;
    }
    FORWARD_IF_ERROR(config_optional_size(reader, rows_key, &config->per_layer_vocab_size, err));
    RETURN_ERROR_IF(config->per_layer_vocab_size < config->vocab_size, err, STATUS_INPUT,
                    "%s: %s: %zu does not reach all tokens, of which there are %zu", reader->path, rows_key,
                    config->per_layer_vocab_size, config->vocab_size);
    RETURN_ERROR_IF(config->vocab_size > 1 << 24, err, STATUS_INPUT,
                    "%s: vocab_size: with %s at most 16777216 tokens are supported", reader->path, key);
    RETURN_ERROR_IF(decoder->num_experts != 0, err, STATUS_INPUT,
                    "%s: %s: is not supported together with enable_moe_block", reader->path, key);
    decoder->carried_size = 1; // the token's id
    return STATUS_OK;
}

// The last layer before `end` that has the kind of `layer`; `end` if there is none.
static size_t last_of_kind(const struct model_config *config, size_t end, size_t layer)
{
    for (size_t i = end; i-- > 0;)
        if (config->layers[i].local_rotary == config->layers[layer].local_rotary)
            return i;
    return end;
}

// The last layers take keys and values of the last layer of their kind before them, and have wider MLPs where
// config.json says so. After read_heads.
static enum status read_sharing(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    static const char key[] = "num_kv_shared_layers";
    const size_t layers = config->num_hidden_layers, usual = config->decoder.intermediate_size;
    size_t shared = 0;
    bool wide = false;

    FORWARD_IF_ERROR(read_count(&shared, reader, key, layers, err));
    FORWARD_IF_ERROR(config_bool(reader, "use_double_wide_mlp", &wide, err));
    RETURN_ERROR_IF(shared != 0 && config->decoder.per_layer_size == 0, err, STATUS_INPUT,
                    "%s: %s: layers share keys and values only in models with hidden_size_per_layer_input",
                    reader->path, key);
    for (size_t i = 0; i < layers; i++) { // which the reference checks as well
        RETURN_ERROR_IF(last_of_kind(config, layers - shared, i) == layers - shared, err, STATUS_INPUT,
                        "%s: %s: layer %zu has no layer of its kind before the last %zu", reader->path, key,
                        i, shared);
        config->layers[i].intermediate_size = usual;
    }
    for (size_t i = layers - shared; i < layers; i++) {
        struct layer_kind *taker = &config->layers[i];
        struct layer_kind *giver = &config->layers[last_of_kind(config, layers - shared, i)];
        RETURN_ERROR_IF(taker->heads.num_key_value_heads != giver->heads.num_key_value_heads, err,
                        STATUS_INPUT,
                        "%s: %s: layer %zu has other heads than the layer whose keys and values it takes",
                        reader->path, key, i);
        if (giver->key_value_sharing == KEY_VALUE_OWN) {
            giver->key_value_sharing = KEY_VALUE_GIVEN;
            giver->key_value_place = state_size(&config->decoder);
            config->decoder.carried_size += 2 * giver->heads.num_key_value_heads * giver->heads.head_dim;
        }
        taker->key_value_sharing = KEY_VALUE_TAKEN;
        taker->key_value_place = giver->key_value_place;
        taker->intermediate_size = wide ? 2 * usual : usual;
        config->decoder.intermediate_size = wide ? 2 * usual : usual;
    }
    return STATUS_OK;
}

// Without `layer_types` every sixth layer has full attention; the last one always has.
static enum status read_kinds(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    const size_t layers = config->num_hidden_layers;
    struct window window;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 512, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < layers && !found; i++)
        if ((i + 1) % 6 != 0)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    config->layers[layers - 1].sliding_window = 0;
    for (size_t i = 0; i < layers; i++)
        config->layers[i].local_rotary = config->layers[i].sliding_window != 0;
    return STATUS_OK;
}

// `per_layer_config`, as transformers writes it: layers by number, each with the sizes that differ.
static enum status read_layer_heads(struct head_sizes *heads, const struct config_reader *layers,
                                    size_t layer, struct error *err)
{
    struct config_reader own;
    char key[32], prefix[64];

    snprintf(key, sizeof key, "%zu", layer);
    snprintf(prefix, sizeof prefix, "per_layer_config.%zu.", layer);
    FORWARD_IF_ERROR(config_object(layers, key, prefix, &own, err));
    if (own.object == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(config_optional_size(&own, "head_dim", &heads->head_dim, err));
    return config_optional_size(&own, "num_key_value_heads", &heads->num_key_value_heads, err);
}

// Checks a layer's heads, and makes the model's the largest ones.
static enum status take_heads(struct model_config *config, const struct head_sizes *heads, size_t layer,
                              const struct config_reader *reader, struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    size_t *rotary_dim =
        config->layers[layer].local_rotary ? &config->local_rotary_dim : &decoder->rotary_dim;

    RETURN_ERROR_IF(heads->head_dim % 2 != 0, err, STATUS_INPUT,
                    "%s: head_dim: %zu rotary channels are odd, and rotary embedding pairs channels",
                    reader->path, heads->head_dim);
    RETURN_ERROR_IF(decoder->num_attention_heads % heads->num_key_value_heads != 0, err, STATUS_INPUT,
                    "%s: num_attention_heads: %zu is not a multiple of the %zu key-value heads of layer %zu",
                    reader->path, decoder->num_attention_heads, heads->num_key_value_heads, layer);
    RETURN_ERROR_IF(
        *rotary_dim != 0 && *rotary_dim != heads->head_dim, err, STATUS_INPUT,
        "%s: per_layer_config: the heads of layer %zu have another size than those of other layers "
        "of its type",
        reader->path, layer);
    *rotary_dim = heads->head_dim;
    config->layers[layer].heads = *heads;
    config->layers[layer].heads.rotary_dim = heads->head_dim;
    if (heads->head_dim > decoder->head_dim)
        decoder->head_dim = heads->head_dim;
    if (heads->num_key_value_heads > decoder->num_key_value_heads)
        decoder->num_key_value_heads = heads->num_key_value_heads;
    return STATUS_OK;
}

static enum status read_heads(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    const struct head_sizes usual = {config->decoder.num_key_value_heads, config->decoder.head_dim, 0};
    struct head_sizes global = {.num_key_value_heads = usual.num_key_value_heads, .head_dim = 512};
    struct config_reader layers;
    bool value_is_key = false;

    FORWARD_IF_ERROR(config_not_null(reader, "head_dim", err));
    FORWARD_IF_ERROR(config_not_null(reader, "num_key_value_heads", err));
    FORWARD_IF_ERROR(config_not_null(reader, "per_layer_config", err));
    FORWARD_IF_ERROR(config_bool(reader, "attention_k_eq_v", &value_is_key, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "global_head_dim", &global.head_dim, err));
    if (value_is_key)
        FORWARD_IF_ERROR(
            config_optional_size(&nullable, "num_global_key_value_heads", &global.num_key_value_heads, err));
    config_pass(reader, "num_global_key_value_heads");
    FORWARD_IF_ERROR(config_object(reader, "per_layer_config", "per_layer_config.", &layers, err));
    config->decoder.rotary_dim = 0;
    config->decoder.head_dim = config->decoder.num_key_value_heads = 0;
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const bool full = config->layers[i].sliding_window == 0;
        struct head_sizes heads = full && layers.object == NULL ? global : usual;
        if (layers.object != NULL)
            FORWARD_IF_ERROR(read_layer_heads(&heads, &layers, i, err));
        config->layers[i].value_is_key = value_is_key && full;
        FORWARD_IF_ERROR(take_heads(config, &heads, i, reader, err));
    }
    return STATUS_OK;
}

// The rotary embedding of one layer type; *rope has what it is without `rope_parameters`.
static enum status read_rope(struct rope_config *rope, const struct config_reader *reader,
                             const struct config_reader *parameters, const char *type, size_t rotary_dim,
                             struct error *err)
{
    struct rope_source source = {
        .root = reader, .whole_heads = true, .ignore_root_context = true, .proportional = true};
    char prefix[64];

    if (parameters->object == NULL)
        return STATUS_OK;
    snprintf(prefix, sizeof prefix, "rope_parameters.%s.", type);
    FORWARD_IF_ERROR(config_object(parameters, type, prefix, &source.parameters, err));
    RETURN_ERROR_IF(source.parameters.object == NULL, err, STATUS_INPUT, "%s: rope_parameters.%s: is missing",
                    reader->path, type);
    RETURN_ERROR_IF(config_find(&source.parameters, "rope_theta") == NULL, err, STATUS_INPUT,
                    "%s: rope_parameters.%s.rope_theta: is missing", reader->path, type);
    return rope_config_read(rope, &source, rotary_dim, err);
}

static enum status read_ropes(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    struct config_reader parameters;

    FORWARD_IF_ERROR(config_object(reader, "rope_parameters", "rope_parameters.", &parameters, err));
    config->rope.type = ROPE_PROPORTIONAL;
    config->rope.theta = 1e6;
    config->rope.proportion = 0.25;
    config->rope.factor = config->rope.attention_factor = 1.0;
    FORWARD_IF_ERROR(
        read_rope(&config->rope, reader, &parameters, "full_attention", config->decoder.rotary_dim, err));
    if (config->local_rotary_dim == 0) { // no layer is local
        config_pass(&parameters, "sliding_attention");
        return STATUS_OK;
    }
    config->local_rope.theta = 1e4;
    config->local_rope.factor = config->local_rope.attention_factor = 1.0;
    return read_rope(&config->local_rope, reader, &parameters, "sliding_attention", config->local_rotary_dim,
                     err);
}

static enum status configure_gemma4(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double cap = 0.0;

    FORWARD_IF_ERROR(read_causality(reader, err));
    config->embedding_scale = sqrt((double)config->decoder.hidden_size);
    config->rounded_embedding_scale = true; // as the reference does, and so did training
    config->decoder.attention_scale = 1.0F;
    FORWARD_IF_ERROR(config_real(&nullable, "final_logit_softcapping", 1e-6, 1e9, &cap, err));
    config->final_logit_soft_cap = (float)cap;
    FORWARD_IF_ERROR(read_kinds(config, reader, err));
    FORWARD_IF_ERROR(read_heads(config, reader, err));
    FORWARD_IF_ERROR(read_experts(config, reader, err));
    FORWARD_IF_ERROR(read_per_layer_input(config, reader, err));
    FORWARD_IF_ERROR(read_sharing(config, reader, err));
    return read_ropes(config, reader, err);
}

static const struct family rows[] = {
    {.model_type = "gemma4_text",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma4_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     RMS(1e-6),
     ROPE(NULL, 1e6),
     SIZES(262144, 2304, 9216, 30, 8),
     .experts = "experts",
     .per_layer_embedding = "embed_tokens_per_layer",
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 131072,
     .default_tie = true,
     .refused = "bidirectional attention, per-layer embeddings beside experts",
     .configure = configure_gemma4},
};
FAMILY_ROWS(gemma4_family, rows);
