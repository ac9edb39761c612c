// linear_order.h - the order of a linear's columns in which a pattern N:M takes its neighbours
// (kernels/METHOD.md §18).
//
// In a run directory everything stays in the model's own order of channels: weights, masks, statistics. Only
// the choice of N of M looks at neighbours in another order, and the export writes that order
// (stages/export/layer_orders.h).
//
// A method that chooses masks itself does it so:
//     linear_order_create(&order, &question, &err);        // from scores of its own, or by_scores below
//     select_n_of_m_in_order(mask, scores, in, keep, of, order.columns), where order.columns is not NULL
//     linear_order_write(&order, cut.writer, team, tensor, &err);
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

struct linear_order {
    uint32_t *columns;              // [in] the column at each position; NULL: as they are
    double kept_before, kept_after; // sum of the kept scores without and with it, over the rows looked at
};

// Whether the variant orders the columns of this linear: a pattern with prune.permute, channels whose order
// is free (io/model/free_channels.h), and `of` divides those of a block. The same for all layers of a kind.
bool linear_has_order(const struct variant *variant, const struct layer_tensor *tensor,
                      const struct model *model);

struct order_question {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_tensor *tensor;
    // scores[in] <- those of a row, any one of the linear, on any rank.
    void (*row)(void *context, float *scores, size_t row);
    void *context;
};
// Finds the order, the same on every rank; none where linear_has_order says no. Every node does it on its own
// in memory that its ranks share (order_memory). A stage safe point lies between the rounds. Collective.
// Freed with linear_order_free, also after an error.
enum status linear_order_create(struct linear_order *order, const struct order_question *question,
                                struct error *err);
void linear_order_free(struct linear_order *order);
// Reports the work of an order as done that another variant's serves for.
void linear_order_skip(const struct stage *stage, const struct variant *variant,
                       const struct layer_tensor *tensor);

// Says once, in the first layer, that attention keeps its order where heads cannot be cut into groups.
void linear_orders_tell(const struct stage *stage, const struct variant *variant,
                        const struct layer_map *map);

// Of the layer's variants: declares "order", uint32 [in], of every linear that has one.
enum status linear_orders_declare(const struct stage *stage, const struct variant *variant,
                                  const struct layer_map *map, struct store_writer *writer,
                                  struct error *err);
// Writes "order" with the attributes "kept_before" and "kept_after". Does nothing without an order.
// Collective.
enum status linear_order_write(const struct linear_order *order, struct store_writer *writer,
                               const struct team *team, const struct layer_tensor *tensor, struct error *err);

// What an order costs, 0 where there is none: bytes that the ranks of a node share while it is found, and
// operations (stages/work.h). Those of groups of `of` are 1 / of, and 1 / of^2, of those of groups of one.
struct order_cost {
    uint64_t bytes;
    double gains;     // the ranks of a node share them
    double exchanges; // one rank for each block of channels
};
struct order_cost order_cost(const struct layer_tensor *tensor, const struct model *model, size_t of);
