#include "io/model/families/experts.h"
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

#define GATE_UP(which)                                                                         \
    .weight = "mlp.experts.gate_up_proj", .bias = "mlp.experts.gate_up_proj_bias", .parts = 2, \
    .part = (which), .transposed = true, .interleaved = true

static const struct family_member gpt_oss_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    VECTOR("self_attn.sinks", sinks, DIMENSION_HEADS),
    NORM("post_attention_layernorm", post_attention_norm),
    ROW(MEMBER_ROUTER, SPARSE_LAYER, "mlp.router", router, DIMENSION_EXPERTS, DIMENSION_HIDDEN, 0, ALWAYS),
    STORED_EXPERT("gate_proj", expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, ALWAYS,
                  GATE_UP(0)),
    STORED_EXPERT("up_proj", expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, ALWAYS,
                  GATE_UP(1)),
    STORED_EXPERT("down_proj", expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, 1, ALWAYS,
                  .weight = "mlp.experts.down_proj", .bias = "mlp.experts.down_proj_bias",
                  .transposed = true),
};

// Every other layer has a window, the first one among them.
static enum status read_gpt_oss_windows(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    struct window window;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 128, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found; i += 2)
        FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

static enum status configure_gpt_oss(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    static const struct expert_keys keys = {.experts = "num_local_experts",
                                            .experts_alias = "num_experts",
                                            .per_token = "num_experts_per_tok",
                                            .default_experts = 128,
                                            .default_per_token = 4};
    struct decoder_config *decoder = &config->decoder;
    double alpha = 1.702, limit = 7.0;

    FORWARD_IF_ERROR(config_real(reader, "swiglu_alpha", -1e6, 1e6, &alpha, err));
    FORWARD_IF_ERROR(config_real(reader, "swiglu_limit", 0, 1e30, &limit, err));
    decoder->activation = ACTIVATION_CLAMPED_SWIGLU; // whatever `hidden_act` says
    decoder->swiglu = (struct clamped_swiglu){(float)alpha, (float)limit};
    decoder->routing.scores = ROUTING_SOFTMAX_OF_CHOSEN;
    set_all_sparse(config);
    FORWARD_IF_ERROR(read_gpt_oss_windows(config, reader, err));
    return read_expert_keys(decoder, reader, &keys, err);
}

// Of the model's first code: what layer_types and rope_parameters say in other words, and its defaults.
static const char *const gpt_oss_harmless[] = {"initial_context_length", "experts_per_token", NULL};

static const struct family rows[] = {
    {.model_type = "gpt_oss",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(gpt_oss_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1.5e5),
     .default_rope = "{\"rope_type\": \"yarn\", \"factor\": 32.0, \"beta_fast\": 32.0, \"beta_slow\": 1.0, "
                     "\"truncate\": false, \"original_max_position_embeddings\": 4096}",
     .default_key_value_heads = 8,
     .default_head_dim = 64,
     .default_max_positions = 131072,
     .default_attention_bias = true,
     .harmless = gpt_oss_harmless,
     .configure = configure_gpt_oss},
};
FAMILY_ROWS(gpt_oss_family, rows);
