// golden.h - compares a model's forward pass with golden logits (tests/golden/golden.py).
#pragma once
#include "io/model/model.h"
#include <stddef.h>
#include <stdint.h>

struct golden_result {
    size_t tokens;
    double logit_error;          // largest |logit - golden| relative to the largest |golden| of that position
    double log_likelihood_error; // largest absolute difference
};

// Runs the model of `directory` over the golden file's sequence. Fails the running test when something cannot
// be read.
void golden_compare(struct golden_result *result, const char *directory, const char *golden_path);

// The sequence's hidden states [tokens, state_size] after the last layer, computed alone and all at once;
// freed by the caller.
float *hidden_after_layers(const struct model *model, const int32_t *ids, size_t tokens);
