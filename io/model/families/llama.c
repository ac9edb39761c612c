#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member llama_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

static const struct family_member seed_oss_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_OUTPUT_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

static enum status configure_seed_oss(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    return config_bool(reader, "attention_out_bias", &config->attention_output_bias, err);
}

// Three layers of four have a window, the first of them not.
static enum status configure_cwm(struct model_config *config, const struct config_reader *reader,
                                 struct error *err)
{
    struct window window;
    bool found;

    config->attention_bias = false; // whatever the key of LLaMA says
    FORWARD_IF_ERROR(read_window(&window, reader, 8192, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    window.is_null |= window.tokens == 0;
    FORWARD_IF_ERROR(require_window(&window, reader, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found; i++)
        if (i % 4 != 0)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

static const struct key_alias internlm3_aliases[] = {
    {"qkv_bias", "attention_bias"}, {"bias", "mlp_bias"}, {NULL, NULL}};

// The reference has no biases of one kind without those of the other.
static enum status configure_internlm3(struct model_config *config, const struct config_reader *reader,
                                       struct error *err)
{
    struct config_reader own = *reader;

    own.aliases = NULL; // null is refused there even where it does not count
    FORWARD_IF_ERROR(config_not_null(&own, "attention_bias", err));
    FORWARD_IF_ERROR(config_not_null(&own, "mlp_bias", err));
    RETURN_ERROR_IF(config->attention_bias != config->mlp_bias, err, STATUS_INPUT,
                    "%s: qkv_bias: differs from bias, which is not supported in models of this type",
                    reader->path);
    return STATUS_OK;
}

// The reference refuses these keys too.
static enum status configure_iquestcoder(struct model_config *config, const struct config_reader *reader,
                                         struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    bool window = false;

    (void)config;
    RETURN_ERROR_IF(config_find(reader, "clip_qkv") != NULL, err, STATUS_INPUT,
                    "%s: clip_qkv: is not supported in models of this type", reader->path);
    FORWARD_IF_ERROR(config_bool(&nullable, "use_sliding_window", &window, err));
    RETURN_ERROR_IF(window, err, STATUS_INPUT,
                    "%s: use_sliding_window: is not supported in models of this type", reader->path);
    return STATUS_OK;
}

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
     SIZES(32000, 4096, 11008, 32, 32),
     .divided_hidden = true,
     .harmless = llama_harmless,
     .default_max_positions = 2048},
    {.model_type = "mistral",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     SIZES(32000, 4096, 14336, 32, 32),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure = configure_mistral},
    {.model_type = "seed_oss",
     LLAMA_NAMES,
     MEMBERS(seed_oss_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 8,
     .default_head_dim = 128,
     .null_head_dim = true,
     .default_max_positions = 524288,
     .default_attention_bias = true,
     .configure = configure_seed_oss},
    {.model_type = "cwm",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e6),
     .default_rope = "{\"rope_type\": \"llama3\", \"rope_theta\": 1000000.0, \"factor\": 16.0,"
                     " \"original_max_position_embeddings\": 8192, \"low_freq_factor\": 1.0,"
                     " \"high_freq_factor\": 4.0}",
     .divided_hidden = true,
     .default_key_value_heads = 8,
     .default_head_dim = 128,
     .default_max_positions = 131072,
     .configure = configure_cwm},
    {.model_type = "internlm3",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     .aliases = internlm3_aliases,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .divided_hidden = true,
     .default_key_value_heads = 2,
     .default_head_dim = 128,
     .null_head_dim = true,
     .default_max_positions = 32768,
     .configure = configure_internlm3},
    {.model_type = "iquestcoder",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .divided_hidden = true,
     .default_key_value_heads = 8,
     .default_head_dim = 128,
     .null_head_dim = true,
     .default_max_positions = 131072,
     .configure = configure_iquestcoder},
};
FAMILY_ROWS(llama_family, rows);
