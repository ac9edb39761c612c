#include "io/model/families/experts.h"
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

#include <string.h>

static const struct family_member phimoe_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    LAYER_NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("block_sparse_moe.gate", router, DIMENSION_EXPERTS),
    EXPERTS("w1", "w3", "w2"),
};

// With scaling of any kind, cosine and sine are multiplied by one of two keys. The reference takes the
// factors of short sequences for long ones, too.
static enum status configure_phimoe_rope(struct model_config *config, const struct rope_source *source,
                                         struct error *err)
{
    const struct config_reader *parameters = &source->parameters;
    struct rope_config *rope = &config->rope;
    const char *const keys[] = {"short_mscale", "long_mscale", "original_max_position_embeddings"};
    const bool scaled = rope->type != ROPE_DEFAULT;

    for (size_t i = 0; i < LENGTH(keys); i++)
        RETURN_ERROR_IF(scaled && config_find(parameters, keys[i]) == NULL, err, STATUS_INPUT,
                        "%s: %s%s: is missing", parameters->path, parameters->prefix, keys[i]);
    if (!scaled)
        return STATUS_OK;
    FORWARD_IF_ERROR(config_number(parameters, keys[0], 1e-6, 1e6, &rope->short_scale, err));
    FORWARD_IF_ERROR(config_number(parameters, keys[1], 1e-6, 1e6, &rope->long_scale, err));
    FORWARD_IF_ERROR(config_number(parameters, keys[2], 1, 1e12, &rope->scaled_from, err));
    if (rope->type == ROPE_LONGROPE)
        memcpy(rope->long_factor, rope->short_factor, config->decoder.rotary_dim / 2 * sizeof(float));
    return STATUS_OK;
}

static enum status configure_phimoe(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    struct window window;
    double jitter = 0.01;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    FORWARD_IF_ERROR(set_windows(config, &window, reader, err));
    FORWARD_IF_ERROR(config_bool(reader, "lm_head_bias", &config->lm_head_bias, err));
    FORWARD_IF_ERROR(config_real(reader, "router_jitter_noise", 0, 1e6, &jitter, err));
    decoder->routing.scores = ROUTING_SPARSE_MIXER;
    decoder->routing.jitter = (float)jitter;
    set_all_sparse(config);
    FORWARD_IF_ERROR(read_experts(decoder, reader, 16, 2, err));
    RETURN_ERROR_IF(decoder->num_experts_per_tok != 2, err, STATUS_INPUT,
                    "%s: num_experts_per_tok: the router of phimoe chooses 2 experts, not %zu", reader->path,
                    decoder->num_experts_per_tok);
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "phimoe",
     LLAMA_NAMES,
     .experts = "block_sparse_moe.experts",
     MEMBERS(phimoe_members),
     .can_add_attention_bias = true,
     SILU,
     NORMS(NORM_LAYER, "rms_norm_eps", 1e-5),
     ROPE("rope_theta", 1e6),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure_rope = configure_phimoe_rope,
     .configure = configure_phimoe},
};
FAMILY_ROWS(phimoe_family, rows);
