// rope.h - the frequencies of rotary embeddings as config.json asks for them: `rope_theta` with
// `rope_scaling`, or the newer `rope_parameters`. Formulas and defaults are those of Hugging Face
// transformers (modeling_rope_utils).
#pragma once
#include "io/model/config_reader.h"
#include <stdbool.h>
#include <stddef.h>

enum rope_type {
    ROPE_DEFAULT = 0,
    ROPE_LINEAR = 1,  // all frequencies divided by factor
    ROPE_DYNAMIC = 2, // theta grows with sequences longer than max_position_embeddings
    ROPE_YARN = 3,    // low frequencies divided by factor, high ones not, a ramp between (Peng et al., 2023)
    ROPE_LLAMA3 = 4,  // likewise, with the ramp of Llama 3.1
    ROPE_PROPORTIONAL = 6, // a part of the frequencies of whole heads; the others are 0 (Gemma 4)
    ROPE_LONGROPE = 5,     // a divisor for each frequency, in two sets (Ding et al., 2024)
};

struct rope_config {
    enum rope_type type;
    double theta, factor;
    double max_position_embeddings, original_max_position_embeddings;
    double proportion;       // proportional: the part of the frequencies that is kept
    double attention_factor; // multiplies cosine and sine
    // phimoe: multiply cosine and sine instead, in sequences of up to scaled_from tokens and in longer ones;
    // 0: they do not.
    double short_scale, long_scale, scaled_from;
    double low_freq_factor, high_freq_factor; // llama3
    double beta_fast, beta_slow;              // yarn
    bool truncate;                            // yarn: the ramp starts and ends at whole frequencies
    float *short_factor, *long_factor;        // longrope, [rotary_dim / 2]; freed with rope_config_free
};

// Where config.json speaks of one rotary embedding.
struct rope_source {
    const struct config_reader *root;
    const char *theta_key;           // root's key, which counts if `parameters` has no `rope_theta`; or NULL
    struct config_reader parameters; // rope_type, rope_theta, factor, ...; its object NULL: none
    bool whole_heads;                // the family rotates all channels of a head
    bool proportional;               // its type may be "proportional"
    bool mrope;                      // its type may be "mrope", which is "default" in a text
    bool ignore_root_context;        // root's `original_max_position_embeddings` is for another embedding
    bool phi3; // scaling is LongRoPE, also by the name "yarn"; the original context stands at the root alone
};

// Finds the object that counts for a family with one rotary embedding: `rope_scaling` if there is something
// in it, else `rope_parameters`. Parameters for each layer type are STATUS_INPUT.
enum status rope_source_find(struct rope_source *source, const struct config_reader *root,
                             const char *theta_key, struct error *err);
// Reads *rope for rotary_dim channels (even). On entry rope holds the family's default theta,
// max_position_embeddings and original_max_position_embeddings (0: the former). A type that is unknown here
// is STATUS_INPUT. On any outcome *rope is to be freed with rope_config_free.
enum status rope_config_read(struct rope_config *rope, const struct rope_source *source, size_t rotary_dim,
                             struct error *err);
// Says of all keys that some type reads that the reference does not look at them here.
void rope_pass_keys(const struct config_reader *parameters);
void rope_config_free(struct rope_config *rope);

// What multiplies cosine and sine in a sequence of `tokens`.
double rope_scale(const struct rope_config *rope, size_t tokens);

// YaRN's temperature for a context that grew by `factor`.
double rope_yarn_scale(double factor, double multiplier);

// frequencies[rotary_dim / 2], radians per position, for a sequence of `tokens`.
void rope_frequencies(float *frequencies, const struct rope_config *rope, size_t rotary_dim, size_t tokens);
