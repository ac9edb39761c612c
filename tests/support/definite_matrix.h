// definite_matrix.h - symmetric positive definite matrices for tests of factors and inverses.
#pragma once
#include <stddef.h>

// Aligned to 64 bytes; fails the test where there is none. The caller frees.
void *aligned_memory(size_t bytes);
// x^T x / in + I / 10 of in random rows, both triangles, [in, in]: a condition number below a hundred. The
// caller frees.
double *definite_matrix(size_t in);
