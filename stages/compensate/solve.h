// solve.h - least squares towards the dense model's outputs: the best weights that a mask can keep
// (kernels/METHOD.md §16).
//
// Of every linear of a group that shares its input, and every row w of it:
//   minimise over the kept weights  sum |xhat w - x w0|^2 + lambda |w - w0|^2
// where x is what the dense model gives the group, and xhat what the pruned model gives it, with all that was
// decided before it in the layer. For experts x is xhat: the two models route other tokens to them.
#pragma once
#include "kernels/pruning/solving/normal_equations.h"
#include "stages/compensate/pruned_linear.h"
#include "stages/layer/gram.h"

// Memory for the widest source of a layer; the matrices are shared by the ranks of a node.
struct solver {
    const struct stage *stage;
    const struct layer_map *map;
    const struct layer_tensor **linears; // [num_linears] of linears_by_depth
    size_t num_linears;
    size_t *others; // [map->num_sources] that are gathered together with the first
    struct gram gram;
    struct shared_block scaled; // float32 [in, in] of the normal equations
    struct shared_block wide;   // double [in, in], for inverses; empty unless they are asked for
    double *scale;              // [in]
    double *target, *workspace; // of one block of rows
    struct normal_equations equations;
};
// Collective. map outlives it. inverts: solver_invert will be called. Freed with solver_free, also after an
// error.
enum status solver_create(struct solver *solver, const struct stage *stage, const struct layer_map *map,
                          bool inverts, struct error *err);
void solver_free(struct solver *solver); // collective; zeroed is fine

// Brings the rows of linear->solution that each rank wrote, as share_of deals them out, to all nodes.
// Collective.
enum status solution_share(const struct team *team, struct pruned_linear *linear, struct error *err);

// The equations of the source of `input`, which `tensor` reads. Sources come in the order of
// linears_by_depth: those of several experts are gathered together, when the first of them is asked for.
// *solvable, the same on every rank: whether they say anything: not those of an expert that saw too few
// tokens (stages/layer/few_tokens.h), nor of inputs that were all 0. Collective.
enum status solver_gather(struct solver *solver, bool *solvable, const struct gram_input *input,
                          const struct layer_tensor *tensor, struct error *err);

// Fills linear->solution with W+ = W0 (C + lambda I)^T (G + lambda I)^-1: the dense weights that make good
// what the inputs have lost, of which none is pruned yet. Collective.
enum status solver_correct(struct solver *solver, struct pruned_linear *linear, struct error *err);
// Fills linear->solution for the linear's mask, starting from the solution that is there or the weights as
// pruned. Rows are dealt out to the ranks in blocks; the bits do not
// depend on how. Collective.
enum status solver_solve(struct solver *solver, struct pruned_linear *linear, struct error *err);

// *inverse <- (A + rho I)^-1, with A the scaled equations (kernels/pruning/solving/normal_equations.h), as
// admm_step takes it: in memory that the ranks of a node share, who compute it together. STATUS_INPUT when it
// is not positive definite. Collective.
enum status solver_invert(struct solver *solver, const float **inverse, double rho, struct error *err);
