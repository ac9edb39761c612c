// Models with a squared ReLU and no gate.
#include "io/model/families/rows.h"

#define UNGATED_MLP(bias)                                                                  \
    LINEAR("mlp.up_proj", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, bias), \
        LINEAR("mlp.down_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, bias)

static const struct family_member arcee_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    UNGATED_MLP(WITH_MLP_BIAS),
};

static const struct family_member nemotron_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    LAYER_NORM("post_attention_layernorm", post_attention_norm),
    UNGATED_MLP(WITH_MLP_BIAS),
};

// The activation has learned parameters, in tensors of its own.
static const struct family_member apertus_members[] = {
    NORM("attention_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("feedforward_layernorm", post_attention_norm),
    UNGATED_MLP(NEVER),
    VECTOR("mlp.act_fn.alpha_p", xielu.alpha_p, DIMENSION_ONE),
    VECTOR("mlp.act_fn.alpha_n", xielu.alpha_n, DIMENSION_ONE),
    VECTOR("mlp.act_fn.beta", xielu.beta, DIMENSION_ONE),
    VECTOR("mlp.act_fn.eps", xielu.epsilon, DIMENSION_ONE),
};

static const struct family_member nanochat_members[] = {
    PLAIN_NORM(input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    PLAIN_NORM(query_norm),
    PLAIN_NORM(key_norm),
    PLAIN_NORM(post_attention_norm),
    LINEAR("mlp.fc1", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, NEVER),
    LINEAR("mlp.fc2", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, NEVER),
};

static enum status configure_jais2(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    config->mlp_bias = true;
    return config_bool(reader, "mlp_bias", &config->mlp_bias, err);
}

static enum status configure_nanochat(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double cap = json_is_null(config_value(reader, "final_logit_softcapping")) ? 0.0 : 15.0;

    FORWARD_IF_ERROR(config_real(&nullable, "final_logit_softcapping", 1e-6, 1e9, &cap, err));
    config->final_logit_soft_cap = (float)cap;
    config->norm_embedding = true;
    config->reversed_rotary = true;
    config->decoder.rotary_before_norm = true;
    return STATUS_OK;
}

// What all of them are.
static const char *const apertus_harmless[] = {"qk_norm", "post_norm", NULL};

static const struct family rows[] = {
    {.model_type = "nemotron",
     LLAMA_NAMES,
     MEMBERS(nemotron_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     ACTIVATION("hidden_act", "relu2"),
     NORMS(NORM_LAYER_ONE_PLUS, "norm_eps", 1e-5),
     ROPE("rope_theta", 1e4),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 0.5,
     .default_max_positions = 4096},
    {.model_type = "arcee",
     LLAMA_NAMES,
     MEMBERS(arcee_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     ACTIVATION("hidden_act", "relu2"),
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .divided_hidden = true,
     .default_max_positions = 4096},
    {.model_type = "jais2",
     LLAMA_NAMES,
     MEMBERS(nemotron_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     ACTIVATION("hidden_act", "relu2"),
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     ROPE("rope_theta", 1e4),
     .divided_hidden = true,
     .default_max_positions = 8192,
     .default_attention_bias = true,
     .configure = configure_jais2},
    {.model_type = "apertus",
     LLAMA_NAMES,
     MEMBERS(apertus_members),
     .can_add_attention_bias = true,
     ACTIVATION("hidden_act", "xielu"),
     RMS(1e-5),
     ROPE("rope_theta", 1.2e7),
     .default_rope = "{\"rope_type\": \"llama3\", \"rope_theta\": 12000000.0, \"factor\": 8.0,"
                     " \"original_max_position_embeddings\": 8192, \"low_freq_factor\": 1.0,"
                     " \"high_freq_factor\": 4.0}",
     .harmless = apertus_harmless,
     .default_max_positions = 65536},
    {.model_type = "nanochat",
     .prefix = "model.",
     .embedding = "embed_tokens",
     .layers = "layers",
     .lm_head = "lm_head",
     .intermediate_key = "intermediate_size",
     MEMBERS(nanochat_members),
     .can_add_attention_bias = true,
     ACTIVATION("hidden_act", "relu2"),
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .configure = configure_nanochat},
};
FAMILY_ROWS(nemotron_family, rows);
