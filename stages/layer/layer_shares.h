// layer_shares.h - which node and which rank reads which rows of a layer, and how the nodes get the others'
// rows.
//
// The layer's block is cut into as many parts of whole rows as the team has nodes; the ranks of a node share
// its part.
#pragma once
#include "stages/stage.h"
#include "stages/team/nodes.h"
#include "stages/team/shared_block.h"

// Rows of a tensor, and their place in the layer's block.
struct node_rows {
    size_t first, count, width;
    float *values; // [count, width]
};
// This rank's share of a tensor's rows among the ranks of its node. block: the layer_weights' memory.data.
struct node_rows node_rows_of(float *block, const struct team *team, const struct layer_tensor *tensor);

struct layer_shares {
    const struct nodes *nodes;
    const struct shared_block *memory; // the layer's block, one copy per node
    const struct layer_map *map;       // of the layer to be read
    size_t from, to;                   // the floats of the block that this node reads
};

// Sets from and to.
void layer_shares_begin(struct layer_shares *shares, const struct team *team);

// This rank's share of what its node reads of a tensor.
struct node_rows rows_to_read(const struct layer_shares *shares, const struct team *team,
                              const struct layer_tensor *tensor);

// Collective. Every node gets what the others have read.
enum status layer_exchange(const struct layer_shares *shares, const struct stage *stage, struct error *err);

// Whether the nodes of ranks with so many threads send a layer of bf16 weights as such, and not in float32.
bool layer_is_packed(size_t threads);
