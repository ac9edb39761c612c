// family.h - model families: which tensors a layer has, what they are called, and how config.json is to be
// read.
//
// A family is a row in one of the files of families/; FAMILIES.md says how to add one.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// A size that the shapes of tensors are made of, computed from the model's config.
enum dimension {
    DIMENSION_ONE,
    DIMENSION_HIDDEN,
    DIMENSION_QUERY,      // heads * head_dim
    DIMENSION_KEY_VALUE,  // key-value heads * head_dim
    DIMENSION_QKV,        // query, key and value together
    DIMENSION_QUERY_GATE, // queries and their gates
    DIMENSION_HEAD,       // head_dim
    // Of latent attention (kernels/forward/latent_attention.h).
    DIMENSION_QUERY_RANK,
    DIMENSION_KEY_VALUE_RANK,
    DIMENSION_COMPRESSED, // the latent of keys and values, and the keys' rotary part
    DIMENSION_EXPANDED,   // keys without that part, and values, of all heads
    DIMENSION_VALUES,     // values of all heads
    DIMENSION_HEADS,      // number of heads
    DIMENSION_KEY_VALUE_HEADS,
    DIMENSION_INTERMEDIATE,
    DIMENSION_GATE_UP, // 2 * intermediate
    DIMENSION_EXPERTS, // number of experts
    DIMENSION_EXPERT_INTERMEDIATE,
    DIMENSION_SHARED_INTERMEDIATE,
    DIMENSION_SHARED_GATE_UP, // 2 * that
    // Of linear attention; kernels/forward/linear_attention.h has the names.
    DIMENSION_LINEAR_QKV,   // 2 K + V
    DIMENSION_LINEAR_QKVZ,  // 2 K + 2 V
    DIMENSION_LINEAR_VALUE, // V
    DIMENSION_LINEAR_HEADS, // value heads
    DIMENSION_LINEAR_BA,    // 2 for each value head
    DIMENSION_LINEAR_HEAD,  // value_head_dim
    DIMENSION_LINEAR_TAPS,
    DIMENSION_PER_LAYER, // per_layer_size
};

// When a bias is there.
enum presence {
    NEVER,
    ALWAYS,
    WITH_ATTENTION_BIAS, // model_config's attention_bias
    WITH_ATTENTION_OUTPUT_BIAS,
    WITH_QKV_BIAS, // qkv_bias
    WITH_MLP_BIAS, // mlp_bias
};

enum member_kind {
    MEMBER_NORM,        // "<name>.weight" [out], or [out, in]: one for each head
    MEMBER_PLAIN_NORM,  // a norm without tensors
    MEMBER_LINEAR,      // "<name>.weight" [out, in], pruned
    MEMBER_ROUTER,      // the same, never pruned
    MEMBER_VECTOR,      // "<name>" [out], or [out, in], never pruned
    MEMBER_CONVOLUTION, // "<name>.weight" [out, 1, in], never pruned
};

// Which layers have a member.
enum layer_part {
    EVERY_LAYER,
    DENSE_LAYER,             // without experts
    SPARSE_LAYER,            // with experts
    OWN_KEY_LAYER,           // which does not take another layer's keys and values
    OWN_VALUE_LAYER,         // the same, and whose values are not its keys
    ROTARY_LAYER,            // with a rotary embedding
    SOFTMAX_ATTENTION_LAYER, // without linear attention
    LINEAR_ATTENTION_LAYER,
    HEAD,           // a norm, once for every head: "<name>.<head>.weight"
    KEY_VALUE_HEAD, // once for every key-value head
    EXPERT,         // once for every expert of a sparse layer; these rows come last
};

// What config.json must say for a member to be there.
enum condition {
    NO_CONDITION = 0,
    WITH_QUERY_KEY_NORM, // model_config's query_key_norm
    SEQUENTIAL,          // not parallel_residual
    WITH_QUERY_LATENT,
    WITH_SHARED_EXPERT, // shared_expert_intermediate_size is not 0
    WITHOUT_QUERY_LATENT,
    WITH_PARALLEL_NORMS, // model_config's parallel_norms
    WITHOUT_PARALLEL_NORMS,
    WITH_PER_LAYER_INPUT, // per_layer_size is not 0
};

// Where a linear lies that is not a tensor of its own: among the matrices of all experts, beside other
// linears, or the other way round. All zero: it is "<name>.weight" [out, in].
//
// `weight` of an EXPERT is [experts, parts * out, in], or transposed [experts, in, parts * out]; of another
// member it is the same without the experts. `bias` is [experts, parts * out], or [parts * out].
struct member_storage {
    const char *weight, *bias; // whole names within the layer, "mlp.experts.gate_up_proj"; NULL: as above
    bool outside;              // the name is not within a layer, but after the prefix alone
    bool seldom;               // the linear is by itself, "<name>.weight", unless the tensor is there
    bool of_all_layers;        // the tensor has the rows of all layers, one after the other
    bool transposed;
    bool either_way;    // transposed unless its shape is that of the other
    size_t parts, part; // how many linears of this size share the tensor, and which of them this is; 0: one
    bool interleaved;   // row i of part p is the tensor's parts * i + p; else p * out + i
};

