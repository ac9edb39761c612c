// experts.h - how many experts there are, which of them a token takes, and which layers have them: the keys
// that several families share.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// Number of experts, by either of its two names, and how many a token takes.
enum status read_experts(struct decoder_config *decoder, const struct config_reader *reader, size_t experts,
                         size_t per_token, struct error *err);

// The same where the keys have other names. An alias counts if it is there. A default of 0: the key is
// needed.
struct expert_keys {
    const char *experts, *experts_alias, *per_token, *per_token_alias; // aliases may be NULL
    size_t default_experts, default_per_token;
};
// The number of experts alone; that of a token is known, from the key per_token.
enum status read_expert_count(struct decoder_config *decoder, const struct config_reader *reader,
                              const struct expert_keys *keys, const char *per_token, struct error *err);
enum status read_expert_keys(struct decoder_config *decoder, const struct config_reader *reader,
                             const struct expert_keys *keys, struct error *err);

// Experts in every layer, as wide as the MLP would be.
void set_all_sparse(struct model_config *config);

// Defaults of the keys that came with DeepSeek-V2 and V3; 0: the key is needed.
struct routed_experts {
    size_t experts, per_token, shared, intermediate;
    size_t groups, kept_groups, first_dense;
    bool normalise, null_normalise; // whether norm_topk_prob may be null, which is false then
    double scale;
};
// n_routed_experts, num_experts_per_tok, n_shared_experts, moe_intermediate_size, first_k_dense_replace,
// routed_scaling_factor.
enum status read_routed_experts(struct model_config *config, const struct config_reader *reader,
                                const struct routed_experts *defaults, struct error *err);
// Sigmoids with a correction of the choice, in groups: n_group, topk_group, norm_topk_prob.
enum status read_sigmoid_routing(struct model_config *config, const struct config_reader *reader,
                                 const struct routed_experts *defaults, struct error *err);
// Groups of experts of which some are kept; all kept: there are none.
enum status set_groups(struct decoder_config *decoder, const struct config_reader *reader, size_t groups,
                       size_t kept, struct error *err);

// attention_dropout, which evaluation does not use, where the reference's class of the family declares it as
// float or None alone: others take an integer, too.
enum status check_attention_dropout(const struct config_reader *reader, struct error *err);
