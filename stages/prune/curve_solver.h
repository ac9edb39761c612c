// curve_solver.h - least squares for a linear that is pruned alone, while its curve is measured: on one
// stream, the dense model's (kernels/METHOD.md §5, §16).
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

struct curve_solver;

// Opens hessians/dense/layer-l.h5, and makes room for the widest source. `map`, which outlives the solver, is
// of the layer. Collective. Freed with curve_solver_free, also after an error.
enum status curve_solver_create(struct curve_solver **solver, const struct stage *stage,
                                const struct layer_map *map, struct error *err);
void curve_solver_free(struct curve_solver *solver); // collective; NULL is fine

// rows[out, in], in memory that the ranks of a node share: the linear as pruned, from every rank's hand;
// dense[out, in]; mask[out, mask_row_bytes(in)]. rows <- the weights on the mask that come closest to the
// dense outputs. Those of an expert that saw too few tokens, and of inputs that were all 0, stay as they are.
// Blocks of rows are dealt out to the ranks; the bits do not depend on how. Collective.
enum status curve_solver_solve(struct curve_solver *solver, float *rows, const struct layer_tensor *tensor,
                               const float *dense, const uint8_t *mask, struct error *err);

// For the plan, of a layer whose widest pruned linear has `widest` columns: bytes that a node shares, bytes
// of a rank.
uint64_t curve_solver_shared_bytes(size_t widest);
uint64_t curve_solver_rank_bytes(size_t widest);
