// Models whose rotary embedding pairs neighbouring channels.
#include "io/model/families/rows.h"
#include "io/model/families/sections.h"

#include <stdint.h>

#define GLM_MLP                                                                                  \
    LINEAR("mlp.gate_up_proj", gate_up, DIMENSION_GATE_UP, DIMENSION_HIDDEN, SOURCE_MLP, NEVER), \
        LINEAR("mlp.down_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, NEVER)

static const struct family_member glm_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    GLM_MLP,
};

static const struct family_member glm4_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, NEVER),
    NORM("post_self_attn_layernorm", attention_output_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GLM_MLP,
    NORM("post_mlp_layernorm", output_norm),
};

// Of Helium and Ernie 4.5.
static const struct family_member gated_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_OUTPUT_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

static enum status configure_glm(struct model_config *config, const struct config_reader *reader,
                                 struct error *err)
{
    (void)reader;
    (void)err;
    config->decoder.interleaved_rotary = true;
    return STATUS_OK;
}

static enum status configure_helium(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    FORWARD_IF_ERROR(config_not_null(reader, "head_dim", err));
    return configure_glm(config, reader, err);
}

// Three positions for each token, which are one in a text, take turns along the frequencies: sections that do
// not cover them are refused by the reference, which has [8, 12, 12] where there are none.
enum status read_position_sections(struct model_config *config, const struct rope_source *source,
                                   struct error *err)
{
    static const char key[] = "mrope_section";
    const json_t *sections = config_find(&source->parameters, key);
    const size_t frequencies = config->decoder.rotary_dim / 2;
    json_int_t sum = sections == NULL ? 8 + 12 + 12 : 0;

    FORWARD_IF_ERROR(config_not_null(&source->parameters, key, err));
    for (size_t i = 0; i < json_array_size(sections); i++) {
        const json_int_t section = json_integer_value(json_array_get(sections, i));
        sum = section < 0 || section > INT32_MAX ? INT64_MIN / 2 : sum + section;
    }
    RETURN_ERROR_IF(sum < 0 || (uint64_t)sum != frequencies, err, STATUS_INPUT,
                    "%s: %s%s: must be integers whose sum is %zu, half the rotary channels",
                    source->parameters.path, source->parameters.prefix, key, frequencies);
    return STATUS_OK;
}

// Its biases are always there, and its heads have the size that hidden_size leaves them.
static enum status configure_glm4v(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    const struct decoder_config *decoder = &config->decoder;

    RETURN_ERROR_IF(decoder->head_dim * decoder->num_attention_heads != decoder->hidden_size, err,
                    STATUS_INPUT, "%s: head_dim: %zu is not hidden_size / num_attention_heads", reader->path,
                    decoder->head_dim);
    config->attention_bias = true;
    return configure_glm(config, reader, err);
}

// One key speaks of all biases.
static enum status configure_ernie(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    bool bias = false;

    FORWARD_IF_ERROR(config_bool(&nullable, "use_bias", &bias, err));
    config->attention_bias = config->attention_output_bias = config->mlp_bias = bias;
    return configure_glm(config, reader, err);
}

#define GLM(name, members)                                                                          \
    {                                                                                               \
        .model_type = (name), LLAMA_NAMES, MEMBERS(members), .can_add_attention_bias = true, SILU,  \
        RMS(1.5625e-7), ROPE("rope_theta", 1e4), .rotary_fraction_key = "partial_rotary_factor",    \
        .default_rotary_fraction = 0.5, .null_rotary_fraction = true, .default_key_value_heads = 2, \
        .default_head_dim = 128, .default_max_positions = 131072, .default_attention_bias = true,   \
        .configure = configure_glm                                                                  \
    }

static const struct family rows[] = {
    GLM("glm", glm_members),
    GLM("glm4", glm4_members),
    {.model_type = "glm4v_text",
     LLAMA_NAMES,
     MEMBERS(glm4_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     SIZES(151552, 4096, 13696, 40, 32),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 1.0,
     .null_rotary_fraction = true,
     .mrope = true,
     .default_key_value_heads = 2,
     .default_max_positions = 32768,
     .configure_rope = read_position_sections,
     .configure = configure_glm4v},
    {.model_type = "helium",
     LLAMA_NAMES,
     MEMBERS(gated_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-8),
     ROPE("rope_theta", 1e5),
     .default_key_value_heads = 20,
     .default_head_dim = 128,
     .default_max_positions = 4096,
     .configure = configure_helium},
    {.model_type = "ernie4_5",
     LLAMA_NAMES,
     MEMBERS(gated_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 5e5),
     .default_key_value_heads = 2,
     .default_head_dim = 128,
     .null_head_dim = true,
     .default_max_positions = 131072,
     .default_tie = true,
     .configure = configure_ernie},
};
FAMILY_ROWS(glm_family, rows);
