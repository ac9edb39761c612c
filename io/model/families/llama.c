#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member llama_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

// With `layer_types` the reference reads a Mistral as a Ministral, whose layers may differ.
static enum status configure_mistral(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    struct window window;
    bool found;

    config->attention_bias = config->mlp_bias = false; // whatever the keys of LLaMA say
    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    return found ? STATUS_OK : set_windows(config, &window, reader, err);
}

// Says where the weights came from.
static const char *const llama_harmless[] = {"is_llama_config", NULL};

static const struct family rows[] = {
    {.model_type = "llama",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .harmless = llama_harmless,
     .default_max_positions = 2048},
    {.model_type = "mistral",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure = configure_mistral},
};
FAMILY_ROWS(llama_family, rows);
