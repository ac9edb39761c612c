// model.h - an open Hugging Face model: its config, its checkpoint, and its parts outside the layers. The
// layers are in layer_map.h; a family is one row in a file of families/.
#pragma once
#include "io/model/model_config.h"
#include "io/model/weights/checkpoint.h"
#include "kernels/forward/logits.h"

struct family; // io/model/family.h

struct model {
    struct model_config config;
    const struct family *family;
    const char *prefix; // of tensor names: the family's, or "" when the checkpoint does without
    struct checkpoint *checkpoint;
    const struct safetensors_tensor *embedding;    // [vocab, hidden]
    const struct safetensors_tensor *positions;    // learned positions [.., hidden], or NULL
    const struct safetensors_tensor *per_layer;    // embeddings of all layers [.., layers * size], or NULL
    const struct safetensors_tensor *final_norm;   // [hidden], or NULL
    const struct safetensors_tensor *lm_head;      // [vocab, hidden]; the embedding if there is no other
    const struct safetensors_tensor *lm_head_bias; // [vocab], or NULL
    float *final_norm_weight, *final_norm_bias;    // float32 copies, or NULL
    float *lm_head_bias_copy;                      // float32, or NULL
    struct norm embedding_norm;                    // of embeddings, float32 copies; its weight NULL: none
    float embedding_scale, per_layer_scale;
    enum compute compute;     // of the layers' linears, but for routers, and of the head; float32 at first
    size_t num_unused;        // tensors that nothing here asks for
    const char *first_unused; // their first
    bool added_attention_bias, added_mlp_bias; // model_add_biases
};

// states[tokens, state_size] <- the input of the first layer, for the sequence ids[tokens], which must be in
// [0, vocab_size).
void model_embed(const struct model *model, float *states, const int32_t *ids, size_t tokens);
// The same for a part of a sequence, whose first token is at `position`.
void model_embed_at(const struct model *model, float *states, const int32_t *ids, size_t tokens,
                    size_t position);
// What a layer reads of the tokens, but for what lies in its block (layer_map.h).
struct per_layer_input model_per_layer_input(const struct model *model, size_t layer);
// The part after the last layer: final norm and head. *head points into model.
void model_lm_head(struct lm_head *head, const struct model *model);

// Writes a line each about what the model is used with although config.json says otherwise, about tensors
// that it does not use and that are carried over, about a checkpoint that was saved without a head, an index
// that says otherwise than its shards, and codes that transformers takes otherwise; returns their number.
// Compares a tied model's head, if the checkpoint has one, with its embedding, up to where they differ.
enum { MODEL_WARNING_SIZE = 4480, MODEL_WARNINGS = 5 }; // room for a path
size_t model_warnings(char lines[MODEL_WARNINGS][MODEL_WARNING_SIZE], const struct model *model);

// Rotary angles for `tokens` positions as the config asks for (theta, scaling); cosine and sine are
// allocated: freed with rotary_table_free. STATUS_INPUT when the model has learned positions, and fewer than
// `tokens`.
enum status model_rotary_table(struct rotary_table *table, const struct model *model, size_t tokens,
                               struct error *err);
void rotary_table_free(struct rotary_table *table);
