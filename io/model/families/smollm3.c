#include "io/model/families/no_rope_layers.h"
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member smollm3_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

// Without `layer_types` the layers without rotary embedding have the window, if it is switched on.
static enum status configure_smollm3(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    struct window window;
    bool found, use = false;

    FORWARD_IF_ERROR(read_no_rope_layers(config, reader, config_find(reader, "no_rope_layers"), err));
    FORWARD_IF_ERROR(config_bool(reader, "use_sliding_window", &use, err));
    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found && use && !window.is_null; i++)
        if (config->layers[i].no_rotary)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

static const char *const smollm3_harmless[] = {"max_window_layers", NULL};

static const struct family rows[] = {
    {.model_type = "smollm3",
     LLAMA_NAMES,
     MEMBERS(smollm3_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 2e6),
     .default_key_value_heads = 4,
     .default_max_positions = 32768,
     .default_tie = true,
     .harmless = smollm3_harmless,
     .configure = configure_smollm3},
};
FAMILY_ROWS(smollm3_family, rows);
