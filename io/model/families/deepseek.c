#include "io/model/families/experts.h"
#include "io/model/families/rows.h"

#include <math.h>
#include <string.h>

#define LATENT_ATTENTION                                                                                   \
    CONDITIONAL(WITHOUT_QUERY_LATENT, MEMBER_LINEAR, EVERY_LAYER, "self_attn.q_proj", latent.q,            \
                DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),                               \
        CONDITIONAL(WITH_QUERY_LATENT, MEMBER_LINEAR, EVERY_LAYER, "self_attn.q_a_proj", latent.q_a,       \
                    DIMENSION_QUERY_RANK, DIMENSION_HIDDEN, SOURCE_ATTENTION, WITH_ATTENTION_BIAS),        \
        CONDITIONAL(WITH_QUERY_LATENT, MEMBER_NORM, EVERY_LAYER, "self_attn.q_a_layernorm", latent.q_norm, \
                    DIMENSION_QUERY_RANK, DIMENSION_ONE, 0, NEVER),                                        \
        CONDITIONAL(WITH_QUERY_LATENT, MEMBER_LINEAR, EVERY_LAYER, "self_attn.q_b_proj", latent.q_b,       \
                    DIMENSION_QUERY, DIMENSION_QUERY_RANK, SOURCE_QUERY_LATENT, NEVER),                    \
        LINEAR("self_attn.kv_a_proj_with_mqa", latent.kv_a, DIMENSION_COMPRESSED, DIMENSION_HIDDEN,        \
               SOURCE_ATTENTION, WITH_ATTENTION_BIAS),                                                     \
        NORM_ROW("self_attn.kv_a_layernorm", latent.kv_norm, DIMENSION_KEY_VALUE_RANK, NEVER),             \
        LINEAR("self_attn.kv_b_proj", latent.kv_b, DIMENSION_EXPANDED, DIMENSION_KEY_VALUE_RANK,           \
               SOURCE_KEY_VALUE_LATENT, NEVER),                                                            \
        LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_VALUES, SOURCE_ATTENTION_OUTPUT,         \
               WITH_ATTENTION_BIAS)

static const struct family_member v2_members[] = {
    NORM("input_layernorm", input_norm),
    LATENT_ATTENTION,
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    GATED_MLP(SPARSE_LAYER, "mlp.shared_experts", DIMENSION_SHARED_INTERMEDIATE, WITH_MLP_BIAS),
    FUSED_OR_SEPARATE_EXPERTS(true),
};

static const struct family_member v3_members[] = {
    NORM("input_layernorm", input_norm),
    LATENT_ATTENTION,
    NORM("post_attention_layernorm", post_attention_norm),
    SIGMOID_EXPERTS,
};

// DeepSeek's sizes.
static const struct latent_sizes usual_sizes = {
    .query_rank = 1536, .key_value_rank = 512, .plain_dim = 128, .rotary_dim = 64, .value_dim = 128};

// Each head has a key of its own, made from the latent that they share. fallback 0: the number of heads.
static enum status check_key_value_heads(const struct decoder_config *decoder,
                                         const struct config_reader *reader, size_t fallback,
                                         struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    size_t heads = fallback;

    if (fallback == 0 || json_is_null(config_value(reader, "num_key_value_heads")))
        heads = decoder->num_attention_heads;
    FORWARD_IF_ERROR(config_optional_size(&nullable, "num_key_value_heads", &heads, err));
    RETURN_ERROR_IF(
        heads != decoder->num_attention_heads, err, STATUS_INPUT,
        "%s: num_key_value_heads: must be num_attention_heads (%zu) with latent attention, not %zu",
        reader->path, decoder->num_attention_heads, heads);
    return STATUS_OK;
}

// *decoder has the defaults of the latent's sizes.
static enum status read_latent_heads(struct decoder_config *decoder, const struct config_reader *reader,
                                     size_t key_value_heads, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    struct latent_sizes *latent = &decoder->latent;

    // The reference gives the norms of the latents this epsilon, whatever config.json says of the others.
    latent->norm_epsilon = 1e-6F;
    FORWARD_IF_ERROR(config_size(reader, "num_attention_heads", &decoder->num_attention_heads, err));
    FORWARD_IF_ERROR(check_key_value_heads(decoder, reader, key_value_heads, err));
    if (json_is_null(config_value(reader, "q_lora_rank")))
        latent->query_rank = 0;
    FORWARD_IF_ERROR(config_optional_size(&nullable, "q_lora_rank", &latent->query_rank, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "kv_lora_rank", &latent->key_value_rank, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "qk_nope_head_dim", &latent->plain_dim, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "qk_rope_head_dim", &latent->rotary_dim, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "v_head_dim", &latent->value_dim, err));
    latent->heads = decoder->num_key_value_heads = decoder->num_attention_heads;
    decoder->head_dim = latent->plain_dim + latent->rotary_dim;
    decoder->attention_scale = (float)(1.0 / sqrt((double)decoder->head_dim));
    return STATUS_OK;
}

