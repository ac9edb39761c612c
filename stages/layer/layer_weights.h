// layer_weights.h - one layer's weights in float32, one copy per node. Each node reads a part of them from
// the file system, and gets the others' parts over the network, so that a team reads a layer once.
#pragma once
#include "io/file/run_paths.h"
#include "stages/layer/layer_shares.h"

struct read_ahead;

struct layer_weights {
    struct nodes nodes;
    struct shared_block memory;
    struct layer_map map;       // of the layer that is loaded
    struct decoder_layer layer; // bound into memory
    size_t loaded;              // layer index, or SIZE_MAX
    struct layer_shares shares; // who reads what of it
    struct read_ahead *ahead;   // of the layer that is expected; NULL: none
    char source[PATH_SIZE]; // the weights or masks file that lies over the checkpoint, "" for the dense layer
};

// Allocates room for the largest layer. Freed with layer_weights_free.
enum status layer_weights_create(struct layer_weights *weights, const struct stage *stage, struct error *err);
void layer_weights_free(struct layer_weights *weights); // collective; zeroed is fine

// Loads a layer from the checkpoint; with variant != NULL its pruned linears come from
// weights/VARIANT/layer-l.h5, or where that is not written (weights_are_written) from
// masks/VARIANT/layer-l.h5: the same bits. Does nothing when exactly that layer is loaded already. NaN or
// infinity in a weight is STATUS_INPUT and names file, tensor and index.
enum status layer_weights_load(struct layer_weights *weights, const struct stage *stage, size_t layer,
                               const struct variant *variant, struct error *err);

// Tells that this layer will be loaded next: the kernel fetches it from the file system meanwhile. Not
// collective; nothing fails, and another layer may be loaded all the same. A layer behind the last is none.
void layer_weights_expect(struct layer_weights *weights, const struct stage *stage, size_t layer,
                          const struct variant *variant);

// The float32 copy of a tensor, [out, in].
const float *layer_weights_of(const struct layer_weights *weights, const struct layer_tensor *tensor);
// Floats of the largest layer's block. Not collective.
enum status layer_weights_size(size_t *floats, const struct model *model, struct error *err);
