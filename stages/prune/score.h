// score.h - from a layer's weights and statistics to its mask (kernels/METHOD.md §3, §4).
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

// Variants that are scored in one pass: their importance is the same, only what is cut from it differs.
enum { SCORE_BATCH = 16 };
bool variants_share_scores(const struct variant *a, const struct variant *b);

// Scores every pruned linear of `layer` once for all of variants[count] (count <= SCORE_BATCH, which share
// their scores), cuts each one's mask from that, and commits masks/VARIANT/layer-l.h5 of each: per linear
// "mask", uint8 [out, ceil(in / 8)], bit k of byte b = column 8b + k, 1 = kept. Reads
// statistics/STREAM/layer-l.h5 only when the method asks for them. Rows are split over the team; the bytes do
// not depend on how, nor on which variants are scored together. The methods sparsegpt and auto go their
// own ways: sparsegpt.h, choose.h.
enum status score_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err);

// A variant's part in scoring a layer.
struct cut {
    const struct variant *variant;
    double target;   // sparsity of the layer's linears that have no ratio of their own
    double sparsity; // of the linear in hand
    size_t like;     // the first cut of the same linear that is the same as this one, perhaps itself
    struct store_writer *writer;
};

// Opens the mask files of variants[count], with the masks of all pruned linears of the layer declared (before
// the first one is written: a file whose structure is complete is opened once), and fills cuts[count]. On
// failure, and when all is written, cuts_finish.
enum status cuts_open(struct cut *cuts, const struct stage *stage, const struct variant *const *variants,
                      size_t count, const struct layer_map *map, struct error *err);
// Sets sparsity and like for a linear.
void cuts_begin_linear(struct cut *cuts, size_t count, const struct settings *settings, size_t layer,
                       const char *linear);
// Commits the mask files, or with a status that is not STATUS_OK abandons them. Returns that or what failed.
enum status cuts_finish(struct cut *cuts, size_t count, enum status status, struct error *err);

// What every mask file has of a linear that cuts_open declared: "mask", of which this rank writes the rows
// [first, first + count), and its attribute "kept".
enum status mask_write(const struct stage *stage, const struct layer_tensor *tensor, size_t first,
                       size_t count, const uint8_t *mask, struct store_writer *writer, struct error *err);

// This rank's rows of a linear's mask, those of share_of: mask[count, mask_row_bytes(in)], as cut->variant,
// which neither chooses nor needs the Hessian, scores and selects them at cut->sparsity. statistics may be
// NULL where the method needs none. tokens, if not NULL, is what the statistics are of. Collective.
enum status score_rows(uint8_t *mask, uint64_t *tokens, const struct stage *stage, const struct cut *cut,
                       const struct layer_weights *weights, const struct layer_tensor *tensor,
                       const struct store_reader *statistics, struct error *err);

// STATUS_USAGE, naming the linear, when a pattern N:M does not divide the width of one that is pruned. Not
// collective.
enum status score_check(const struct model *model, const struct settings *settings, struct error *err);
