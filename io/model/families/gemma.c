#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

#include <math.h>
#include <stdio.h>

static const struct family_member gemma2_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", attention_output_norm),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
};

static const struct family_member gemma3_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", attention_output_norm),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
};

// The part that Gemma 2 and 3 share. Without `layer_types`, every period-th layer has full attention.
static enum status configure_gemma(struct model_config *config, const struct config_reader *reader,
                                   size_t period, double logit_cap, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double scalar = 256.0;
    struct window window;
    bool found, bidirectional = false;

    config->embedding_scale = sqrt((double)config->decoder.hidden_size);
    config->rounded_embedding_scale = true; // as the reference does, and so did training
    FORWARD_IF_ERROR(config_bool(&nullable, "use_bidirectional_attention", &bidirectional, err));
    RETURN_ERROR_IF(bidirectional, err, STATUS_INPUT,
                    "%s: use_bidirectional_attention: only causal language models can be pruned",
                    reader->path);
    FORWARD_IF_ERROR(config_number(reader, "query_pre_attn_scalar", 1e-6, 1e9, &scalar, err));
    config->decoder.attention_scale = (float)(1.0 / sqrt(scalar));
    if (json_is_null(config_value(reader, "final_logit_softcapping")))
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

static enum status configure_gemma2(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double cap = json_is_null(config_value(reader, "attn_logit_softcapping")) ? 0.0 : 50.0;

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
    const json_t *parameters = config_value(reader, "rope_parameters");
    json_t *full;

    *nested = json_is_object(parameters) ? json_deep_copy((json_t *)parameters)
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
    rope_pass_keys(&parameters); // only those of the layer types count
    source.theta_key = "rope_theta";
    GOTO_IF_ERROR(
        read_layer_type_rope(&config->rope, &source, &parameters, "full_attention", rotary_dim, err), done);
    // What was read of these came with them from there.
    if (scaling.seen != NULL)
        json_object_update_missing(scaling.seen, source.parameters.seen);
    source.theta_key = "rope_local_base_freq";
    status =
        read_layer_type_rope(&config->local_rope, &source, &parameters, "sliding_attention", rotary_dim, err);
done:
    json_decref(merged);
    return status;
}

static enum status configure_gemma3(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    size_t period = 6;

    FORWARD_IF_ERROR(config_optional_size(reader, "sliding_window_pattern", &period, err));
    FORWARD_IF_ERROR(configure_gemma(config, reader, period, 0.0, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].local_rotary = config->layers[i].sliding_window != 0;
    return read_gemma3_rope(config, reader, err);
}

// The older name of `hidden_activation`, and what `layer_types` was made from.
static const char *const gemma_harmless[] = {"hidden_act", "_sliding_window_pattern", NULL};

static const struct family rows[] = {
    {.model_type = "gemma2",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma2_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE("rope_theta", 1e4),
     .harmless = gemma_harmless,
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 8192,
     .default_tie = true,
     .configure = configure_gemma2},
    {.model_type = "gemma3_text",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma3_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE(NULL, 1e6),
     .harmless = gemma_harmless,
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 131072,
     .default_tie = true,
     .configure = configure_gemma3},
};
FAMILY_ROWS(gemma_family, rows);
