// The keys of config.json that config.c does not read for all families. Keys, defaults and rules are those of
// Hugging Face transformers (configuration_*.py).
#include "io/model/family_config.h"

#include <math.h>
#include <string.h>

// The window of local attention: absent, it is `fallback`; null means none (0).
static enum status read_window(size_t *window, const struct config_reader *reader, size_t fallback,
                               struct error *err)
{
    *window = json_is_null(json_object_get(reader->object, "sliding_window")) ? 0 : fallback;
    return config_optional_size(reader, "sliding_window", window, err);
}

static void set_windows(struct model_config *config, size_t window)
{
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sliding_window = window;
}

// Reads `layer_types` into the layers' windows; *found is false when the key is absent.
static enum status read_layer_types(struct model_config *config, const struct config_reader *reader,
                                    size_t window, bool *found, struct error *err)
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
            sliding && window == 0, err, STATUS_INPUT,
            "%s: layer_types: element %zu is \"sliding_attention\", but there is no sliding_window",
            reader->path, i);
        config->layers[i].sliding_window = sliding ? window : 0;
    }
    return STATUS_OK;
}

enum status configure_mistral(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    size_t window;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    set_windows(config, window);
    return STATUS_OK;
}

// The window of the Qwen families, which `use_sliding_window` must switch on.
static enum status read_switched_window(size_t *window, const struct config_reader *reader, struct error *err)
{
    bool use = false;

    FORWARD_IF_ERROR(config_bool(reader, "use_sliding_window", &use, err));
    FORWARD_IF_ERROR(read_window(window, reader, 4096, err));
    if (!use)
        *window = 0;
    return STATUS_OK;
}

static enum status read_max_window_layers(size_t *layers, const struct config_reader *reader,
                                          struct error *err)
{
    double number = 28.0;

    FORWARD_IF_ERROR(config_number(reader, "max_window_layers", 0.0, 1e9, &number, err));
    *layers = (size_t)number;
    return STATUS_OK;
}

// Qwen2 and Qwen3: the layers from max_window_layers on are local.
enum status configure_qwen2(struct model_config *config, const struct config_reader *reader,
                            struct error *err)
{
    size_t window, max_window_layers;
    bool found;

    FORWARD_IF_ERROR(read_switched_window(&window, reader, err));
    FORWARD_IF_ERROR(read_max_window_layers(&max_window_layers, reader, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found; i++)
        config->layers[i].sliding_window = i >= max_window_layers ? window : 0;
    return STATUS_OK;
}

enum status configure_phi3(struct model_config *config, const struct config_reader *reader, struct error *err)
{
    size_t window;

    RETURN_ERROR_IF(config->rope.type != ROPE_DEFAULT && config->rope.type != ROPE_LONGROPE, err,
                    STATUS_INPUT, "%s: %s: phi3 has only \"longrope\"", reader->path,
                    config_find(reader, "rope_scaling") != NULL ? "rope_scaling.type"
                                                                : "rope_parameters.rope_type");
    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    set_windows(config, window);
    return STATUS_OK;
}

// The part that Gemma 2 and 3 share. Without `layer_types`, every period-th layer has full attention.
static enum status configure_gemma(struct model_config *config, const struct config_reader *reader,
                                   size_t period, double logit_cap, struct error *err)
{
    double scalar = 256.0;
    size_t window;
    bool found, bidirectional = false;

    config->scaled_embedding = true;
    FORWARD_IF_ERROR(config_bool(reader, "use_bidirectional_attention", &bidirectional, err));
    RETURN_ERROR_IF(bidirectional, err, STATUS_INPUT,
                    "%s: use_bidirectional_attention: only causal language models can be pruned",
                    reader->path);
    FORWARD_IF_ERROR(config_number(reader, "query_pre_attn_scalar", 1e-6, 1e9, &scalar, err));
    config->decoder.attention_scale = (float)(1.0 / sqrt(scalar));
    if (json_is_null(json_object_get(reader->object, "final_logit_softcapping")))
        logit_cap = 0.0;
    FORWARD_IF_ERROR(config_number(reader, "final_logit_softcapping", 1e-6, 1e9, &logit_cap, err));
    config->final_logit_soft_cap = (float)logit_cap;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found; i++)
        config->layers[i].sliding_window = (i + 1) % period != 0 ? window : 0;
    return STATUS_OK;
}

enum status configure_gemma2(struct model_config *config, const struct config_reader *reader,
                             struct error *err)
{
    double cap = json_is_null(json_object_get(reader->object, "attn_logit_softcapping")) ? 0.0 : 50.0;

    FORWARD_IF_ERROR(config_number(reader, "attn_logit_softcapping", 1e-6, 1e9, &cap, err));
    config->decoder.attention_soft_cap = (float)cap;
    return configure_gemma(config, reader, 2, 30.0, err);
}

// Local layers have another rotary embedding. In `rope_parameters` both are nested; before it came,
// `rope_theta` and `rope_scaling` were those of the global layers, and `rope_local_base_freq` the local
// theta.
static enum status read_gemma3_rope(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    const size_t rotary_dim = config->decoder.rotary_dim;
    struct config_reader nested, global, local = {.object = NULL};

    config->rope.theta = 1e6;
    config->local_rope.theta = 1e4;
    FORWARD_IF_ERROR(config_number(reader, "rope_theta", 1.0 + 1e-6, 1e30, &config->rope.theta, err));
    FORWARD_IF_ERROR(
        config_number(reader, "rope_local_base_freq", 1.0 + 1e-6, 1e30, &config->local_rope.theta, err));
    FORWARD_IF_ERROR(config_object(reader, "rope_scaling", "rope_scaling.", &global, err));
    FORWARD_IF_ERROR(config_object(reader, "rope_parameters", "rope_parameters.", &nested, err));
    if (nested.object != NULL) {
        FORWARD_IF_ERROR(
            config_object(&nested, "full_attention", "rope_parameters.full_attention.", &global, err));
        FORWARD_IF_ERROR(
            config_object(&nested, "sliding_attention", "rope_parameters.sliding_attention.", &local, err));
    }
    FORWARD_IF_ERROR(rope_parameters_read(&config->rope, reader, &global, rotary_dim, err));
    return rope_parameters_read(&config->local_rope, reader, &local, rotary_dim, err);
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
    const size_t hidden = config->decoder.hidden_size;
    bool norm_before = true, affine = true, bias = true;
    size_t projection = hidden;

    FORWARD_IF_ERROR(config_optional_size(reader, "word_embed_proj_dim", &projection, err));
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
    size_t window;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    set_windows(config, window);
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
    size_t window, max_window_layers;
    bool found;

    config->qkv_bias = true;
    FORWARD_IF_ERROR(config_bool(reader, "qkv_bias", &config->qkv_bias, err));
    config->decoder.shared_expert_intermediate_size = 5632;
    FORWARD_IF_ERROR(config_optional_size(reader, "shared_expert_intermediate_size",
                                          &config->decoder.shared_expert_intermediate_size, err));
    FORWARD_IF_ERROR(read_switched_window(&window, reader, err));
    FORWARD_IF_ERROR(read_max_window_layers(&max_window_layers, reader, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found; i++) // every other one of the first layers
        config->layers[i].sliding_window = i % 2 == 0 && i < max_window_layers ? window : 0;
    return configure_qwen_moe(config, reader, 60, 4, 1408, err);
}

enum status configure_qwen3_moe(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    size_t window;

    FORWARD_IF_ERROR(read_switched_window(&window, reader, err));
    set_windows(config, window);
    return configure_qwen_moe(config, reader, 128, 8, 768, err);
}
