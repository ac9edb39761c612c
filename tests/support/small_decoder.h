// small_decoder.h - one small decoder layer with random weights, for the tests of kernels/forward/decoder.h,
// and the oracle of what it computes: the same layer in the plain loops of naive.h.
#pragma once
#include "kernels/forward/decoder.h"
#include "tests/support/naive.h"

enum { TOKENS = 150, HIDDEN = 24, HEADS = 6, KV_HEADS = 2, HEAD_DIM = 8, INTERMEDIATE = 40 };
enum { QUERY = HEADS * HEAD_DIM, KEY_VALUE = KV_HEADS * HEAD_DIM };

// Everything stays below 10, through sums of up to 48 products and a softmax: about a hundred roundings of
// 2^-24.
#define DECODER_TOLERANCE 5e-5

// LLaMA's: RMSNorm, SiLU, no biases.
struct decoder_config small_config(void);
struct norm random_norm(uint64_t seed); // [HIDDEN]
struct linear random_linear(size_t out, size_t in, bool bias, uint64_t seed);
void free_linear(struct linear *linear);
struct decoder_layer random_layer(bool bias);
void free_layer(struct decoder_layer *layer);
// query_scale[TOKENS]: factors on the queries, or NULL. Freed with free_rotary.
struct rotary_table small_rotary(const float *query_scale);
void free_rotary(struct rotary_table *rotary);

// The four inputs of a layer's linears, and its output.
struct decoder_trace {
    float attention[TOKENS * HIDDEN], output[TOKENS * QUERY], mlp[TOKENS * HIDDEN],
        down[TOKENS * INTERMEDIATE];
    float hidden[TOKENS * HIDDEN];
};
// hidden[TOKENS, HIDDEN] enters the layer; query_scale as above. Neither experts nor linear attention.
void naive_decoder_layer(struct decoder_trace *trace, const struct decoder_config *config,
                         const struct decoder_layer *layer, const float *hidden, const float *query_scale);
// delta[TOKENS, HIDDEN] <- the MLP of trace->mlp.
void naive_decoder_mlp(float *delta, struct decoder_trace *trace, const struct decoder_config *config,
                       const struct decoder_layer *layer);

// hidden[TOKENS, HIDDEN] <- what the program's layer makes of it.
void run_layer(float *hidden, const struct decoder_config *config, const struct decoder_layer *layer,
               const struct decoder_observer *observer, const float *query_scale);
// The program's layer and the plain one agree.
void check_layer(const struct decoder_config *config, const struct decoder_layer *layer,
                 const float *query_scale);
// Every sequence of a tree computed alone, and the tree in one pass: they agree.
void check_tree(const struct decoder_config *config, const struct decoder_layer *layer,
                const float *query_scale);
// Two layers give the same bits.
void assert_same_output(const struct decoder_config *config, const struct decoder_layer *layer,
                        const struct decoder_config *other_config, const struct decoder_layer *other);
