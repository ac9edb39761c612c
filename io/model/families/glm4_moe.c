#include "io/model/families/experts.h"
#include "io/model/families/rows.h"
#include "io/model/families/sections.h"
#include "io/model/families/windows.h"

static const struct family_member glm4_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, NEVER),
    CONDITIONAL(WITH_QUERY_KEY_NORM, MEMBER_NORM, EVERY_LAYER, "self_attn.q_norm", query_norm, DIMENSION_HEAD,
                DIMENSION_ONE, 0, NEVER),
    CONDITIONAL(WITH_QUERY_KEY_NORM, MEMBER_NORM, EVERY_LAYER, "self_attn.k_norm", key_norm, DIMENSION_HEAD,
                DIMENSION_ONE, 0, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    SIGMOID_EXPERTS,
};

static const struct family_member dots1_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    SIGMOID_EXPERTS,
};

static enum status configure_glm4_moe(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    static const struct routed_experts defaults = {.experts = 128,
                                                   .per_token = 8,
                                                   .shared = 1,
                                                   .intermediate = 1408,
                                                   .groups = 1,
                                                   .kept_groups = 1,
                                                   .first_dense = 1,
                                                   .normalise = true,
                                                   .scale = 1.0};

    FORWARD_IF_ERROR(config_not_null(reader, "num_key_value_heads", err));
    FORWARD_IF_ERROR(config_bool(reader, "use_qk_norm", &config->query_key_norm, err));
    return read_sigmoid_routing(config, reader, &defaults, err);
}

// The same without norms of queries and keys, whatever the key says.
static enum status configure_glm4v_moe(struct model_config *config, const struct config_reader *reader,
                                       struct error *err)
{
    FORWARD_IF_ERROR(configure_glm4_moe(config, reader, err));
    config->query_key_norm = false;
    return STATUS_OK;
}

// The layers from max_window_layers on are local, unless layer_types says otherwise.
static enum status read_dots1_windows(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    struct window window;
    double first = 62;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(config_number(reader, "max_window_layers", -1e9, 1e9, &first, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found && !window.is_null; i++)
        if ((double)i >= first)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

static enum status configure_dots1(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    static const struct routed_experts defaults = {
        .intermediate = 1408, .groups = 1, .kept_groups = 1, .null_normalise = true, .scale = 1.0};

    FORWARD_IF_ERROR(read_dots1_windows(config, reader, err));
    return read_sigmoid_routing(config, reader, &defaults, err);
}

static const char *const glm4_moe_harmless[] = {"num_nextn_predict_layers", "num_mtp_layers", NULL};
// Of the model's first code, which chose experts in one of several ways.
static const char *const dots1_harmless[] = {"scoring_func", "topk_method", "moe_layer_freq", NULL};

static const struct family rows[] = {
    {.model_type = "glm4_moe",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(glm4_moe_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 0.5,
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .harmless = glm4_moe_harmless,
     .configure = configure_glm4_moe},
    {.model_type = "glm4v_moe_text",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(glm4_moe_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     SIZES(151424, 4096, 10944, 46, 96),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 0.5,
     .null_rotary_fraction = true,
     .mrope = true,
     .default_key_value_heads = 8,
     .default_max_positions = 65536,
     .default_attention_bias = true,
     .harmless = glm4_moe_harmless,
     .configure_rope = read_position_sections,
     .configure = configure_glm4v_moe},
    {.model_type = "dots1",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(dots1_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 32,
     .default_max_positions = 2048,
     .harmless = dots1_harmless,
     .configure = configure_dots1},
};
FAMILY_ROWS(glm4_moe_family, rows);
