// lanes.h - the one order in which coppice sums along a row (kernels/METHOD.md §14).
//
// Lane l of LANES adds the elements l, l + LANES, l + 2 LANES, ... of the row in that order, starting from 0;
// then the upper half of the lanes is added to the lower half until one is left. The order is part of the
// method's definition: it is the same for every instruction set and whoever holds the row. (Sums down a
// column need no such scheme: rows are added in their order.)
#pragma once
#include "kernels/simd.h"
#include <stddef.h>

enum { LANES = 64 };

SIMD_INLINE double lanes_fold(double *lanes)
{
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}
