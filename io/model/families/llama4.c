// Llama 4: chunked attention with a rotary embedding in most layers, full attention without one in the
// others, whose queries grow with their position; a shared expert, and routed ones whose inputs the router
// scales.
#include "io/model/families/experts.h"
#include "io/model/families/no_rope_layers.h"
#include "io/model/families/rows.h"

#include <stdint.h>
#include <string.h>

// The norm of queries and keys, which has no weight, of layers with a rotary embedding.
#define ROTARY_NORM(field)                                                                                \
    {                                                                                                     \
        .kind = MEMBER_PLAIN_NORM, .part = ROTARY_LAYER, .member = offsetof(struct decoder_layer, field), \
        .only = WITH_QUERY_KEY_NORM                                                                       \
    }

static const struct family_member llama4_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    ROTARY_NORM(query_norm),
    ROTARY_NORM(key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "feed_forward", DIMENSION_INTERMEDIATE, NEVER),
    ROUTER("feed_forward.router", router, DIMENSION_EXPERTS),
    GATED_MLP(SPARSE_LAYER, "feed_forward.shared_expert", DIMENSION_SHARED_INTERMEDIATE, NEVER),
    STORED_EXPERT("gate_proj", expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, NEVER,
                  .weight = "feed_forward.experts.gate_up_proj", .transposed = true, .parts = 2, .part = 0),
    STORED_EXPERT("up_proj", expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, NEVER,
                  .weight = "feed_forward.experts.gate_up_proj", .transposed = true, .parts = 2, .part = 1),
    STORED_EXPERT("down_proj", expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, 1, NEVER,
                  .weight = "feed_forward.experts.down_proj", .transposed = true),
};

// An empty list is none; a longer one would make as many layer_types.
static enum status read_no_rotary(struct model_config *config, const struct config_reader *reader,
                                  struct error *err)
{
    const json_t *list = config_find(reader, "no_rope_layers");

    if (json_is_array(list) && json_array_size(list) == 0)
        list = NULL;
    RETURN_ERROR_IF(
        json_array_size(list) > config->num_hidden_layers && config_find(reader, "layer_types") == NULL, err,
        STATUS_INPUT, "%s: no_rope_layers: must be a list of %zu integers, one for each layer", reader->path,
        config->num_hidden_layers);
    return read_no_rope_layers(config, reader, list, err);
}

// Without `layer_types` the layers with a rotary embedding have chunks, unless attention_chunk_size is null.
static enum status read_chunks(struct model_config *config, const struct config_reader *reader,
                               struct error *err)
{
    static const char key[] = "attention_chunk_size";
    const struct config_reader nullable = config_nullable(reader);
    const json_t *types = config_find(reader, "layer_types");
    size_t chunk = json_is_null(config_value(reader, key)) ? 0 : 8192;

    FORWARD_IF_ERROR(config_optional_size(&nullable, key, &chunk, err));
    RETURN_ERROR_IF(types != NULL &&
                        (!json_is_array(types) || json_array_size(types) != config->num_hidden_layers),
                    err, STATUS_INPUT, "%s: layer_types: must be a list of %zu strings, one for each layer",
                    reader->path, config->num_hidden_layers);
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        const bool chunked = types != NULL ? type != NULL && strcmp(type, "chunked_attention") == 0
                                           : !config->layers[i].no_rotary && chunk != 0;
        RETURN_ERROR_IF(types != NULL && !chunked && (type == NULL || strcmp(type, "full_attention") != 0),
                        err, STATUS_INPUT,
                        "%s: layer_types: element %zu must be \"full_attention\" or \"chunked_attention\"",
                        reader->path, i);
        RETURN_ERROR_IF(chunked && chunk == 0, err, STATUS_INPUT,
                        "%s: layer_types: element %zu is \"chunked_attention\", but there is no %s",
                        reader->path, i, key);
        config->layers[i].attention_chunk = chunked ? chunk : 0;
    }
    return STATUS_OK;
}