static enum status read_v2_heads(struct decoder_config *decoder, const struct config_reader *reader,
                                 struct error *err)
{
    decoder->latent = usual_sizes;
    FORWARD_IF_ERROR(read_latent_heads(decoder, reader, 0, err));
    RETURN_ERROR_IF(decoder->hidden_size % decoder->num_attention_heads != 0, err, STATUS_INPUT,
                    "%s: hidden_size: %zu is not a multiple of num_attention_heads %zu", reader->path,
                    decoder->hidden_size, decoder->num_attention_heads);
    return STATUS_OK;
}

static enum status read_v3_heads(struct decoder_config *decoder, const struct config_reader *reader,
                                 struct error *err)
{
    size_t head_dim;

    decoder->latent = usual_sizes;
    FORWARD_IF_ERROR(read_latent_heads(decoder, reader, 128, err));
    head_dim = decoder->latent.rotary_dim;
    FORWARD_IF_ERROR(config_optional_size(reader, "head_dim", &head_dim, err));
    RETURN_ERROR_IF(head_dim != decoder->latent.rotary_dim, err, STATUS_INPUT,
                    "%s: head_dim: must be qk_rope_head_dim (%zu), not %zu", reader->path,
                    decoder->latent.rotary_dim, head_dim);
    return STATUS_OK;
}

// `head_dim` is another name of qk_rope_head_dim.
static enum status read_lite_heads(struct decoder_config *decoder, const struct config_reader *reader,
                                   struct error *err)
{
    struct latent_sizes *latent = &decoder->latent;

    *latent = (struct latent_sizes){
        .query_rank = 768, .key_value_rank = 512, .plain_dim = 192, .rotary_dim = 64, .value_dim = 256};
    FORWARD_IF_ERROR(config_not_null(reader, "num_key_value_heads", err));
    FORWARD_IF_ERROR(read_latent_heads(decoder, reader, 20, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "head_dim", &latent->rotary_dim, err));
    decoder->head_dim = latent->plain_dim + latent->rotary_dim;
    decoder->attention_scale = (float)(1.0 / sqrt((double)decoder->head_dim));
    return STATUS_OK;
}

// With a scaled rotary embedding scores are scaled too, by the square of what YaRN's temperature would be.
static enum status scale_attention(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    struct rope_source source;
    double multiplier = 0.0;

    if (config->rope.type == ROPE_DEFAULT)
        return STATUS_OK;
    FORWARD_IF_ERROR(rope_source_find(&source, reader, "rope_theta", err));
    const struct config_reader nullable = config_nullable(&source.parameters);
    FORWARD_IF_ERROR(config_number(&nullable, "mscale_all_dim", 0.0, 1e6, &multiplier, err));
    if (multiplier == 0.0)
        return STATUS_OK;
    RETURN_ERROR_IF(config_find(&source.parameters, "factor") == NULL, err, STATUS_INPUT,
                    "%s: %sfactor: is missing, and mscale_all_dim needs it", reader->path,
                    source.parameters.prefix);
    const double scale = rope_yarn_scale(config->rope.factor, multiplier);
    config->decoder.attention_scale = (float)(scale * scale / sqrt((double)config->decoder.head_dim));
    return STATUS_OK;
}

// Experts of the groups whose best one is best, or of all.
static enum status read_v2_routing(struct decoder_config *decoder, const struct config_reader *reader,
                                   struct error *err)
{
    const char *method = "greedy";
    size_t groups, kept;
    char text[64];

    FORWARD_IF_ERROR(config_string(reader, "topk_method", &method, err));
    if (strcmp(method, "greedy") == 0) {
        config_pass(reader, "n_group");
        config_pass(reader, "topk_group");
        return STATUS_OK;
    }
    RETURN_ERROR_IF(strcmp(method, "group_limited_greedy") != 0, err, STATUS_INPUT,
                    "%s: topk_method: '%s' is not supported (greedy, group_limited_greedy)", reader->path,
                    printable(text, sizeof text, method));
    FORWARD_IF_ERROR(config_size(reader, "n_group", &groups, err));
    FORWARD_IF_ERROR(config_size(reader, "topk_group", &kept, err));
    return set_groups(decoder, reader, groups, kept, err);
}

