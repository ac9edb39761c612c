// rope.h - the frequencies of rotary embeddings as config.json asks for them: `rope_theta` with
// `rope_scaling`, or the newer `rope_parameters`. Formulas and defaults are those of Hugging Face
// transformers (modeling_rope_utils).
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

enum rope_type {
    ROPE_DEFAULT = 0,
    ROPE_LINEAR = 1,   // all frequencies divided by factor
    ROPE_DYNAMIC = 2,  // theta grows with sequences longer than max_position_embeddings
    ROPE_YARN = 3,     // low frequencies divided by factor, high ones not, a ramp between (Peng et al., 2023)
    ROPE_LLAMA3 = 4,   // likewise, with the ramp of Llama 3.1
    ROPE_LONGROPE = 5, // a divisor for each frequency, in two sets (Ding et al., 2024)
};

struct rope_config {
    enum rope_type type;
    double theta, factor;
    double max_position_embeddings, original_max_position_embeddings;
    double attention_factor;                  // multiplies cosine and sine
    double low_freq_factor, high_freq_factor; // llama3
    double beta_fast, beta_slow;              // yarn
    bool truncate;                            // yarn: the ramp starts and ends at whole frequencies
    float *short_factor, *long_factor;        // longrope, [rotary_dim / 2]; freed with rope_config_free
};

struct config_reader;

// Reads `rope_theta`, `rope_scaling` and `rope_parameters` of config.json's root into *rope, for rotary_dim
// channels (even). On entry rope holds the family's default theta and max_position_embeddings; theta_key is
// the family's name for `rope_theta` outside `rope_parameters`. A type that is unknown here is STATUS_INPUT.
// On any outcome *rope is to be freed with rope_config_free.
enum status rope_config_read(struct rope_config *rope, const struct config_reader *root,
                             const char *theta_key, size_t rotary_dim, struct error *err);
// The same from one object that holds all (rope_type, rope_theta, factor, ...); its object may be NULL.
enum status rope_parameters_read(struct rope_config *rope, const struct config_reader *root,
                                 const struct config_reader *parameters, size_t rotary_dim,
                                 struct error *err);
void rope_config_free(struct rope_config *rope);

// frequencies[rotary_dim / 2], radians per position, for a sequence of `tokens`.
void rope_frequencies(float *frequencies, const struct rope_config *rope, size_t rotary_dim, size_t tokens);
