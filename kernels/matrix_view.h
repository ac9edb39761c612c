// matrix_view.h - a float32 matrix, or a block of one, that lies in somebody else's memory.
#pragma once
#include <stddef.h>

// Element (i, j) is data[i * stride + j].
struct matrix_view {
    const float *data;
    size_t rows, columns, stride;
};