// "dense" or "sparse" for each layer.
static enum status read_mlp_layer_types(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    const json_t *types = config_find(reader, "mlp_layer_types");

    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = i > 0;
    if (types == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_array(types) || json_array_size(types) != config->num_hidden_layers, err,
                    STATUS_INPUT, "%s: mlp_layer_types: must be a list of %zu strings, one for each layer",
                    reader->path, config->num_hidden_layers);
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        config->layers[i].sparse = type != NULL && strcmp(type, "sparse") == 0;
        RETURN_ERROR_IF(!config->layers[i].sparse && (type == NULL || strcmp(type, "dense") != 0), err,
                        STATUS_INPUT, "%s: mlp_layer_types: element %zu must be \"dense\" or \"sparse\"",
                        reader->path, i);
    }
    return STATUS_OK;
}

static enum status configure_v2(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    static const struct expert_keys keys = {.experts = "n_routed_experts",
                                            .experts_alias = "num_experts",
                                            .per_token = "num_experts_per_tok",
                                            .default_experts = 64};
    static const struct routed_experts defaults = {.shared = 2, .intermediate = 1407, .scale = 1.0};

    config->decoder.interleaved_rotary = true;
    FORWARD_IF_ERROR(check_attention_dropout(reader, err));
    FORWARD_IF_ERROR(scale_attention(config, reader, err));
    FORWARD_IF_ERROR(read_expert_keys(&config->decoder, reader, &keys, err));
    FORWARD_IF_ERROR(read_routed_experts(config, reader, &defaults, err));
    return read_v2_routing(&config->decoder, reader, err);
}

static enum status configure_lite(struct model_config *config, const struct config_reader *reader,
                                  struct error *err)
{
    static const struct routed_experts defaults = {.experts = 64,
                                                   .per_token = 4,
                                                   .shared = 1,
                                                   .intermediate = 1536,
                                                   .groups = 1,
                                                   .kept_groups = 1,
                                                   .normalise = true,
                                                   .scale = 1.8};

    config->decoder.interleaved_rotary = true;
    FORWARD_IF_ERROR(config_bool(reader, "rope_interleave", &config->decoder.interleaved_rotary, err));
    FORWARD_IF_ERROR(scale_attention(config, reader, err));
    FORWARD_IF_ERROR(read_sigmoid_routing(config, reader, &defaults, err));
    return read_mlp_layer_types(config, reader, err);
}

static enum status configure_v3(struct model_config *config, const struct config_reader *reader,
                                struct error *err)
{
    static const struct routed_experts defaults = {.experts = 256,
                                                   .per_token = 8,
                                                   .shared = 1,
                                                   .intermediate = 2048,
                                                   .groups = 8,
                                                   .kept_groups = 4,
                                                   .first_dense = 3,
                                                   .normalise = true,
                                                   .null_normalise = true,
                                                   .scale = 2.5};
    const struct config_reader nullable = config_nullable(reader);

    config->decoder.interleaved_rotary = !json_is_null(config_value(reader, "rope_interleave"));
    FORWARD_IF_ERROR(config_bool(&nullable, "rope_interleave", &config->decoder.interleaved_rotary, err));
    FORWARD_IF_ERROR(scale_attention(config, reader, err));
    return read_sigmoid_routing(config, reader, &defaults, err);
}

// Layers for speculation follow the model's own, and are not part of it. The reference does not look at the
// others: its code has one way to score and to choose, and `head_dim` is made from other keys.
static const char *const v2_harmless[] = {"scoring_func", "moe_layer_freq", "norm_topk_prob",
                                          "head_dim",     "qk_head_dim",    NULL};
static const char *const v3_harmless[] = {"num_nextn_predict_layers",
                                          "num_mtp_layers",
                                          "scoring_func",
                                          "topk_method",
                                          "moe_layer_freq",
                                          "qk_head_dim",
                                          NULL};

static const struct family rows[] = {
    {.model_type = "deepseek_v2",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(v2_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .harmless = v2_harmless,
     .read_heads = read_v2_heads,
     .configure = configure_v2},
    {.model_type = "glm4_moe_lite",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(v3_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 202752,
     .harmless = v3_harmless,
     .read_heads = read_lite_heads,
     .configure = configure_lite},
    {.model_type = "deepseek_v3",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(v3_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 4096,
     .harmless = v3_harmless,
     .read_heads = read_v3_heads,
     .configure = configure_v3},
};
FAMILY_ROWS(deepseek_family, rows);
