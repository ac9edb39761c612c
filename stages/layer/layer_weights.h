// layer_weights.h - one layer's weights in float32, one copy per node. Each node reads a part of them from
// the file system, and gets the others' parts over the network, so that a team reads a layer once.
#pragma once
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "stages/stage.h"
#include "stages/team/nodes.h"
#include "stages/team/shared_block.h"

struct layer_weights {
    struct nodes nodes;
    struct shared_block memory;
    struct layer_map map;       // of the layer that is loaded
    struct decoder_layer layer; // bound into memory
    size_t loaded;              // layer index, or SIZE_MAX
    size_t from, to;            // the floats of the memory that this node reads
    char source[PATH_SIZE]; // the weights or masks file that lies over the checkpoint, "" for the dense layer
};

// Whether the nodes of ranks with so many threads send a layer of bf16 weights as such, and not in float32.
bool layer_is_packed(size_t threads);

// Allocates room for the largest layer. Freed with layer_weights_free.
enum status layer_weights_create(struct layer_weights *weights, const struct stage *stage, struct error *err);
void layer_weights_free(struct layer_weights *weights); // collective; zeroed is fine

// Loads a layer from the checkpoint; with variant != NULL its pruned linears come from
// weights/VARIANT/layer-l.h5, or where that is not written (weights_are_written) from
// masks/VARIANT/layer-l.h5: the same bits. Does nothing when exactly that layer is loaded already. NaN or
// infinity in a weight is STATUS_INPUT and names file, tensor and index.
enum status layer_weights_load(struct layer_weights *weights, const struct stage *stage, size_t layer,
                               const struct variant *variant, struct error *err);

// Checks the tensors outside the layers (io/model/outer_tensors.h), and those of all layers: NaN or infinity
// is STATUS_INPUT as above. Each rank takes a share of each, so that together they read the model once.
enum status check_weights(const struct stage *stage, bool layers, struct error *err);

// The dtype in which a bias is stored: that of the checkpoint, or of its weight when the bias is added.
enum dtype bias_dtype(const struct layer_tensor *weight);

// How the store holds weights and biases of a dtype: BF16 and F16 as their 16 bits.
enum store_type stored_type(enum dtype dtype);

// The float32 copy of a tensor, [out, in].
const float *layer_weights_of(const struct layer_weights *weights, const struct layer_tensor *tensor);
// Rows of a tensor, and their place in the layer's block.
struct node_rows {
    size_t first, count, width;
    float *values; // [count, width]
};
// This rank's share of a tensor's rows among the ranks of its node. block: the layer_weights' memory.data.
struct node_rows node_rows_of(float *block, const struct team *team, const struct layer_tensor *tensor);
// Floats of the largest layer's block. Not collective.
enum status layer_weights_size(size_t *floats, const struct model *model, struct error *err);
