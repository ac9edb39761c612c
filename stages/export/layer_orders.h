// layer_orders.h - where the rows and columns of a layer's tensors come to stand in the exported model: a
// variant with prune.permute has an "order" of the columns of some linears next to their masks
// (stages/prune/linear_order.h), and the linears that write these channels follow with their rows and biases
// (io/model/free_channels.h).
#pragma once
#include "io/store/store.h"
#include "stages/stage.h"

// Of one tensor, [out, in]; NULL: as they are.
struct tensor_order {
    uint32_t *columns; // [in] the column that comes to each place
    uint32_t *places;  // [out] the place where each row goes
};
struct layer_orders {
    size_t count;
    struct tensor_order *tensors; // [count], as in the layer's map
};

// masks: the variant's of the layer. Not collective. Freed with layer_orders_free, also after an error.
enum status layer_orders_read(struct layer_orders *orders, const struct stage *stage,
                              const struct variant *variant, const struct layer_map *map,
                              const struct store_reader *masks, struct error *err);
void layer_orders_free(struct layer_orders *orders);

// Of a tensor of the map that they were read for.
const struct tensor_order *order_of_tensor(const struct layer_orders *orders, const struct layer_map *map,
                                           const struct layer_tensor *tensor);
// Of the bias of a linear, by the linear's name; of a linear that is not there: no order.
const struct tensor_order *order_of_bias(const struct layer_orders *orders, const struct layer_map *map,
                                         const char *linear);

// Whether the tensor may have an order in a variant's export: then its place in the file is not what the
// checkpoint says.
bool tensor_may_move(const struct variant *variant, const struct layer_tensor *tensor);
bool tensor_moves(const struct tensor_order *order);

// The row as it is exported: row itself, or room[in] filled from it. element: bytes of a number.
const void *exported_row(const struct tensor_order *order, void *room, const void *row, size_t in,
                         size_t element);
// Where row i goes.
size_t exported_place(const struct tensor_order *order, size_t i);
// values[out] of `element` bytes, a bias, take their places in target[out].
void exported_vector(const struct tensor_order *order, void *target, const void *values, size_t out,
                     size_t element);
