#include "kernels/pruning/masks/held_zeros.h"

#include "kernels/pruning/masks/select.h"

#include <string.h>

bool held_zeros_find(uint8_t *held, const float *row, size_t in)
{
    size_t zeros = 0;

    memset(held, 0, mask_row_bytes(in));
    for (size_t j = 0; j < in; j++)
        zeros += row[j] == 0;
    if (zeros == 0 || zeros * HELD_ZEROS_ONE_IN < in)
        return false;
    for (size_t j = 0; j < in; j++)
        held[j / 8] |= (uint8_t)((unsigned)(row[j] == 0) << j % 8);
    return true;
}

void held_zeros_score(float *scores, const uint8_t *held, size_t in)
{
    for (size_t j = 0; j < in; j++)
        if ((held[j / 8] >> j % 8 & 1) != 0)
            scores[j] = 0;
}

void held_zeros_mask(uint8_t *mask, const uint8_t *held, size_t in)
{
    for (size_t k = 0; k < mask_row_bytes(in); k++)
        mask[k] = (uint8_t)(mask[k] & ~held[k]);
}
