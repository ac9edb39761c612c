// assignment.h - the linear assignment problem: n things to n places, so that the sum of their gains is
// largest.
//
// Shortest augmenting paths after Jonker and Volgenant, "A shortest augmenting path algorithm for dense and
// sparse linear assignment problems", Computing 38 (1987), in the words of an auction: places have prices,
// and a thing wants the place with the largest profit, its gain there less the price.
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

// places[n] <- a permutation of 0 ... n-1 with the largest sum_i gains[i][places[i]]; gains[n, n] row-major,
// finite. Prices are doubles, so that the sum is the largest but for their rounding. The result depends on
// the gains alone. n <= INT32_MAX; allocates some vectors: STATUS_MEMORY.
enum status assignment_solve(uint32_t *places, const float *gains, size_t n, struct error *err);
