// LAPACK's part of diagnostics.c.
#include "kernels/pruning/solving/eigenvectors.h"

#include <lapacke.h>
#include <stdlib.h>

enum status leading_eigenvectors(double *values, double *vectors, double *matrix, size_t n, size_t most,
                                 struct error *err)
{
    const lapack_int size = (lapack_int)n;
    lapack_int found = 0, *support = NULL;

    FORWARD_IF_ERROR(allocate(&support, 2 * most, sizeof *support, "eigenvectors", err));
    const lapack_int code =
        LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', size, matrix, size, 0, 0, (lapack_int)(n - most + 1),
                       size, 0, &found, values, vectors, size, support);
    free(support);
    RETURN_ERROR_IF(code == LAPACK_WORK_MEMORY_ERROR || code == LAPACK_TRANSPOSE_MEMORY_ERROR, err,
                    STATUS_MEMORY, "out of memory for the eigenvectors of a %zu x %zu matrix", n, n);
    RETURN_ERROR_IF(code != 0 || found != (lapack_int)most, err, STATUS_FAILED,
                    "the eigenvectors of a %zu x %zu matrix cannot be computed (dsyevr: %ld)", n, n,
                    (long)code);
    return STATUS_OK;
}
