// score.h - from a layer's weights and statistics to its mask.
#pragma once
#include "io/store.h"
#include "stages/layer_weights.h"

// Scores every pruned linear of `layer` as `variant` says and commits masks/VARIANT/layer-l.h5: per linear
// "mask", uint8 [out, ceil(in / 8)], bit k of byte b = column 8b + k, 1 = kept. Reads
// statistics/STREAM/layer-l.h5 only when the method asks for them. Rows are split over the team; the bytes do
// not depend on how. The method sparsegpt goes its own way: sparsegpt.h.
enum status score_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *variant, size_t layer, struct error *err);

// What every mask file has of a linear: "mask", of which this rank writes the rows [first, first + count),
// and its attributes "columns" and "kept".
enum status mask_write(const struct stage *stage, const struct layer_tensor *tensor, size_t first,
                       size_t count, const uint8_t *mask, struct store_writer *writer, struct error *err);

// STATUS_USAGE, naming the linear, when a pattern N:M does not divide the width of one that is pruned. Not
// collective.
enum status score_check(const struct model *model, const struct settings *settings, struct error *err);
