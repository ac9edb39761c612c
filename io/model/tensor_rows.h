// tensor_rows.h - rows of a matrix that lies somewhere in a tensor of the checkpoint (struct tensor_view).
//
// A matrix whose rows are contiguous is converted or copied as it lies. Else its elements are collected in
// tiles, so that of a transposed tensor every cache line is read once for many rows.
#pragma once
#include "io/model/layer_map.h"

// values[count, in] float32 <- the rows [first, first + count) of the matrix. tensor->tensor is not NULL.
void tensor_rows_f32(float *values, const struct layer_tensor *tensor, size_t first, size_t count);
// The same in the tensor's own dtype.
void tensor_rows_read(void *rows, const struct layer_tensor *tensor, size_t first, size_t count);
// rows[count, in] in the tensor's dtype <- the elements that lie in `data`, which is the part of
// the tensor's bytes that begins with its element `origin`, and has all of these rows.
void tensor_rows_take(void *rows, const struct layer_tensor *tensor, const void *data, uint64_t origin,
                      size_t first, size_t count);
// The way back: into `data`.
void tensor_rows_put(void *data, uint64_t origin, const struct layer_tensor *tensor, const void *rows,
                     size_t first, size_t count);

// Whether the rows are contiguous: row i is the `in` elements from the tensor's element start + i * in on.
bool tensor_rows_are_contiguous(const struct layer_tensor *tensor);
// The first byte in the checkpoint's mapping that the rows are made from, and how far the last one is from
// it.
const char *tensor_rows_span(uint64_t *bytes, const struct layer_tensor *tensor, size_t first, size_t count);
// The index in the tensor of an element of the matrix.
uint64_t tensor_rows_element(const struct layer_tensor *tensor, size_t row, size_t column);
