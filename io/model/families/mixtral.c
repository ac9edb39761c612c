#include "io/model/families/experts.h"
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member mixtral_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(NEVER, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("block_sparse_moe.gate", router, DIMENSION_EXPERTS),
    EXPERTS("w1", "w3", "w2"),
};

static enum status configure_mixtral(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    struct window window;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    FORWARD_IF_ERROR(set_windows(config, &window, reader, err));
    set_all_sparse(config);
    config->decoder.routing.normalise = true;
    return read_experts(&config->decoder, reader, 8, 2, err);
}

static const struct family rows[] = {
    {.model_type = "mixtral",
     LLAMA_NAMES,
     .experts = "block_sparse_moe.experts",
     MEMBERS(mixtral_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e6),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure = configure_mixtral},
};
FAMILY_ROWS(mixtral_family, rows);
