#include "io/model/families/experts.h"
#include "io/model/families/rows.h"

static const struct family_member ernie4_5_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    ROUTER_CORRECTION("mlp.moe_statics.e_score_correction_bias", DIMENSION_ONE, DIMENSION_EXPERTS),
    OPTIONAL_SHARED_EXPERT("mlp.shared_experts", WITH_MLP_BIAS),
    EXPERTS("gate_proj", "up_proj", "down_proj"),
};

// Every interval-th layer from the first to the last one has experts; -1: the model's last one.
static enum status read_sparse_layers(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    size_t interval = 1;
    double first = 1, last = -1;

    FORWARD_IF_ERROR(config_optional_size(reader, "moe_layer_interval", &interval, err));
    FORWARD_IF_ERROR(config_number(reader, "moe_layer_start_index", -1e9, 1e9, &first, err));
    FORWARD_IF_ERROR(config_number(reader, "moe_layer_end_index", -1e9, 1e9, &last, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse =
            (i + 1) % interval == 0 && (double)i >= first && (last == -1.0 || (double)i <= last);
    return STATUS_OK;
}

static enum status configure_ernie4_5_moe(struct model_config *config, const struct config_reader *reader,
                                          struct error *err)
{
    static const struct expert_keys keys = {.experts = "moe_num_experts",
                                            .experts_alias = "num_experts",
                                            .per_token = "moe_k",
                                            .per_token_alias = "num_experts_per_tok",
                                            .default_experts = 64,
                                            .default_per_token = 6};
    const struct config_reader nullable = config_nullable(reader);
    struct decoder_config *decoder = &config->decoder;
    double shared = 2, least = 1e-12;
    bool bias = false;

    decoder->interleaved_rotary = true;
    FORWARD_IF_ERROR(config_bool(&nullable, "use_bias", &bias, err));
    config->attention_bias = config->mlp_bias = config->lm_head_bias = bias;
    FORWARD_IF_ERROR(read_expert_keys(decoder, reader, &keys, err));
    decoder->moe_intermediate_size = 1536;
    FORWARD_IF_ERROR(
        config_optional_size(reader, "moe_intermediate_size", &decoder->moe_intermediate_size, err));
    FORWARD_IF_ERROR(config_number(reader, "moe_num_shared_experts", 0, 65536, &shared, err));
    decoder->shared_expert_intermediate_size = (size_t)shared * decoder->moe_intermediate_size;
    FORWARD_IF_ERROR(config_real(reader, "moe_norm_min", 0, 1e30, &least, err));
    decoder->routing.normalise = true;
    decoder->routing.sum_least = (float)least;
    return read_sparse_layers(config, reader, err);
}

// Of the model's first code: how experts are filled while training.
static const char *const ernie4_5_moe_harmless[] = {"moe_capacity", "moe_gate", "moe_use_aux_free", NULL};

static const struct family rows[] = {
    {.model_type = "ernie4_5_moe",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(ernie4_5_moe_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 5e5),
     .default_key_value_heads = 4,
     .default_max_positions = 131072,
     .default_tie = true,
     .harmless = ernie4_5_moe_harmless,
     .configure = configure_ernie4_5_moe},
};
FAMILY_ROWS(ernie4_5_moe_family, rows);
