// rotary.h - rotary position embedding (Su et al., RoFormer, 2021), in the rotate-half layout of Hugging
// Face, and interleaved.
#pragma once
#include "kernels/forward/heads.h"
#include <stddef.h>

// cos and sin of the rotary angles of positions 0 ... tokens - 1: [tokens, rotary_dim / 2] each.
struct rotary_table {
    size_t tokens;
    const float *cosine, *sine;
    // Of layers with local attention, in families where these have angles of their own; else NULL.
    const float *local_cosine, *local_sine;
    const float *query_scale; // [tokens]: factors on the query of each position; NULL: none
    // Biases of attention's scores (attention.h) [heads, tokens], or NULL.
    const float *bias;
};

// Fills cosine[tokens, pairs] and sine[tokens, pairs] from frequencies[pairs] (radians per position), times
// scale. As the reference does, the angle is the float32 product of position and frequency.
void rotary_angles(float *cosine, float *sine, const float *frequencies, size_t pairs, size_t tokens,
                   float scale);

// Rotates, in place, the first rotary_dim channels of every head. Channel i is paired with channel
// i + rotary_dim / 2:
//   (a, b) -> (a cos - b sin, b cos + a sin)
// cosine, sine: [tokens, rotary_dim / 2].
void rotary_forward(const struct heads *heads, size_t rotary_dim, const float *cosine, const float *sine);
// The same with channel 2i paired with channel 2i + 1 (GPT-J's layout).
void rotary_forward_interleaved(const struct heads *heads, size_t rotary_dim, const float *cosine,
                                const float *sine);
