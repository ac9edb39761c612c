// whole_model.h - a model's forward pass over one sequence, alone and all at once. Without CMocka and MPI:
// tools use it too.
#pragma once
#include "io/model/model.h"
#include <stddef.h>
#include <stdint.h>

// *hidden[tokens, state_size] <- after the last layer; freed by the caller. STATUS_INPUT for what the model
// does not allow.
enum status whole_model_hidden(float **hidden, const struct model *model, const int32_t *ids, size_t tokens,
                               struct error *err);
// *logits[tokens, vocab_size]; freed by the caller.
enum status whole_model_logits(float **logits, const struct model *model, const float *hidden, size_t tokens,
                               struct error *err);
