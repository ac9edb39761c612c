// cuts.h - the mask files of the variants that are pruned together, and which of them share a mask.
//
// A cut is one variant's mask of a layer: it is cut from the scores of the weights, which variants of the
// same importance share.
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

// At most so many variants are pruned in one pass over the scores.
enum { SCORE_BATCH = 16 };
// Whether two variants have the same importance, so that only what is cut from it differs.
bool variants_share_scores(const struct variant *a, const struct variant *b);

struct cut {
    const struct variant *variant;
    double *targets; // [num_tensors] of the layer's map: sparsity of every linear
    double sparsity; // of the current linear
    size_t like;     // the first cut that prunes the current linear as this one does, perhaps itself
    struct store_writer *writer;
};

// Creates masks/VARIANT/layer-l.h5 of variants[count], count <= SCORE_BATCH, declares the masks of all pruned
// linears of the layer (before the first is written: a file whose structure is complete is opened once), and
// fills cuts[count]. Orders of columns
// (linear_order.h) are declared as well. Call cuts_finish afterwards, also after an error. Collective.
enum status cuts_open(struct cut *cuts, const struct stage *stage, const struct variant *const *variants,
                      size_t count, const struct layer_map *map, struct error *err);
// Declares "update", float32 [out, in], of all pruned linears: the weights of methods that change them.
// Collective.
enum status updates_declare(const struct cut *cut, const struct settings *settings,
                            const struct layer_map *map, const char *meaning, struct error *err);
// Sets sparsity and like for a linear of the map that the cuts were opened with.
void cuts_begin_linear(struct cut *cuts, size_t count, const struct layer_map *map,
                       const struct layer_tensor *tensor);
// Frees what cuts_open allocated, and commits the mask files if status is STATUS_OK, else abandons them.
// Returns status, or what failed. Collective.
enum status cuts_finish(struct cut *cuts, size_t count, enum status status, struct error *err);

// Rows [first, first + count) of a linear's mask: mask[count, mask_row_bytes(in)].
struct mask_rows {
    size_t first, count;
    const uint8_t *mask;
};
// Writes this rank's rows of the "mask" that cuts_open declared, uint8 [out, ceil(in / 8)]: bit k of byte b
// of a row is column 8b + k, 1 = kept; and its attribute "kept", the number of weights that stay. Collective.
enum status mask_write(struct store_writer *writer, const struct team *team,
                       const struct layer_tensor *tensor, const struct mask_rows *rows, struct error *err);
