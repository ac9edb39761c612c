// rope.h - the frequencies of rotary embeddings as config.json asks for them: `rope_theta` with
// `rope_scaling`, or the newer `rope_parameters`.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

enum rope_type {
    ROPE_DEFAULT = 0,
    ROPE_LINEAR = 1, // all frequencies divided by factor
    ROPE_LLAMA3 = 2, // low frequencies divided by factor, with a smooth passage
};

struct rope_config {
    enum rope_type type;
    double theta, factor;
    double low_freq_factor, high_freq_factor, original_max_position_embeddings; // llama3
};

struct config_reader;

// Reads the rope of config.json's root into *rope, whose theta holds the family's default.
// max_position_embeddings is the default of original_max_position_embeddings. Types that coppice does not
// compute are STATUS_INPUT.
enum status rope_config_read(struct rope_config *rope, const struct config_reader *reader,
                             size_t max_position_embeddings, struct error *err);

// frequencies[rotary_dim / 2], radians per position.
void rope_frequencies(float *frequencies, const struct rope_config *rope, size_t rotary_dim);
