// embedding.h - from token ids to the hidden states that enter the first layer.
#pragma once
#include "kernels/dtype.h"
#include <stddef.h>
#include <stdint.h>

struct embedding {
    const void *table; // [vocab, hidden_size] of dtype
    enum dtype dtype;
    // Where the values do not lie as such: writes `count` of them from `first` on; `table` is its own affair.
    void (*read)(float *values, const void *table, size_t first, size_t count);
    size_t first_value; // of the table's first row
    size_t hidden_size;
    size_t row_size;       // values from a row of the table to the next; 0: hidden_size
    float scale;           // on the table's rows; 1 for most families
    const void *positions; // learned positions [.., hidden_size] of positions_dtype, or NULL
    enum dtype positions_dtype;
    size_t first_position; // row of `positions` that belongs to token 0
};

// hidden[tokens, hidden_size] = scale * table[ids[t]] + positions[first_position + t]; every id is in [0,
// vocab).
void embedding_forward(float *hidden, const struct embedding *embedding, const int32_t *ids, size_t tokens);
