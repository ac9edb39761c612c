// llama_layer.h - a decoder layer of LLaMA-7B's sizes, for benchmarks: its linears share one array of
// weights.
#pragma once
#include "kernels/forward/decoder.h"

enum { HIDDEN = 4096, INTERMEDIATE = 11008, HEADS = 32, HEAD_DIM = 128 };

// weights[INTERMEDIATE * HIDDEN] of all linears, ones[HIDDEN] of the norms; both outlive the layer.
static inline void llama_layer(struct decoder_config *config, struct decoder_layer *layer,
                               const float *weights, const float *ones)
{
    const struct linear square = {.out = HIDDEN, .in = HIDDEN, .weight = weights},
                        wide = {.out = INTERMEDIATE, .in = HIDDEN, .weight = weights},
                        narrow = {.out = HIDDEN, .in = INTERMEDIATE, .weight = weights};
    const struct norm norm = {.weight = ones};

    *config = (struct decoder_config){.hidden_size = HIDDEN,
                                      .intermediate_size = INTERMEDIATE,
                                      .num_attention_heads = HEADS,
                                      .num_key_value_heads = HEADS,
                                      .head_dim = HEAD_DIM,
                                      .rotary_dim = HEAD_DIM,
                                      .norm_epsilon = 1e-5F,
                                      .attention_scale = 0.088F};
    *layer = (struct decoder_layer){.input_norm = norm,
                                    .post_attention_norm = norm,
                                    .q = square,
                                    .k = square,
                                    .v = square,
                                    .o = square,
                                    .gate = wide,
                                    .up = wide,
                                    .down = narrow};
}
