// layer.h - what a decoder layer is made of: sizes and switches of its model, its weights, its inputs.
#pragma once
#include "kernels/forward/activation.h"
#include "kernels/forward/latent_attention.h"
#include "kernels/forward/linear_attention.h"
#include "kernels/forward/norm.h"
#include "kernels/forward/per_layer_input.h"
#include "kernels/forward/routing.h"
#include "kernels/forward/token_tree.h"
#include "kernels/gemm.h"
#include <stdbool.h>
#include <stddef.h>

// How query, key and value lie in the output of the linear `qkv`, in families that have it instead of q, k
// and v.
enum qkv_layout {
    QKV_BLOCKS = 0,   // all queries, all keys, all values
    QKV_PER_HEAD = 1, // head by head: its query, its key, its value (GPT-NeoX)
    // Group by group, of qkv_groups: its queries, its keys, its values (Falcon), or values before keys
    // (CodeGen).
    QKV_GROUPS = 2,
    QKV_GROUPS_VALUE_FIRST = 3,
};

// What the norms of query and key are over.
enum query_key_norm {
    QUERY_KEY_PER_HEAD = 0, // each head by itself, with one weight for all of them, [head_dim]
    QUERY_KEY_WHOLE = 1,    // all heads together: [heads * head_dim], [key-value heads * head_dim]
};

// The same for every layer of a model, except that the sizes of heads may differ (struct head_sizes): then
// these are the largest.
struct decoder_config {
    size_t hidden_size, intermediate_size;
    // Floats that follow a token's hidden states from layer to layer (struct carried); 0 in most models.
    size_t carried_size;
    size_t per_layer_size; // channels of what layers read of the tokens (per_layer_input.h); 0: they do not
    size_t num_attention_heads, num_key_value_heads, head_dim;
    size_t rotary_dim;       // 0: no rotary embedding
    bool interleaved_rotary; // pairs the channels 2i and 2i + 1, not i and i + rotary_dim / 2
    enum norm_kind norm;
    float norm_epsilon;
    enum activation activation;
    struct clamped_swiglu swiglu; // of experts with that activation
    bool mlp_without_gate;        // no layer has `gate` or `gate_up`
    float attention_scale;        // 1 / sqrt(head_dim) unless the family says otherwise
    float attention_soft_cap;     // scores become c * tanh(score / c); 0: they do not
    enum qkv_layout qkv_layout;
    size_t qkv_groups; // of equal numbers of heads and of key-value heads
    // q has for each head its query, then a gate: the head's output is multiplied by the gate's sigmoid.
    bool gated_attention;
    struct linear_attention_config linear_attention; // of the layers that have it
    // Latent attention; then head_dim is that of queries and keys, of whose channels the last are rotated.
    struct latent_sizes latent;
    float clip_qkv; // query and key, after their norms, and value are cut to [-clip_qkv, clip_qkv]; 0: they
                    // are not
    enum query_key_norm query_key_norm;
    bool rotary_before_norm; // query and key are rotated, then normed
    float residual_scale;    // on what attention and MLP add to the residual stream; 0: they add it as it is
    // Attention and MLP both read the layer's input: x + attention(norm(x)) + mlp(norm(x)). Without a
    // post_attention_norm both read the same norm.
    bool parallel_residual;
    bool norm_in_residual; // a norm before attention or MLP changes the residual stream itself
    bool norm_after;       // each norm follows its addition, instead of preceding its attention or MLP
    // Mixture of experts; 0 where the family has none.
    size_t num_experts, num_experts_per_tok, moe_intermediate_size, shared_expert_intermediate_size;
    struct routing routing;
    // Experts and MLP both read the residual stream, each through its own norm, and the router through a
    // third one, times router_input_scale; what each puts out is normed before they are added.
    bool experts_beside_mlp;
    float router_input_scale;
};

// What a token takes with it from layer to layer, its state: its hidden states [hidden_size]; where layers
// read tokens, its id as a float, which is exact below 2^24; then keys and values of layers that later ones
// share.
static inline size_t state_size(const struct decoder_config *config)
{
    return config->hidden_size + config->carried_size;
}

// Keys and values, as attention sees them, that a layer gives to later ones or takes from an earlier one.
enum key_value_sharing { KEY_VALUE_OWN = 0, KEY_VALUE_GIVEN, KEY_VALUE_TAKEN };

// The heads of one layer, in models whose layers differ in them.
struct head_sizes {
    size_t num_key_value_heads, head_dim, rotary_dim; // head_dim 0: all as in the decoder_config
};

// The config of a layer with these heads.
static inline struct decoder_config with_heads(const struct decoder_config *config,
                                               const struct head_sizes *heads)
{
    struct decoder_config own = *config;

    if (heads->head_dim != 0) {
        own.num_key_value_heads = heads->num_key_value_heads;
        own.head_dim = heads->head_dim;
        own.rotary_dim = heads->rotary_dim;
    }
    return own;
}

