#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member starcoder2_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    LAYER_NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.c_fc", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("mlp.c_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, WITH_MLP_BIAS),
};

// Of StarCoder, and names of what is always there.
static const char *const starcoder2_harmless[] = {
    "activation_function", "attention_softmax_in_fp32",       "layer_norm_epsilon", "mlp_type",
    "norm_type",           "scale_attention_softmax_in_fp32", "scale_attn_weights", NULL};

static enum status configure_starcoder2(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    struct window window;
    bool bias = true;

    FORWARD_IF_ERROR(config_not_null(reader, "num_key_value_heads", err));
    FORWARD_IF_ERROR(config_bool(reader, "use_bias", &bias, err));
    config->attention_bias = config->mlp_bias = bias;
    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    return set_windows(config, &window, reader, err);
}

static const struct family rows[] = {
    {.model_type = "starcoder2",
     LLAMA_NAMES,
     MEMBERS(starcoder2_members),
     ACTIVATION("hidden_act", "gelu_pytorch_tanh"),
     NORMS(NORM_LAYER, "norm_epsilon", 1e-5),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 2,
     .default_max_positions = 4096,
     .default_tie = true,
     .harmless = starcoder2_harmless,
     .configure = configure_starcoder2},
};
FAMILY_ROWS(starcoder2_family, rows);
