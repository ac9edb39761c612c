#include "io/model/tensor_rows.h"
#include "io/model/weights/coded.h"

#include <stdint.h>
#include <string.h>

enum { TILE_ROWS = 32, TILE_COLUMNS = 64 };

bool tensor_rows_are_contiguous(const struct layer_tensor *tensor)
{
    return tensor->view.column == 1 && tensor->view.row == tensor->in;
}

uint64_t tensor_rows_element(const struct layer_tensor *tensor, size_t row, size_t column)
{
    return tensor->view.start + row * tensor->view.row + column * tensor->view.column;
}

const char *tensor_rows_span(uint64_t *bytes, const struct layer_tensor *tensor, size_t first, size_t count)
{
    const size_t element = dtype_size(tensor->tensor->dtype);
    const struct coding *coding = tensor->tensor->coding;
    uint64_t begin = tensor_rows_element(tensor, first, 0), end;

    if (coding != NULL && count > 0) {
        const uint64_t last = tensor_rows_element(tensor, first + count - 1, tensor->in - 1);
        coded_span(&begin, &end, tensor->tensor, begin, last);
        *bytes = end - begin;
        return (const char *)coding->codes.data + begin;
    }
    *bytes = count == 0
                 ? 0
                 : (tensor_rows_element(tensor, first + count - 1, tensor->in - 1) + 1 - begin) * element;
    return (const char *)tensor->tensor->data + begin * element;
}

// A tile of the matrix in rows of their own, `stride` elements apart, and the same elements in the tensor.
struct tile {
    char *rows;
    char *data; // element (0, 0)
    size_t count, columns, stride;
};

// Elements have fixed sizes here, so that the copies become loads and stores.
static void take_tile(const struct tile *tile, const struct tensor_view *view, size_t element)
{
    for (size_t j = 0; j < tile->columns; j++) {
        for (size_t i = 0; i < tile->count; i++) {
            const char *from = tile->data + (i * view->row + j * view->column) * element;
            char *to = tile->rows + (i * tile->stride + j) * element;
            if (element == sizeof(uint16_t))
                memcpy(to, from, sizeof(uint16_t));
            else
                memcpy(to, from, sizeof(uint32_t));
        }
    }
}

static void put_tile(const struct tile *tile, const struct tensor_view *view, size_t element)
{
    for (size_t j = 0; j < tile->columns; j++) {
        for (size_t i = 0; i < tile->count; i++) {
            char *to = tile->data + (i * view->row + j * view->column) * element;
            const char *from = tile->rows + (i * tile->stride + j) * element;
            if (element == sizeof(uint16_t))
                memcpy(to, from, sizeof(uint16_t));
            else
                memcpy(to, from, sizeof(uint32_t));
        }
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void tensor_rows_f32(float *values, const struct layer_tensor *tensor, size_t first, size_t count)
{
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t element = dtype_size(dtype), in = tensor->in;
    char *data = (char *)tensor->tensor->data; // only read
    uint32_t room[TILE_ROWS * TILE_COLUMNS];

    if (tensor->tensor->coding != NULL) {
        for (size_t i = 0; i < count; i++)
            coded_elements(values + i * in, tensor->tensor, tensor_rows_element(tensor, first + i, 0),
                           tensor->view.column, in);
        return;
    }
    if (tensor_rows_are_contiguous(tensor)) {
        dtype_to_f32(values, data + tensor_rows_element(tensor, first, 0) * element, dtype, count * in);
        return;
    }
    for (size_t i = 0; i < count; i += TILE_ROWS) {
        for (size_t j = 0; j < in; j += TILE_COLUMNS) {
            const struct tile tile = {.rows = (char *)room,
                                      .data = data + tensor_rows_element(tensor, first + i, j) * element,
                                      .count = smaller(TILE_ROWS, count - i),
                                      .columns = smaller(TILE_COLUMNS, in - j),
                                      .stride = TILE_COLUMNS};
            take_tile(&tile, &tensor->view, element);
            for (size_t k = 0; k < tile.count; k++)
                dtype_to_f32(values + (i + k) * in + j, tile.rows + k * tile.stride * element, dtype,
                             tile.columns);
        }
    }
}

void tensor_rows_read(void *rows, const struct layer_tensor *tensor, size_t first, size_t count)
{
    const enum dtype dtype = tensor->tensor->dtype;
    float values[TILE_COLUMNS];

    if (tensor->tensor->coding == NULL) {
        tensor_rows_take(rows, tensor, tensor->tensor->data, 0, first, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < tensor->in; j += TILE_COLUMNS) {
            const size_t n = smaller(TILE_COLUMNS, tensor->in - j);
            coded_elements(values, tensor->tensor, tensor_rows_element(tensor, first + i, j),
                           tensor->view.column, n);
            dtype_from_f32((char *)rows + (i * tensor->in + j) * dtype_size(dtype), values, dtype, n);
        }
    }
}

// Calls work for all tiles of the rows.
static void each_tile(char *rows, char *data, uint64_t origin, const struct layer_tensor *tensor,
                      size_t first, size_t count,
                      void (*work)(const struct tile *tile, const struct tensor_view *view, size_t element))
{
    const size_t element = dtype_size(tensor->tensor->dtype), in = tensor->in;

    for (size_t i = 0; i < count; i += TILE_ROWS) {
        for (size_t j = 0; j < in; j += TILE_COLUMNS) {
            const uint64_t place = tensor_rows_element(tensor, first + i, j) - origin;
            const struct tile tile = {.rows = rows + (i * in + j) * element,
                                      .data = data + place * element,
                                      .count = smaller(TILE_ROWS, count - i),
                                      .columns = smaller(TILE_COLUMNS, in - j),
                                      .stride = in};
            work(&tile, &tensor->view, element);
        }
    }
}

void tensor_rows_take(void *rows, const struct layer_tensor *tensor, const void *data, uint64_t origin,
                      size_t first, size_t count)
{
    each_tile(rows, (char *)data, origin, tensor, first, count, take_tile);
}

void tensor_rows_put(void *data, uint64_t origin, const struct layer_tensor *tensor, const void *rows,
                     size_t first, size_t count)
{
    each_tile((char *)rows, data, origin, tensor, first, count, put_tile);
}