// The factors on queries of layers without a rotary embedding.
static enum status read_temperature(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    double beta = 0.1;
    size_t context = 8192;
    bool tuned = true;

    FORWARD_IF_ERROR(config_bool(reader, "attn_temperature_tuning", &tuned, err));
    FORWARD_IF_ERROR(config_real(reader, "attn_scale", -1e6, 1e6, &beta, err));
    RETURN_ERROR_IF(json_is_integer(config_find(reader, "attn_scale")), err, STATUS_INPUT,
                    "%s: attn_scale: must have a decimal point", reader->path);
    FORWARD_IF_ERROR(config_optional_size(reader, "floor_scale", &context, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].no_query_scale = !config->layers[i].no_rotary;
    config->query_scale_beta = tuned ? beta : 0.0;
    config->query_scale_context = (double)context;
    config->query_scale_first = 1.0;
    return STATUS_OK;
}

// Which layers have experts: every interleave_moe_layer_step-th, unless moe_layers lists them.
static enum status read_sparse(struct model_config *config, const struct config_reader *reader,
                               struct error *err)
{
    const json_t *list = config_find(reader, "moe_layers");
    size_t step = 1;

    FORWARD_IF_ERROR(config_not_null(reader, "interleave_moe_layer_step", err));
    if (list == NULL)
        FORWARD_IF_ERROR(config_optional_size(reader, "interleave_moe_layer_step", &step, err));
    RETURN_ERROR_IF(list != NULL && !json_is_array(list), err, STATUS_INPUT,
                    "%s: moe_layers: must be a list of layer numbers", reader->path);
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = list == NULL && (i + 1) % step == 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *layer = json_array_get(list, i);
        RETURN_ERROR_IF(!json_is_integer(layer), err, STATUS_INPUT,
                        "%s: moe_layers: must be a list of integers", reader->path);
        if (json_integer_value(layer) >= 0 && (size_t)json_integer_value(layer) < config->num_hidden_layers)
            config->layers[json_integer_value(layer)].sparse = true;
    }
    return STATUS_OK;
}

static enum status configure_llama4(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    static const struct expert_keys keys = {.experts = "num_local_experts",
                                            .per_token = "num_experts_per_tok",
                                            .default_experts = 16,
                                            .default_per_token = 1};
    struct decoder_config *decoder = &config->decoder;

    decoder->interleaved_rotary = true;
    decoder->rotary_before_norm = true;
    config->query_key_norm = true;
    FORWARD_IF_ERROR(config_bool(reader, "use_qk_norm", &config->query_key_norm, err));
    FORWARD_IF_ERROR(read_no_rotary(config, reader, err));
    FORWARD_IF_ERROR(read_chunks(config, reader, err));
    FORWARD_IF_ERROR(read_temperature(config, reader, err));
    FORWARD_IF_ERROR(read_sparse(config, reader, err));
    FORWARD_IF_ERROR(read_expert_keys(decoder, reader, &keys, err));
    decoder->moe_intermediate_size = 8192;
    FORWARD_IF_ERROR(config_optional_size(reader, "intermediate_size", &decoder->moe_intermediate_size, err));
    decoder->shared_expert_intermediate_size = decoder->moe_intermediate_size;
    decoder->routing = (struct routing){.scores = ROUTING_SIGMOID_OF_CHOSEN, .on_input = true};
    return STATUS_OK;
}

static const char *const llama4_harmless[] = {"for_llm_compressor", NULL};

static const struct family rows[] = {
    {.model_type = "llama4_text",
     .prefix = "model.",
     .embedding = "embed_tokens",
     .layers = "layers",
     .final_norm = "norm",
     .lm_head = "lm_head",
     .intermediate_key = "intermediate_size_mlp",
     .experts = "feed_forward.experts",
     MEMBERS(llama4_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 5e5),
     SIZES(202048, 5120, 16384, 48, 40),
     .default_key_value_heads = 8,
     .default_head_dim = 128,
     .null_head_dim = true,
     .default_max_positions = 131072,
     .harmless = llama4_harmless,
     .configure = configure_llama4},
};
FAMILY_ROWS(llama4_family, rows);
