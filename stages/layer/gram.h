// gram.h - the products of input channels that least squares needs, of one source of inputs of a layer,
// summed over the tokens of calibration sequences (kernels/METHOD.md §15):
//
//     G = sum xhat^T xhat     C = sum xhat^T x     sum = sum xhat
//
// xhat is what the pruned layer so far feeds the linears of the source, x what the dense layer feeds them.
// They lie in memory that the ranks of a node share. The tiles of G and C are dealt out to the ranks of the
// team. After each wave of sequences every rank gets the inputs of each sequence in turn and adds its tiles,
// in the order of the sequences: the bits do not depend on the number of ranks. In the end the nodes send one
// another their tiles.
#pragma once
#include "stages/layer/hidden_states.h"
#include "stages/team/nodes.h"
#include "stages/team/shared_block.h"

// A layer as a stream passes through it, and the hidden states of the stream that enter it.
struct gram_stream {
    const struct decoder_layer *layer;
    const struct hidden_states *states;
};

struct gram_input {
    const struct layer_map *map; // of both layers
    size_t source;
    struct gram_stream pruned; // gives xhat
    struct gram_stream dense;  // gives x. layer == NULL: there is no such stream, and C is G
    size_t first, end;         // sequences [first, end)
};

struct gram {
    const struct stage *stage;
    size_t widest;
    bool two_streams;
    struct shared_block memory;
    struct nodes nodes;
    // What was gathered last, the same on every rank. in: the source's channels. tokens: how many reached the
    // source. g[in, in] is the full symmetric matrix; c[in, in], rows for the channels of xhat, is NULL where
    // C is G; sum[in]. g, c and sum may be overwritten by the ranks until the next gathering.
    size_t in;
    uint64_t tokens;
    double *g, *c, *sum;
};

// Collective. Makes room for sources of up to `widest` channels, and with two_streams for C. Freed with
// gram_free; the stage outlives it.
enum status gram_create(struct gram *gram, const struct stage *stage, size_t widest, bool two_streams,
                        struct error *err);
void gram_free(struct gram *gram); // collective; zeroed is fine

// Collective. Passes the sequences through the layers up to the source and sums. The source of an expert
// takes the pruned stream alone, so that C is G: in the dense model other tokens are routed to it. Sums that
// are not finite are STATUS_INPUT and name the layer and the first linear of the source.
enum status gram_gather(struct gram *gram, const struct gram_input *input, struct error *err);

// For the plan. Bytes of the block that the ranks of a node share:
uint64_t gram_shared_bytes(size_t widest, bool two_streams);
// Bytes that a rank of a team of so many ranks needs in addition to the forward pass, for sequences of
// `tokens`.
uint64_t gram_rank_bytes(size_t widest, bool two_streams, size_t tokens, size_t ranks);
