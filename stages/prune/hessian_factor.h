// hessian_factor.h - the factor of a source's Hessian, for the ranks of a team (kernels/METHOD.md §6).
#pragma once
#include "io/store/store.h"
#include "stages/prune/linear_order.h"

// The factor U of one source; linears that share inputs follow one another and share it. With an order of
// channels (linear_order.h) H's rows and columns are in that order, and so are the weights, until they are
// written. Linears with an order have a source of their own.
struct factor {
    const struct stage *stage;
    const struct layer_map *map;
    const struct store_reader *hessians;
    struct shared_block memory; // [in, in] of the widest source
    size_t source;              // SIZE_MAX: none yet
    const uint32_t *order;      // [in]; NULL: as the channels are
    uint8_t *dead;              // [in]
    double *workspace;          // of one tile
    size_t num_dead;
    double damping;
    uint64_t tokens; // that reached the source
};

// Room for the widest source of the layer's pruned linears; hessians stays the caller's. Collective. Freed
// with factor_free.
enum status factor_create(struct factor *factor, const struct stage *stage, const struct layer_map *map,
                          const struct store_reader *hessians, struct error *err);
void factor_free(struct factor *factor); // collective
// Makes the factor of the linear's source in the order, unless it is there. The ranks of a
// node share the work; the damping is raised until H is positive definite, else it is STATUS_INPUT, or
// STATUS_STOPPED when a rank was told to stop. The order must outlive its use. Collective.
enum status factor_load(struct factor *factor, const struct layer_tensor *tensor,
                        const struct linear_order *order, struct error *err);
