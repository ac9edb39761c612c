// layer_map.h - the tensors of one layer: which of the checkpoint's they are, which linears are pruned, where
// their float32 copies are in the layer's block.
#pragma once
#include "io/model/model.h"

enum { LINEAR_NAME_SIZE = 96 };

// Where the bias of a linear is.
enum bias_place {
    BIAS_NONE = 0,  // the family has none
    BIAS_PRESENT,   // the next entry of the map
    BIAS_ATTENTION, // there would be one if config.json said attention_bias
    BIAS_MLP,       // mlp_bias
};

// What a linear has to do with channels whose order is free (free_channels.h): these are its columns, or some
// of its rows.
enum channel_role {
    ROLE_NONE = 0,
    ROLE_INNER,            // rows: the inner channels of an MLP; of gate and up
    ROLE_INNER_TWICE,      // rows: gate's, then up's
    ROLE_DOWN,             // columns: the inner channels
    ROLE_VALUE,            // rows: the values of the key-value heads
    ROLE_QUERY_KEY_VALUE,  // rows: the values are among them
    ROLE_QUERY_GATE,       // rows: the gates of the query heads are among them, and of those the values
    ROLE_KEY_VALUE,        // rows: of each head its key, then its values (latent attention)
    ROLE_ATTENTION_OUTPUT, // columns: the values, as every query head puts them out
};

// Where a matrix [out, in] lies in a tensor, counted in elements: (i, j) is start + i * row + j * column.
struct tensor_view {
    uint64_t start, row, column;
};

// One tensor of a layer, or the matrix that is a part of one, in the order of the family's table.
struct layer_tensor {
    const struct safetensors_tensor *tensor; // NULL: a bias of zeros that model_add_biases brought in
    bool is_part;                            // the tensor holds other linears too, or this one transposed
    struct tensor_view view;       // rows one after the other from the tensor's start, unless it is a part
    char linear[LINEAR_NAME_SIZE]; // "self_attn.q_proj" when this is the weight of a linear that is pruned,
                                   // else ""
    size_t source;           // of a linear: which statistics source is its input (kernels/forward/layer.h)
    bool expert;             // its input are the tokens that were routed to one expert
    enum bias_place bias;    // of a weight
    enum channel_role role;  // of a linear; a bias has that of its weight, if it is about rows
    struct head_sizes heads; // of the layer
    size_t out, in;          // a vector is [out] with in = 1
    size_t offset;           // in floats, of its float32 copy in the layer's block; a multiple of 16
};

struct layer_map {
    size_t layer;
    size_t num_tensors;
    struct layer_tensor *tensors;
    size_t num_sources;
    size_t *source_channels; // [num_sources]
    size_t block_size;       // floats of the whole block
};

// Fills map for one layer; freed with layer_map_free.
enum status layer_map_create(struct layer_map *map, const struct model *model, size_t layer,
                             struct error *err);
void layer_map_free(struct layer_map *map);
// The entry of a linear's bias, NULL when it has none.
const struct layer_tensor *layer_map_bias(const struct layer_tensor *weight);
// Points layer's weights into block (float32 copies laid out as map says). block outlives layer.
void layer_map_bind(struct decoder_layer *layer, const struct layer_map *map, const struct model *model,
                    const float *block);

// Gives the linears that config.json's attention_bias or mlp_bias would give a bias one of zeros (see
// bias_place), as if it said so.
void model_add_biases(struct model *model, bool attention, bool mlp);
