// model.h - a Hugging Face model directory as coppice sees it: config.json, the family's table of tensor
// names, and where every layer's tensors are. A family is one row of the table in model.c.
#pragma once
#include "io/model/checkpoint.h"
#include "io/model/rope.h"
#include "kernels/forward/decoder.h"
#include "kernels/forward/logits.h"

// What one layer has that others may not.
struct layer_kind {
    size_t sliding_window; // 0: full attention
    bool local_rotary;     // takes model_config's local_rope
    bool sparse;           // has experts
};

struct model_config {
    char model_type[64];
    size_t num_hidden_layers, vocab_size, max_position_embeddings;
    bool tie_word_embeddings;
    bool attention_bias, qkv_bias, mlp_bias;
    bool scaled_embedding;               // token embeddings are multiplied by sqrt(hidden_size)
    bool no_final_norm;                  // the last layer's output goes to the head as it is
    size_t first_position;               // row of the learned positions that belongs to the first token
    float final_logit_soft_cap;          // 0: none
    struct rope_config rope, local_rope; // local_rope's theta is 0 where the family has but one
    struct layer_kind *layers;           // [num_hidden_layers]
    struct decoder_config decoder;
};

struct family; // io/model/family.h

struct model {
    struct model_config config;
    const struct family *family;
    const char *prefix; // of tensor names: the family's, or "" when the checkpoint does without
    struct checkpoint *checkpoint;
    const struct safetensors_tensor *embedding;  // [vocab, hidden]
    const struct safetensors_tensor *positions;  // learned positions [.., hidden], or NULL
    const struct safetensors_tensor *final_norm; // [hidden], or NULL
    const struct safetensors_tensor *lm_head;    // [vocab, hidden]; the embedding when tied
    float *final_norm_weight, *final_norm_bias;  // float32 copies, or NULL
    float embedding_scale;
    bool added_attention_bias, added_mlp_bias; // model_add_biases
};

// The bias of a linear.
enum bias_place {
    BIAS_NONE = 0,  // the family has none
    BIAS_PRESENT,   // the next entry of the map
    BIAS_ATTENTION, // there would be one if config.json said attention_bias
    BIAS_MLP,       // mlp_bias
};

// One tensor of a layer, in the order of the family's table.
struct layer_tensor {
    const struct safetensors_tensor *tensor; // NULL: a bias of zeros that model_add_biases brought in
    char linear[96];      // "self_attn.q_proj" when this is the weight of a linear that is pruned, else ""
    size_t source;        // of a linear: which statistics source is its input (kernels/forward/decoder.h)
    bool expert;          // its input are the tokens that were routed to one expert
    enum bias_place bias; // of a weight
    size_t out, in;       // a vector is [out] with in = 1
    size_t offset;        // in floats, of its float32 copy in the layer's block; a multiple of 16
};

struct layer_map {
    size_t layer;
    size_t num_tensors;
    struct layer_tensor *tensors;
    size_t num_sources;
    size_t *source_channels; // [num_sources]
    size_t block_size;       // floats of the whole block
};

// Reads config.json, opens the checkpoint, checks that every tensor that the family asks for is there with
// the shape that the config says (STATUS_INPUT names file and tensor). Reads no weights. Freed with
// model_close.
enum status model_open(struct model **model, const char *directory, struct error *err);
void model_close(struct model *model); // NULL is fine

// Gives the linears that config.json's attention_bias or mlp_bias would give a bias one of zeros (see
// bias_place), as if it said so.
void model_add_biases(struct model *model, bool attention, bool mlp);

// STATUS_INPUT when an id is not in [0, vocab_size); names its index.
enum status model_check_ids(const struct model *model, const int32_t *ids, size_t tokens, struct error *err);
// hidden[tokens, hidden_size] <- the input of the first layer, for the sequence ids[tokens] (checked, see
// above).
void model_embed(const struct model *model, float *hidden, const int32_t *ids, size_t tokens);
// The same for a part of a sequence, whose first token is at `position`.
void model_embed_at(const struct model *model, float *hidden, const int32_t *ids, size_t tokens,
                    size_t position);
// What comes after the last layer; head points into model.
void model_lm_head(struct lm_head *head, const struct model *model);

// Fills map for one layer; freed with layer_map_free.
enum status layer_map_create(struct layer_map *map, const struct model *model, size_t layer,
                             struct error *err);
void layer_map_free(struct layer_map *map);
// The entry of a linear's bias, NULL when it has none.
const struct layer_tensor *layer_map_bias(const struct layer_tensor *weight);
// Points layer's weights into block (float32 copies laid out as map says). block outlives layer.
void layer_map_bind(struct decoder_layer *layer, const struct layer_map *map, const struct model *model,
                    const float *block);

// Rotary angles for `tokens` positions as the config asks for (theta, scaling); cosine and sine are
// allocated: freed with rotary_table_free. STATUS_INPUT when the model has learned positions, and fewer than
// `tokens`.
enum status model_rotary_table(struct rotary_table *table, const struct model *model, size_t tokens,
                               struct error *err);
void rotary_table_free(struct rotary_table *table);
