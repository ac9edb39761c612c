#include "io/model/families/layer_ropes.h"
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

#include <math.h>
#include <string.h>

static const struct family_member gemma_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static const struct family_member vaultgemma_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

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

// The part that all versions share.
static enum status read_scaled_embedding(struct model_config *config, const struct config_reader *reader,
                                         struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    bool bidirectional = false;

    config->embedding_scale = sqrt((double)config->decoder.hidden_size);
    config->rounded_embedding_scale = true; // as the reference does, and so did training
    FORWARD_IF_ERROR(config_bool(&nullable, "use_bidirectional_attention", &bidirectional, err));
    RETURN_ERROR_IF(bidirectional, err, STATUS_INPUT,
                    "%s: use_bidirectional_attention: only causal language models can be pruned",
                    reader->path);
    return STATUS_OK;
}

static enum status configure_gemma1(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    const char *name = "";

    FORWARD_IF_ERROR(config_string(reader, "hidden_act", &name, err));
    if (strcmp(name, "gelu") == 0)
        config->decoder.activation = ACTIVATION_GELU_TANH; // what the first release meant by it
    return read_scaled_embedding(config, reader, err);
}

// The part that Gemma 2 and 3 share. Without `layer_types`, every period-th layer has full attention.
static enum status configure_gemma(struct model_config *config, const struct config_reader *reader,
                                   size_t period, double logit_cap, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double scalar = 256.0;
    struct window window;
    bool found;

    FORWARD_IF_ERROR(read_scaled_embedding(config, reader, err));
    FORWARD_IF_ERROR(config_number(reader, "query_pre_attn_scalar", 1e-6, 1e9, &scalar, err));
    config->decoder.attention_scale = (float)(1.0 / sqrt(scalar));
    if (json_is_null(config_value(reader, "final_logit_softcapping")))
        logit_cap = 0.0;
    FORWARD_IF_ERROR(config_real(&nullable, "final_logit_softcapping", 1e-6, 1e9, &logit_cap, err));
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

    FORWARD_IF_ERROR(config_real(&nullable, "attn_logit_softcapping", 1e-6, 1e9, &cap, err));
    config->decoder.attention_soft_cap = (float)cap;
    return configure_gemma(config, reader, 2, 30.0, err);
}

static enum status configure_gemma3(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    static const struct layer_ropes ropes = {1e6, 1e4, "rope_local_base_freq"};
    size_t period = 6;

    FORWARD_IF_ERROR(config_optional_size(reader, "sliding_window_pattern", &period, err));
    FORWARD_IF_ERROR(configure_gemma(config, reader, period, 0.0, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].local_rotary = config->layers[i].sliding_window != 0;
    return read_layer_ropes(config, reader, &ropes, err);
}

// The older name of `hidden_activation`, and what `layer_types` was made from.
static const char *const gemma_harmless[] = {"hidden_act", "_sliding_window_pattern", NULL};

static const char *const gemma1_harmless[] = {"hidden_activation", NULL};

static const struct family rows[] = {
    {.model_type = "gemma",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma_members),
     .can_add_attention_bias = true,
     ACTIVATION("hidden_act", "gelu_pytorch_tanh"),
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 16,
     .default_head_dim = 256,
     .default_max_positions = 8192,
     .default_tie = true,
     .harmless = gemma1_harmless,
     .configure = configure_gemma1},
    {.model_type = "vaultgemma",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(vaultgemma_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE("rope_theta", 1e4),
     .divided_hidden = true,
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 8192,
     .default_tie = true,
     .harmless = gemma_harmless,
     .configure = configure_gemma2},
    {.model_type = "gemma2",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma2_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE("rope_theta", 1e4),
     .divided_hidden = true,
     .harmless = gemma_harmless,
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 8192,
     .default_tie = true,
     .refused = "bidirectional attention",
     .configure = configure_gemma2},
    {.model_type = "gemma3_text",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma3_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE(NULL, 1e6),
     SIZES(262208, 2304, 9216, 26, 8),
     .divided_hidden = true,
     .harmless = gemma_harmless,
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 131072,
     .default_tie = true,
     .refused = "bidirectional attention",
     .configure = configure_gemma3},
};
FAMILY_ROWS(gemma_family, rows);
