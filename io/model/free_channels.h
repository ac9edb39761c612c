// free_channels.h - channels of a layer whose order is free: the inner channels of every MLP, and the value
// channels of every key-value head.
//
// Between the linears that write such channels and the one that reads them everything happens channel by
// channel: activation and gate; the weighted sum of values, and its gate. So a layer computes the same, but
// for the order of sums, when the rows of the writers (and their biases) and the columns of the reader are
// taken in another order. A family in which something else stands between them must have no channel_role
// there (layer_map.c): the values of linear attention go through a norm whose weights all heads share.
#pragma once
#include "io/model/layer_map.h"

// The columns of a reader: blocks * copies * channels of them. Column (b * copies + q) * channels + c reads
// channel c of block b. A block is a key-value head, or the only one of an MLP; copies are the query heads
// that share it.
struct free_columns {
    size_t blocks, copies, channels;
};
// False when the order of the tensor's columns is not free.
bool free_columns_of(struct free_columns *columns, const struct layer_tensor *tensor,
                     const struct decoder_config *model);

// The linear that reads what the tensor, a weight or a bias, writes into such channels; NULL: there is none.
const struct layer_tensor *free_rows_reader(const struct layer_map *map, const struct layer_tensor *tensor);

// rows[out] <- for each row of the reordered tensor the row that comes there, when the columns of its reader
// are taken in the order columns[in]: an order within each block, the same in all copies.
void free_rows_order(uint32_t *rows, const struct layer_tensor *tensor, const uint32_t *columns,
                     const struct decoder_config *model);
