// The keys of config.json that config.c does not read for all families. Keys, defaults and rules are those of
// Hugging Face transformers (configuration_*.py).
#include "io/model/family_config.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// The key `sliding_window`, whose value counts only if a layer uses it: folders with 0 or null for "not used"
// are common.
struct window {
    bool is_null;
    json_int_t tokens;
};

// Absent, it is `fallback`; 0: null.
static enum status read_window(struct window *window, const struct config_reader *reader, json_int_t fallback,
                               struct error *err)
{
    const json_t *value = json_object_get(reader->object, "sliding_window");

    *window = (struct window){.is_null = fallback == 0, .tokens = fallback};
    if (value == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_null(value) && !json_is_integer(value), err, STATUS_INPUT,
                    "%s: sliding_window: must be an integer or null", reader->path);
    *window = (struct window){.is_null = json_is_null(value), .tokens = json_integer_value(value)};
    return STATUS_OK;
}

// Gives layer `layer` the window.
static enum status set_window(struct model_config *config, size_t layer, const struct window *window,
                              const struct config_reader *reader, struct error *err)
{
    RETURN_ERROR_IF(window->is_null, err, STATUS_INPUT,
                    "%s: sliding_window: is null, but layer %zu has sliding attention", reader->path, layer);
    RETURN_ERROR_IF(window->tokens < 1 || window->tokens > INT32_MAX, err, STATUS_INPUT,
                    "%s: sliding_window: must be an integer from 1 to 2147483647", reader->path);
    config->layers[layer].sliding_window = (size_t)window->tokens;
    return STATUS_OK;
}

// Gives it to all layers unless it is null.
static enum status set_windows(struct model_config *config, const struct window *window,
                               const struct config_reader *reader, struct error *err)
{
    for (size_t i = 0; i < config->num_hidden_layers && !window->is_null; i++)
        FORWARD_IF_ERROR(set_window(config, i, window, reader, err));
    return STATUS_OK;
}

// Reads `layer_types` into the layers' windows; *found is false when the key is absent.
static enum status read_layer_types(struct model_config *config, const struct config_reader *reader,
                                    const struct window *window, bool *found, struct error *err)
{
    const json_t *types = config_find(reader, "layer_types");

    *found = types != NULL;
    if (types == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_array(types) || json_array_size(types) != config->num_hidden_layers, err,
                    STATUS_INPUT, "%s: layer_types: must be a list of %zu strings, one for each layer",
                    reader->path, config->num_hidden_layers);
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        const bool sliding = type != NULL && strcmp(type, "sliding_attention") == 0;
        RETURN_ERROR_IF(!sliding && (type == NULL || strcmp(type, "full_attention") != 0), err, STATUS_INPUT,
                        "%s: layer_types: element %zu must be \"full_attention\" or \"sliding_attention\"",
                        reader->path, i);
        RETURN_ERROR_IF(
            sliding && window->is_null, err, STATUS_INPUT,
            "%s: layer_types: element %zu is \"sliding_attention\", but there is no sliding_window",
            reader->path, i);
        if (sliding)
            FORWARD_IF_ERROR(set_window(config, i, window, reader, err));
    }
    return STATUS_OK;
}

// With `layer_types` the reference reads a Mistral as a Ministral, whose layers may differ.
enum status configure_mistral(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    struct window window;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    return found ? STATUS_OK : set_windows(config, &window, reader, err);
}

// The window of the Qwen families, which `use_sliding_window` must switch on.
static enum status read_switched_window(struct window *window, bool *use, const struct config_reader *reader,
                                        struct error *err)
{
    *use = false;
    FORWARD_IF_ERROR(config_bool(reader, "use_sliding_window", use, err));
    FORWARD_IF_ERROR(read_window(window, reader, 4096, err));
    if (!*use)
        *window = (struct window){.is_null = true};
    return STATUS_OK;
}

static enum status read_max_window_layers(size_t *layers, const struct config_reader *reader,
                                          struct error *err)
{
    double number = 28.0;