// One norm, linear, vector or convolution of a layer: "<name>.weight" and, where `bias` says so,
// "<name>.bias", unless `storage` says otherwise.
struct family_member {
    enum member_kind kind;
    enum layer_part part;
    const char *name;   // within the layer: "self_attn.q_proj"; within the expert, for EXPERT
    size_t member;      // offset in struct decoder_layer of its struct norm, struct linear or const float *
    enum dimension out; // rows of the weight; the size of a norm or vector
    enum dimension in;  // columns; DIMENSION_ONE for a norm or vector
    size_t source;      // of a linear: its statistics source (enum decoder_source); 0 or 1 for EXPERT
    enum presence bias;
    struct member_storage storage; // of a linear whose bias, if it has one, is never an added one
    enum condition only;
};

// The reference's values for absent sizes, which only a model inside another may leave out; 0: none may.
struct default_sizes {
    size_t vocabulary, hidden, intermediate, layers, heads;
};

struct family {
    const char *model_type;
    // Names. A layer's tensors are "<prefix><layers>.<index>.<member>", an expert's
    // "<prefix><layers>.<index>.<experts>.<expert>.<member>".
    const char *prefix;       // before all names but lm_head: "model."
    const char *other_prefix; // what some checkpoints have in its place: "model.language_model."; or NULL
    const char *embedding;    // "embed_tokens"
    const char *positions;    // learned positions, or NULL
    const char
        *per_layer_embedding;   // [vocab, layers * per_layer_size], where per_layer_size is not 0; or NULL
    const char *embedding_norm; // a layer norm of embeddings, or NULL
    const char *layers, *experts;
    const char *final_norm; // NULL: it has no tensors
    const char *lm_head,
        *lm_head_elsewhere; // without prefix; a second name that some checkpoints use, or NULL
    const struct family_member *members;
    size_t num_members;
    const struct key_alias *aliases; // of keys of config.json, ended by a name of NULL; or NULL
    // Their keys in config.json. Of sizes NULL means num_hidden_layers, hidden_size, num_attention_heads and
    // max_position_embeddings, which the reference also takes where the family has names of its own.
    const char *layers_key, *hidden_key, *heads_key, *positions_key;
    // NULL: no layer has a dense MLP, or it is always default_intermediate * hidden_size wide. With
    // default_intermediate the key may be absent or null.
    const char *intermediate_key;
    size_t default_intermediate;
    const char *activation_key, *epsilon_key, *theta_key; // activation_key NULL: it has none
    const char *rotary_fraction_key; // the part of a head that is rotated; NULL: all of it
    const char *rotary_dim_key;      // the same in channels, an older key that counts without it; or NULL
    enum norm_kind norm;
    bool norm_without_bias; // the final norm has none although it is a layer norm
    bool lm_head_bias;      // "<lm_head>.bias" is added to the logits
    bool free_pad_token;    // the embedding has no row of padding: pad_token_id may be no token
    bool divided_hidden;    // hidden_size is a multiple of the heads, although head_dim says their size
    bool multi_head;        // each head has a key and a value of its own, and its size is hidden / heads
    // The reference's values for absent keys; 0: as many key-value heads as heads, head_dim = hidden /
    // heads.
    struct default_sizes default_sizes;
    size_t default_key_value_heads, default_head_dim, default_max_positions;
    bool null_head_dim;        // a head_dim of null is hidden / heads, not the default
    bool null_rotary_fraction; // null for rotary_fraction_key: all of a head is rotated
    // Phi-3's `original_max_position_embeddings`; 0: the family has no such key.
    size_t default_original_positions;
    double default_epsilon, default_theta, default_rotary_fraction;
    const char *default_rope; // what stands for absent `rope_parameters`, as JSON; NULL: nothing
    const char *default_activation;
    bool mrope; // `rope_type` "mrope": three positions for each token, which are one in a text
    bool default_tie, default_attention_bias;
    bool special_tokens_in_tasks; // the reference of tasks puts them around every text
    // Which keys of config.json the reference heeds, so that biases can be added.
    bool can_add_attention_bias, can_add_mlp_bias;
    // Keys that the reference's configuration has but its arithmetic does not use, beyond those of
    // config_unread.c, ended by NULL; or NULL.
    const char *const *harmless;
    const char *refused; // what of the family is not supported, for FAMILIES.md; NULL: nothing
    // Reads the sizes of heads where the keys of most families do not say them. NULL: they do.
    enum status (*read_heads)(struct decoder_config *decoder, const struct config_reader *reader,
                              struct error *err);
    // Reads the keys of rotary embeddings that only this family has, after all that others have. NULL: there
    // are none.
    enum status (*configure_rope)(struct model_config *config, const struct rope_source *source,
                                  struct error *err);
    // Reads the keys that only this family has, after all of the above. NULL: there are none.
    enum status (*configure)(struct model_config *config, const struct config_reader *reader,
                             struct error *err);
};

// As the layer has it.
size_t family_dimension(enum dimension dimension, const struct model_config *config, size_t layer);
bool family_condition(enum condition condition, const struct model_config *config);
bool family_presence(enum presence presence, const struct model_config *config);
