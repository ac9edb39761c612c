#include "io/model/families/experts.h"
#include "io/model/families/granite.h"
#include "io/model/families/rows.h"

// Gate and up of all experts are one tensor, [experts, 2 intermediate, hidden], and down is another.
#define STACKED_EXPERTS                                                                                    \
    STORED_EXPERT("gate_proj", expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, NEVER,     \
                  .weight = "block_sparse_moe.input_linear.weight", .parts = 2, .part = 0),                \
        STORED_EXPERT("up_proj", expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0, NEVER,     \
                      .weight = "block_sparse_moe.input_linear.weight", .parts = 2, .part = 1),            \
        STORED_EXPERT("down_proj", expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, 1, NEVER, \
                      .weight = "block_sparse_moe.output_linear.weight")

static const struct family_member granitemoe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("block_sparse_moe.router.layer", router, DIMENSION_EXPERTS),
    STACKED_EXPERTS,
};

static const struct family_member granitemoeshared_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("block_sparse_moe.router.layer", router, DIMENSION_EXPERTS),
    CONDITIONAL(WITH_SHARED_EXPERT, MEMBER_LINEAR, SPARSE_LAYER, "shared_mlp.input_linear", gate_up,
                DIMENSION_SHARED_GATE_UP, DIMENSION_HIDDEN, SOURCE_MLP, NEVER),
    CONDITIONAL(WITH_SHARED_EXPERT, MEMBER_LINEAR, SPARSE_LAYER, "shared_mlp.output_linear", down,
                DIMENSION_HIDDEN, DIMENSION_SHARED_INTERMEDIATE, SOURCE_MLP_DOWN, NEVER),
    STACKED_EXPERTS,
};

static enum status configure_granitemoe(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    config->decoder.routing.scores = ROUTING_SOFTMAX_OF_CHOSEN;
    set_all_sparse(config);
    FORWARD_IF_ERROR(configure_granite(config, reader, err));
    return read_experts(&config->decoder, reader, 8, 2, err);
}

static enum status configure_granitemoeshared(struct model_config *config, const struct config_reader *reader,
                                              struct error *err)
{
    double shared = 0;

    FORWARD_IF_ERROR(config_number(reader, "shared_intermediate_size", 0, 1e9, &shared, err));
    config->decoder.shared_expert_intermediate_size = (size_t)shared;
    return configure_granitemoe(config, reader, err);
}

static const struct family rows[] = {
    {.model_type = "granitemoe",
     LLAMA_NAMES,
     .experts = "block_sparse_moe.experts",
     MEMBERS(granitemoe_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .configure = configure_granitemoe},
    {.model_type = "granitemoeshared",
     LLAMA_NAMES,
     .experts = "block_sparse_moe.experts",
     MEMBERS(granitemoeshared_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .configure = configure_granitemoeshared},
};
FAMILY_ROWS(granitemoe_family, rows);