    FORWARD_IF_ERROR(config_number(reader, "max_window_layers", -1e9, 1e9, &number, err));
    *layers = (size_t)fmax(number, 0.0);
    return STATUS_OK;
}

// Qwen2 and Qwen3: the layers from max_window_layers on are local.
enum status configure_qwen2(struct model_config *config, const struct config_reader *reader,
                            struct error *err)
{
    struct window window;
    size_t max_window_layers;
    bool found, use;

    FORWARD_IF_ERROR(read_switched_window(&window, &use, reader, err));
    FORWARD_IF_ERROR(read_max_window_layers(&max_window_layers, reader, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = max_window_layers; i < config->num_hidden_layers && !found && !window.is_null; i++)
        FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

enum status configure_phi3(struct model_config *config, const struct config_reader *reader, struct error *err)
{
    struct window window;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    return set_windows(config, &window, reader, err);
}

// The part that Gemma 2 and 3 share. Without `layer_types`, every period-th layer has full attention.
static enum status configure_gemma(struct model_config *config, const struct config_reader *reader,
                                   size_t period, double logit_cap, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double scalar = 256.0;
    struct window window;
    bool found, bidirectional = false;

    config->scaled_embedding = true;
    FORWARD_IF_ERROR(config_bool(&nullable, "use_bidirectional_attention", &bidirectional, err));
    RETURN_ERROR_IF(bidirectional, err, STATUS_INPUT,
                    "%s: use_bidirectional_attention: only causal language models can be pruned",
                    reader->path);
    FORWARD_IF_ERROR(config_number(reader, "query_pre_attn_scalar", 1e-6, 1e9, &scalar, err));
    config->decoder.attention_scale = (float)(1.0 / sqrt(scalar));
    if (json_is_null(json_object_get(reader->object, "final_logit_softcapping")))
        logit_cap = 0.0;
    FORWARD_IF_ERROR(config_number(&nullable, "final_logit_softcapping", 1e-6, 1e9, &logit_cap, err));
    config->final_logit_soft_cap = (float)logit_cap;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found; i++)
        if ((i + 1) % period != 0)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

enum status configure_gemma2(struct model_config *config, const struct config_reader *reader,
                             struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double cap = json_is_null(json_object_get(reader->object, "attn_logit_softcapping")) ? 0.0 : 50.0;

    FORWARD_IF_ERROR(config_number(&nullable, "attn_logit_softcapping", 1e-6, 1e9, &cap, err));
    config->decoder.attention_soft_cap = (float)cap;
    return configure_gemma(config, reader, 2, 30.0, err);
}

// The rotary embedding of one layer type of Gemma 3: root's keys, and the object at `type` in *nested.
static enum status read_layer_type_rope(struct rope_config *rope, struct rope_source *source,
                                        const struct config_reader *nested, const char *type,
                                        size_t rotary_dim, struct error *err)
{
    char prefix[64];

    snprintf(prefix, sizeof prefix, "rope_parameters.%s.", type);
    source->parameters = (struct config_reader){.path = nested->path, .prefix = ""};
    if (nested->object != NULL)
        FORWARD_IF_ERROR(config_object(nested, type, prefix, &source->parameters, err));
    return rope_config_read(rope, source, rotary_dim, err);
}

// Puts the entries of `rope_scaling` over those of rope_parameters.full_attention in *nested, a new object
// for the caller to decref: that is where they belonged before local layers got parameters of their own.
static enum status merge_rope_scaling(json_t **nested, const struct config_reader *reader,
                                      const struct config_reader *scaling, struct error *err)
{
    json_t *parameters = json_object_get(reader->object, "rope_parameters");
    json_t *full;

    *nested = json_is_object(parameters) ? json_deep_copy(parameters)
                                         : json_pack("{s:{s:s}, s:{s:s}}", "full_attention", "rope_type",
                                                     "default", "sliding_attention", "rope_type", "default");
    full = json_object_get(*nested, "full_attention");
    RETURN_ERROR_IF(*nested == NULL, err, STATUS_FAILED, "out of memory for config.json");
    if (scaling->object == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_object(full), err, STATUS_INPUT,
                    "%s: rope_scaling: belongs to rope_parameters.full_attention, which is missing",
                    reader->path);
    json_object_update(full, (json_t *)scaling->object);
    return STATUS_OK;
}

// Local layers have another rotary embedding. In `rope_parameters` both are nested; before it came,
// `rope_theta` and `rope_scaling` were those of the global layers, and `rope_local_base_freq` the local
// theta.
static enum status read_gemma3_rope(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    const size_t rotary_dim = config->decoder.rotary_dim;
    struct rope_source source = {.root = reader, .whole_heads = true, .ignore_root_context = true};
    struct config_reader scaling, parameters;
    json_t *merged = NULL;
    enum status status;

    config->rope.theta = 1e6;
    config->local_rope.theta = 1e4;
    FORWARD_IF_ERROR(config_object(reader, "rope_scaling", "rope_scaling.", &scaling, err));
    FORWARD_IF_ERROR(config_object(reader, "rope_parameters", "rope_parameters.", &parameters, err));
    GOTO_IF_ERROR(merge_rope_scaling(&merged, reader, &scaling, err), done);
    parameters.object = merged;
    source.theta_key = "rope_theta";
    GOTO_IF_ERROR(
        read_layer_type_rope(&config->rope, &source, &parameters, "full_attention", rotary_dim, err), done);
    source.theta_key = "rope_local_base_freq";
    status =
        read_layer_type_rope(&config->local_rope, &source, &parameters, "sliding_attention", rotary_dim, err);
done:
    json_decref(merged);
    return status;
}

enum status configure_gemma3(struct model_config *config, const struct config_reader *reader,
                             struct error *err)
{
    size_t period = 6;

    FORWARD_IF_ERROR(config_optional_size(reader, "sliding_window_pattern", &period, err));
    FORWARD_IF_ERROR(configure_gemma(config, reader, period, 0.0, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].local_rotary = config->layers[i].sliding_window != 0;
    return read_gemma3_rope(config, reader, err);
}

enum status configure_gpt_neox(struct model_config *config, const struct config_reader *reader,
                               struct error *err)
{
    config->decoder.qkv_layout = QKV_PER_HEAD;
    config->decoder.parallel_residual = true;
    return config_bool(reader, "use_parallel_residual", &config->decoder.parallel_residual, err);
}

enum status configure_opt(struct model_config *config, const struct config_reader *reader, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    const size_t hidden = config->decoder.hidden_size;
    bool norm_before = true, affine = true, bias = true;
    size_t projection = hidden;

    FORWARD_IF_ERROR(config_optional_size(&nullable, "word_embed_proj_dim", &projection, err));
    RETURN_ERROR_IF(
        projection != hidden, err, STATUS_INPUT,
        "%s: word_embed_proj_dim: %zu differs from hidden_size %zu; projected embeddings are not supported",
        reader->path, projection, hidden);
    FORWARD_IF_ERROR(config_bool(reader, "layer_norm_elementwise_affine", &affine, err));
    RETURN_ERROR_IF(!affine, err, STATUS_INPUT, "%s: layer_norm_elementwise_affine: false is not supported",
                    reader->path);
    FORWARD_IF_ERROR(config_bool(reader, "do_layer_norm_before", &norm_before, err));
    FORWARD_IF_ERROR(config_bool(reader, "_remove_final_layer_norm", &config->no_final_norm, err));
    FORWARD_IF_ERROR(config_bool(reader, "enable_bias", &bias, err));
    config->decoder.rotary_dim = 0;
    config->decoder.norm_after = !norm_before;
    config->no_final_norm |= !norm_before;
    config->attention_bias = config->mlp_bias = bias;
    config->first_position = 2; // the first rows are for padding, which does not occur here
    return STATUS_OK;
}

// Number of experts, by either of its two names, and how many a token takes.
static enum status read_experts(struct decoder_config *decoder, const struct config_reader *reader,
                                size_t experts, size_t per_token, struct error *err)
{
    FORWARD_IF_ERROR(config_optional_size(reader, "num_experts", &experts, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "num_local_experts", &experts, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "num_experts_per_tok", &per_token, err));
    RETURN_ERROR_IF(experts > 65536, err, STATUS_INPUT, "%s: num_experts: must be at most 65536",
                    reader->path);
    RETURN_ERROR_IF(per_token > experts, err, STATUS_INPUT,
                    "%s: num_experts_per_tok: %zu of only %zu experts", reader->path, per_token, experts);
    decoder->num_experts = experts;
    decoder->num_experts_per_tok = per_token;
    return STATUS_OK;
}

enum status configure_mixtral(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    struct window window;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    FORWARD_IF_ERROR(set_windows(config, &window, reader, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = true;
    config->decoder.moe_intermediate_size = config->decoder.intermediate_size;
    config->decoder.norm_topk_prob = true;
    return read_experts(&config->decoder, reader, 8, 2, err);
}

// Every decoder_sparse_step-th layer has experts, except those that mlp_only_layers lists.
static enum status read_sparse_layers(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    const json_t *dense = config_find(reader, "mlp_only_layers");
    size_t step = 1;

    FORWARD_IF_ERROR(config_optional_size(reader, "decoder_sparse_step", &step, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = (i + 1) % step == 0;
    RETURN_ERROR_IF(dense != NULL && !json_is_array(dense), err, STATUS_INPUT,
                    "%s: mlp_only_layers: must be a list of layer numbers", reader->path);
    for (size_t i = 0; i < json_array_size(dense); i++) {
        const json_t *layer = json_array_get(dense, i);
        RETURN_ERROR_IF(!json_is_integer(layer), err, STATUS_INPUT,
                        "%s: mlp_only_layers: must be a list of integers", reader->path);
        if (json_integer_value(layer) >= 0 && (size_t)json_integer_value(layer) < config->num_hidden_layers)
            config->layers[json_integer_value(layer)].sparse = false;
    }
    return STATUS_OK;
}

static enum status configure_qwen_moe(struct model_config *config, const struct config_reader *reader,
                                      size_t experts, size_t per_token, size_t intermediate,
                                      struct error *err)
{
    FORWARD_IF_ERROR(read_experts(&config->decoder, reader, experts, per_token, err));
    config->decoder.moe_intermediate_size = intermediate;
    FORWARD_IF_ERROR(
        config_optional_size(reader, "moe_intermediate_size", &config->decoder.moe_intermediate_size, err));
    FORWARD_IF_ERROR(config_bool(reader, "norm_topk_prob", &config->decoder.norm_topk_prob, err));
    return read_sparse_layers(config, reader, err);
}

enum status configure_qwen2_moe(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    struct window window;
    size_t max_window_layers;
    bool found, use;

    config->qkv_bias = true;
    FORWARD_IF_ERROR(config_bool(reader, "qkv_bias", &config->qkv_bias, err));
    config->decoder.shared_expert_intermediate_size = 5632;
    FORWARD_IF_ERROR(config_optional_size(reader, "shared_expert_intermediate_size",
                                          &config->decoder.shared_expert_intermediate_size, err));
    FORWARD_IF_ERROR(read_switched_window(&window, &use, reader, err));
    FORWARD_IF_ERROR(read_max_window_layers(&max_window_layers, reader, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found && use; i++)
        if (i % 2 == 0 && i < max_window_layers) // every other one of the first layers
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return configure_qwen_moe(config, reader, 60, 4, 1408, err);
}

enum status configure_qwen3_moe(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    struct window window;
    bool use;

    FORWARD_IF_ERROR(read_switched_window(&window, &use, reader, err));
    FORWARD_IF_ERROR(set_windows(config, &window, reader, err));
    return configure_qwen_moe(config, reader, 128, 8, 768, err);
}
