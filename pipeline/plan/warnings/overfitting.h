// overfitting.h - warns, before anything runs, of least squares on fewer tokens than it needs.
//
// Weights that are fitted to a few tokens explain what is chance in them. The number of tokens says when,
// compared with a linear's input channels. The guard looks at sequences that were held out and drops what is
// worse than the weights as pruned, but not what is only a little better (kernels/METHOD.md §16).
#pragma once
#include "pipeline/plan/plan.h"

// Tokens for each input channel, with fewer of which it is warned; kernels/METHOD.md §16 has the measurement.
enum { FITTED_TOKENS_PER_CHANNEL = 4 };

enum { OVERFITTING_WARNING_SIZE = 600 };
// If the job's variants with least squares, admm or alps are fitted to fewer tokens for an input channel:
// true, and text[OVERFITTING_WARNING_SIZE] says in one line of which linears, a name once for all layers. Not
// of experts: what they see is known after the calibration, and counted (stages/layer/few_tokens.h).
bool overfitting_warning(char *text, const struct plan *plan);
