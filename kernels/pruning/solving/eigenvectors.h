// eigenvectors.h - the leading eigenvectors of a symmetric matrix, by LAPACK (dsyevr).
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// The `most` largest eigenvalues of matrix[n, n] (its upper or lower half counts, both are the same),
// ascending in values[n], and their eigenvectors, of length one, as rows of vectors[most, n]. 1 <= most <= n.
// matrix is destroyed. STATUS_MEMORY, or STATUS_FAILED when LAPACK does not converge or finds a NaN.
enum status leading_eigenvectors(double *values, double *vectors, double *matrix, size_t n, size_t most,
                                 struct error *err);
