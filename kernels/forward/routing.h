// routing.h - which experts a token goes to, and with what share: from the logits of its router.
#pragma once
#include "kernels/gemm.h"
#include <stdbool.h>
#include <stdint.h>

// What a token's logits become; the chosen experts' scores are their shares.
enum routing_scores {
    ROUTING_SOFTMAX = 0,       // e^l / sum over all experts (Mixtral, 2024)
    ROUTING_SIGMOID,           // 1 / (1 + e^-l) (DeepSeek-V3, 2024)
    ROUTING_SOFTMAX_OF_CHOSEN, // e^l / sum over the chosen experts (Granite 3, gpt-oss)
    ROUTING_SIGMOID_OF_CHOSEN, // 1 / (1 + e^-l) where logits that a sigmoid rounds to 1 still differ (Llama
                               // 4)
    // Two experts, one after the other (SparseMixer, Liu et al., 2023; Phi-3.5-MoE). The share of the one
    // with the largest logit m is e^m / sum over the experts, without those that are chosen already, whose
    // logit is not below m by more than 2 jitter max(|l|, m).
    ROUTING_SPARSE_MIXER,
};

// Which groups of experts are worth most to a token.
enum group_worth {
    GROUP_LARGEST = 0, // by the largest of its experts' preferences (DeepSeek-V2, 2024)
    GROUP_TWO_LARGEST, // by the sum of the two largest (DeepSeek-V3)
};

// All zero: softmax over all experts, of which the largest are taken as they are.
struct routing {
    enum routing_scores scores;
    // Experts are chosen from the kept_groups groups that are worth most; a group is so many experts one
    // after the other. 0: there are no groups, or all are kept.
    size_t groups, kept_groups;
    enum group_worth worth;
    bool normalise; // shares are divided by max(their sum + sum_added, sum_least)
    float sum_added, sum_least;
    float scale;   // then multiplies them; 0: it does not
    float jitter;  // of the sparse mixer
    bool on_input; // shares multiply what the experts read, not what they put out
};

struct router {
    struct linear linear;      // [num_experts, hidden]
    const float *correction;   // [num_experts] or NULL: added to the scores for the choice alone
    const float *expert_scale; // [num_experts] or NULL: at last multiplies the shares
    size_t num_experts, num_experts_per_tok;
    struct routing routing;
};

// chosen[num_experts_per_tok], shares[num_experts_per_tok] <- the experts with the largest scores (with their
// correction), largest first, the lower index first among equals. logits[num_experts] is overwritten;
// scratch[2 num_experts]. The groups that are kept have num_experts_per_tok experts or more.
void route_token(uint32_t *chosen, float *shares, float *logits, const struct router *router, float *scratch);
