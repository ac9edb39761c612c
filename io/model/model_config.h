// model_config.h - what config.json says of a model, in the same words for every family.
#pragma once
#include "io/model/alibi.h"
#include "io/model/rope.h"
#include "io/model/weights/quantisation.h"
#include "kernels/forward/decoder.h"

// The properties in which the layers of one model may differ.
struct layer_kind {
    size_t sliding_window;  // 0: full attention
    bool local_rotary;      // takes model_config's local_rope
    bool no_rotary;         // takes no rotary embedding
    float attention_scale;  // 0: decoder's
    bool sparse;            // has experts
    bool linear_attention;  // in the place of softmax attention
    bool value_is_key;      // has no values of its own
    bool no_query_scale;    // takes no factors on its queries
    size_t attention_chunk; // in place of a sliding window; 0: none
    // Whether it gives keys and values to later layers, or takes those of an earlier one, and where these are
    // in a token's state.
    enum key_value_sharing key_value_sharing;
    size_t key_value_place;
    size_t intermediate_size; // 0: decoder's, which is the largest
    struct head_sizes heads;
};

struct wrapper; // wrapper.h

// Tokens that enter the model as another one.
struct stand_in {
    int32_t ids[3], by;
    size_t count; // of ids
};

struct model_config {
    char model_type[64];
    char headless[96]; // the class that it was saved from, where that has no head of a language model; or ""
    const struct wrapper *wrapper; // of the checkpoint that the language model is in; NULL: it is all
    size_t num_hidden_layers, vocab_size, max_position_embeddings;
    struct stand_in stand_in;
    bool tie_word_embeddings;
    bool attention_bias, attention_output_bias, qkv_bias, mlp_bias;
    bool lm_head_bias;                   // in families where config.json says whether there is one
    bool parallel_norms;                 // attention and MLP, side by side, have a norm each
    bool query_key_norm;                 // in families where config.json says whether there is one
    double embedding_scale;              // on token embeddings; 0: none
    bool rounded_embedding_scale;        // that factor has the embeddings' own number format
    size_t per_layer_vocab_size;         // rows of the embeddings of all layers
    bool no_final_norm;                  // the last layer's output goes to the head as it is
    size_t first_position;               // row of the learned positions that belongs to the first token
    float logit_scale;                   // 0: none
    float final_logit_soft_cap;          // 0: none
    enum alibi_kind alibi;               // in place of a rotary embedding
    bool bounded_positions;              // no more than max_position_embeddings are possible
    bool norm_embedding;                 // they are normed before the first layer, without a weight
    struct rope_config rope, local_rope; // local_rope's theta is 0 where the family has but one
    size_t local_rotary_dim;             // channels that local_rope rotates; 0: those of the decoder
    bool reversed_rotary;                // angles turn the other way
    // The query at position p is multiplied by 1 + beta log(1 + floor((p + first) / context)); beta 0: it is
    // not.
    double query_scale_beta, query_scale_first, query_scale_context;
    struct layer_kind *layers; // [num_hidden_layers]
    struct decoder_config decoder;
    struct quantisation quantisation;
};

// The decoder's config as one layer has it.
static inline struct decoder_config layer_config(const struct model_config *config, size_t layer)
{
    const struct layer_kind *kind = &config->layers[layer];
    struct decoder_config own = with_heads(&config->decoder, &kind->heads);

    if (kind->intermediate_size != 0)
        own.intermediate_size = kind->intermediate_size;
    return own;
}

// The longest sequence that the model was made for, 0 where nothing bounds it (ALiBi). Where rotary
// embeddings are stretched by a factor, some config.json say the length before in max_position_embeddings and
// some that after: the larger one counts.
size_t model_config_positions(const struct model_config *config);