// One layer's weights. A member that the family does not have is zero. Without input_norm or
// post_attention_norm attention or MLP read the residual stream as it is.
struct decoder_layer {
    struct norm input_norm, post_attention_norm;    // before attention; before the MLP
    struct norm attention_output_norm, output_norm; // on what attention and MLP add to the residual stream
    struct norm query_norm, key_norm;               // see query_key_norm
    struct norm value_norm;                         // per head
    struct linear q, k, v, o;                       // without v values are keys before norm and rotation
    struct linear qkv;                              // instead of q, k and v
    struct linear_attention linear_attention;       // instead of q, k, v and o
    struct latent_weights latent;                   // likewise
    struct linear gate, up, down;
    struct linear gate_up; // instead of gate and up: [2 intermediate, hidden], gate first
    // Experts, instead of gate, up and down; these are then absent, or the shared expert.
    struct linear router;                              // [num_experts, hidden]
    const float *router_correction;                    // [num_experts], of the choice alone (routing.h)
    struct linear expert_gate, expert_up, expert_down; // of expert 0
    size_t expert_stride;                              // floats from the weights of one expert to the next
    const float *router_expert_scale;                  // [num_experts], on the shares; or NULL
    struct norm router_norm, experts_norm, dense_output_norm, experts_output_norm;
    struct linear shared_expert_gate;         // [1, hidden]
    const float *sinks;                       // [num_attention_heads] or NULL (attention.h)
    size_t sliding_window, attention_chunk;   // attention.h; 0: full attention
    bool no_query_scale;                      // takes none of the rotary table's factors
    bool local_rotary;                        // takes the local angles of the rotary table
    bool no_rotary;                           // takes none
    float attention_scale;                    // 0: decoder_config's
    struct head_sizes heads;                  // where the layer has other heads than the config
    enum key_value_sharing key_value_sharing; // then key_value_place is where they are in a state:
    size_t key_value_place;                   // all keys, then all values, of a token
    // What the layer reads of the tokens themselves, after the MLP (per_layer_block.h).
    struct per_layer_input per_layer_input;
    struct linear per_layer_gate, per_layer_projection; // [per_layer_size, hidden], [hidden, per_layer_size]
    struct norm per_layer_norm;                         // on what this adds to the residual stream
    const float *output_scale;                          // [1], on the layer's output; NULL: none
    struct xielu xielu;                                 // what its activation has learned
};

enum qkv_part { QKV_QUERY = 0, QKV_KEY = 1, QKV_VALUE = 2 };
// The row of the linear `qkv` where a part's head begins; of key and value, a key-value head.
size_t qkv_row(const struct decoder_config *config, enum qkv_part part, size_t head);

// Statistics sources of a layer: which linears read the same input.
enum decoder_source {
    SOURCE_ATTENTION = 0,        // q, k, v; what linear attention has in their place
    SOURCE_ATTENTION_OUTPUT = 1, // o; out of linear attention
    SOURCE_MLP = 2,              // gate, up (also of the shared expert)
    SOURCE_MLP_DOWN = 3,         // down
    // Of latent attention; their numbers are those of source_number.
    SOURCE_QUERY_LATENT,     // q_b
    SOURCE_KEY_VALUE_LATENT, // kv_b
    // Of what a layer reads of the tokens, in layers without experts.
    SOURCE_PER_LAYER_GATE,
    SOURCE_PER_LAYER_PROJECTION,
};
// Expert e's gate and up are the source first + 2e, its down is first + 2e + 1. This is first, without and
// with a shared expert, in a model without latent attention:
enum { SOURCE_EXPERTS = 2, SOURCE_EXPERTS_BESIDE_SHARED = 4 };

// How many sources latent attention has more than other attention.
static inline size_t latent_sources(const struct decoder_config *config)
{
    return config->latent.key_value_rank == 0 ? 0 : config->latent.query_rank == 0 ? 1 : 2;
}

// The number of a source, in the order of the computation: the latents come right after SOURCE_ATTENTION, and
// all others are moved up by them. What is read of the tokens comes last.
static inline size_t source_number(const struct decoder_config *config, size_t source)
{
    if (source == SOURCE_ATTENTION)
        return SOURCE_ATTENTION;
    if (source == SOURCE_QUERY_LATENT)
        return 1;
    if (source == SOURCE_KEY_VALUE_LATENT)
        return latent_sources(config);
    if (source >= SOURCE_PER_LAYER_GATE)
        source = SOURCE_MLP_DOWN + 1 + source - SOURCE_PER_LAYER_GATE;
    return source + latent_sources(config);
}

// Channels of a head's value.
static inline size_t value_head_dim(const struct decoder_config *config)
{
    return config->latent.key_value_rank != 0 ? config->latent.value_dim : config->head_dim;
}
