// score.h - masks by first-order importance: magnitude, wanda, ria, cvr (kernels/METHOD.md §3, §4).
#pragma once
#include "stages/prune/cuts.h"

// Scores every pruned linear of the loaded `layer` once for all of variants[count] (count <= SCORE_BATCH,
// which share their scores), cuts each one's mask from that (linear_masks.h), and commits
// masks/VARIANT/layer-l.h5 of each. Reads statistics/STREAM/layer-l.h5 only when the method needs them; masks
// of experts then have the attributes of stages/layer/few_tokens.h.
enum status score_layer(const struct stage *stage, const struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err);
