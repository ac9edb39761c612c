// naive_splitting.h - the oracle of admm and alps: the papers' formulas (kernels/METHOD.md §17) in double,
// row by row, with a system of equations solved anew for every step.
#pragma once
#include "tests/support/naive_least_squares.h"

enum { NAIVE_SPLITS = 3 };

// A linear of a group that shares its input.
struct naive_split {
    size_t out;
    const double *plus; // [out, in] W+
    uint8_t *mask;      // [out, in], 1 = kept: what naive_split makes; the caller frees
};
// The masks of linears[count] by the variant's method; of admm without patterns.
void naive_split(struct naive_split *linears, size_t count, const struct naive_equations *equations,
                 const struct variant *variant);
