// Gemma 4: layers of two kinds, whose heads differ in size and number. Models whose layers also read the
// tokens (per-layer embeddings), or keys and values of other layers, cannot be pruned layer by layer.
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct family_member gemma4_members[] = {
    NORM("input_layernorm", input_norm),
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    ROW(MEMBER_LINEAR, OWN_VALUE_LAYER, "self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN,
        SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    PLAIN_NORM(value_norm),
    NORM("post_attention_layernorm", attention_output_norm),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
    ROW(MEMBER_VECTOR, EVERY_LAYER, "layer_scalar", output_scale, DIMENSION_ONE, DIMENSION_ONE, 0, NEVER),
};

static enum status refuse_unreachable(const struct config_reader *reader, struct error *err)
{
    double per_layer = 256, shared = 0;
    const char *bidirectional = "vision"; // which is about images
    bool experts = false;

    FORWARD_IF_ERROR(config_number(reader, "hidden_size_per_layer_input", 0, 1e9, &per_layer, err));
    RETURN_ERROR_IF(
        per_layer != 0, err, STATUS_INPUT,
        "%s: hidden_size_per_layer_input: models whose layers have embeddings of their own are not "
        "supported (it must be 0; absent it is 256)",
        reader->path);
    FORWARD_IF_ERROR(config_number(reader, "num_kv_shared_layers", 0, 1e9, &shared, err));
    RETURN_ERROR_IF(shared != 0, err, STATUS_INPUT,
                    "%s: num_kv_shared_layers: models whose layers share keys and values are not supported",
                    reader->path);
    FORWARD_IF_ERROR(config_bool(reader, "enable_moe_block", &experts, err));
    RETURN_ERROR_IF(experts, err, STATUS_INPUT,
                    "%s: enable_moe_block: experts are not supported in models of this type", reader->path);
    const struct config_reader nullable = config_nullable(reader);
    FORWARD_IF_ERROR(config_string(&nullable, "use_bidirectional_attention", &bidirectional, err));
    RETURN_ERROR_IF(strcmp(bidirectional, "vision") != 0, err, STATUS_INPUT,
                    "%s: use_bidirectional_attention: only causal language models can be pruned",
                    reader->path);
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

    FORWARD_IF_ERROR(refuse_unreachable(reader, err));
    config->embedding_scale = sqrt((double)config->decoder.hidden_size);
    config->rounded_embedding_scale = true; // as the reference does, and so did training
    config->decoder.attention_scale = 1.0F;
    FORWARD_IF_ERROR(config_number(&nullable, "final_logit_softcapping", 1e-6, 1e9, &cap, err));
    config->final_logit_soft_cap = (float)cap;
    FORWARD_IF_ERROR(read_kinds(config, reader, err));
    FORWARD_IF_ERROR(read_heads(config, reader, err));
    return read_ropes(config, reader, err);
}

// Of per-layer embeddings, shared keys and values, and experts, which are refused where they are used.
static const char *const gemma4_harmless[] = {"vocab_size_per_layer_input",
                                              "use_double_wide_mlp",
                                              "num_experts",
                                              "top_k_experts",
                                              "moe_intermediate_size",
                                              NULL};

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
     .harmless = gemma4_harmless,
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 131072,
     .default_tie = true,
     .refused = "per-layer embeddings, keys and values of other layers, experts",
     .configure = configure_gemma4},
};
FAMILY_ROWS(gemma4_family, rows);
