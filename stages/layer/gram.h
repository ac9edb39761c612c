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
    // Further sources that the same passes gather, NULL: none. All of experts: no linear that one of them
    // feeds comes before another of them.
    const size_t *others;
    size_t num_others;
    struct gram_stream pruned; // gives xhat
    struct gram_stream dense;  // gives x. layer == NULL: there is no such stream, and C is G
    size_t first, end;         // sequences [first, end)
};

// The products of one source, the same on every rank. in: its channels. tokens: how many reached it. g[in,
// in] is the full symmetric matrix; c[in, in], rows for the channels of xhat, is NULL where C is G; sum[in].
struct gram_products {
    size_t source, in;
    uint64_t tokens;
    double *g, *c, *sum;
};

struct gram {
    const struct stage *stage;
    uint64_t bytes; // of the memory
    struct shared_block memory;
    struct nodes nodes;
    struct gram_products
        *gathered; // [count] what was gathered last: the source of the input, then the others
    size_t count;
    // The one of them that was gathered first or selected. g, c and sum may be overwritten by the ranks until
    // the next gathering.
    size_t in;
    uint64_t tokens;
    double *g, *c, *sum;
};

// Collective. Makes room for `bytes` of products (gram_shared_bytes). Freed with gram_free; the stage
// outlives it.
enum status gram_create(struct gram *gram, const struct stage *stage, uint64_t bytes, struct error *err);
void gram_free(struct gram *gram); // collective; zeroed is fine

// Collective. Passes the sequences through the layers up to the last of the sources and sums. The source of
// an expert takes the pruned stream alone, so that C is G: in the dense model other tokens are routed to it.
// The bits of a source's products do not depend on the others. Sums that are not finite are STATUS_INPUT and
// name the layer and the first linear of the source.
enum status gram_gather(struct gram *gram, const struct gram_input *input, struct error *err);
// Makes what was gathered of the source the one that in, tokens, g, c and sum speak of. False: it was not
// gathered last. Not collective.
bool gram_select(struct gram *gram, size_t source);

// Bytes of the products of a source with so many channels, with two_streams those of C too.
uint64_t gram_shared_bytes(size_t channels, bool two_streams);
// For the plan. Bytes that each of `ranks` ranks holds besides while sequences of `tokens` tokens pass.
// channels: of all inputs of a token that are gathered, of both streams if there are two; widest: of one.
uint64_t gram_rank_bytes(size_t channels, size_t widest, size_t tokens, size_t ranks);
