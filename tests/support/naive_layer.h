// naive_layer.h - the oracle of what happens inside a layer: a LLaMA or Mixtral layer in plain loops, all in
// double, written from the formulas and independent of kernels/forward. It shares with the program only the
// checkpoint's weights.
#pragma once
#include "tests/support/small_model.h"

// q, k, v, o, then gate, up, down of the MLP or of one expert after the other.
enum { NAIVE_Q, NAIVE_K, NAIVE_V, NAIVE_O, NAIVE_MLP };

struct naive_layer {
    size_t hidden, intermediate, heads, kv_heads, experts; // experts 0: LLaMA
    size_t num_linears;
    struct naive_linear {
        char name[64];
        size_t out, in;
        double *weight, *bias; // [out, in]; [out] or NULL: none
    } * linears;
    double *input_norm, *post_attention_norm; // [hidden]
    double *router;                           // [experts, hidden]
};

// One layer of the checkpoint; freed with naive_layer_free.
void naive_layer_read(struct naive_layer *layer, const struct small_model *small, size_t index);
void naive_layer_free(struct naive_layer *layer);
// The linear of that name; its weight and bias are the test's to change.
struct naive_linear *naive_linear_of(const struct naive_layer *layer, const char *name);
// Takes over a pruned weight, as small_pruned_weight gives it.
void naive_layer_put(struct naive_layer *layer, const char *name, const float *weight);

// One sequence's way through a layer.
struct naive_trace {
    size_t tokens;
    double **inputs;  // [num_linears]: [tokens, in] what enters each linear
    double **outputs; // [num_linears]: [tokens, out] what it puts out, bias included
    bool **reached;   // [num_linears]: [tokens] whether the linear sees the token; elsewhere inputs are 0
    double *hidden;   // [tokens, hidden] after the layer
};
// hidden[tokens, hidden] enters the layer. Freed with naive_trace_free.
void naive_layer_forward(struct naive_trace *trace, const struct naive_layer *layer, const double *hidden,
                         size_t tokens);
void naive_trace_free(struct naive_trace *trace, const struct naive_layer *layer);
// The linear's place in inputs, outputs and reached.
size_t naive_index_of(const struct naive_layer *layer, const char *name);

// All of the calibration's sequences through one layer, from what the files say enters it.
struct naive_pass {
    struct naive_layer layer;
    size_t sequences;
    struct naive_trace *traces; // [sequences]
};
// The layer of the checkpoint. Freed with naive_pass_free.
void naive_pass_run(struct naive_pass *pass, const struct small_model *small, const char *stream,
                    size_t index);
// Once more, after the test changed pass->layer.
void naive_pass_again(struct naive_pass *pass, const struct small_model *small, const char *stream,
                      size_t index);
void naive_pass_free(struct naive_pass *pass);

// The whole model over one sequence: logits[tokens, vocabulary] after each token. layers[num_hidden_layers].
void naive_logits(double *logits, const struct small_model *small, const struct naive_layer *layers,
                  const int32_t *ids, size_t tokens);
// The whole model over one sequence: log-likelihoods[tokens - 1] of ids[1 ... tokens - 1], each given those
// before it. layers[num_hidden_layers].
void naive_log_likelihoods(double *log_likelihoods, const struct small_model *small,
                           const struct naive_layer *layers, const int32_t *ids, size_t tokens);

// Zeros, [count]; the caller frees.
double *new_doubles(size_t count);

// x[count] as double; the caller frees.
double *doubles_of(const float *x, size_t count);
