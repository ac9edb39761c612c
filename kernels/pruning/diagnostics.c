#include "kernels/pruning/diagnostics.h"
#include "kernels/blas.h"
#include "kernels/pruning/solving/eigenvectors.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Rows or columns that are expanded to double at a time: memory does not grow with the longer side.
enum { PANEL = 128 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// out[rows, columns] <- a block of the matrix.
static void expand(double *out, const struct matrix_view *matrix, size_t row, size_t rows, size_t column,
                   size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[i * columns + j] = (double)matrix->data[(row + i) * matrix->stride + column + j];
}

// One factor of a product: a matrix as it lies in memory, contiguous and row-major, or its transpose.
struct factor {
    const double *data;
    bool transposed;
};

// c[m, n] += a b, where a is [m, k] and b is [k, n] after transposition.
static void multiply_add(double *c, struct factor a, struct factor b, size_t m, size_t n, size_t k)
{
    blas_gemm_f64(c, a.data, b.data,
                  &(struct blas_gemm){.transpose_a = a.transposed,
                                      .transpose_b = b.transposed,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .c_stride = n,
                                      .a_stride = a.transposed ? m : k,
                                      .b_stride = b.transposed ? k : n,
                                      .alpha = 1,
                                      .beta = 1});
}

// gram[n, n] of the matrix's rows (left) or columns (right).
static enum status gram(double *result, const struct matrix_view *matrix, enum singular_side side,
                        struct error *err)
{
    const bool left = side == SINGULAR_LEFT;
    const size_t n = left ? matrix->rows : matrix->columns, length = left ? matrix->columns : matrix->rows;
    double *panel = NULL;

    FORWARD_IF_ERROR(allocate(&panel, n * PANEL, sizeof *panel, "a panel of a weight", err));
    const struct factor as_is = {panel, false}, transposed = {panel, true};
    memset(result, 0, n * n * sizeof *result);
    for (size_t first = 0; first < length; first += PANEL) {
        const size_t count = smaller(PANEL, length - first);
        if (left) {
            expand(panel, matrix, 0, n, first, count);
            multiply_add(result, as_is, transposed, n, n, count);
        } else {
            expand(panel, matrix, first, count, 0, n);
            multiply_add(result, transposed, as_is, n, n, count);
        }
    }
    free(panel);
    return STATUS_OK;
}

static void reverse_rows(double *rows, size_t count, size_t n)
{
    for (size_t i = 0; i < count / 2; i++)
        for (size_t j = 0; j < n; j++) {
            const double kept = rows[i * n + j];
            rows[i * n + j] = rows[(count - 1 - i) * n + j];
            rows[(count - 1 - i) * n + j] = kept;
        }
}

// basis[count, n] <- the matrix (or its transpose) times each of vectors[count, m], of length one.
static void map_across(double *basis, const double *vectors, size_t count, const struct matrix_view *matrix,
                       enum singular_side side)
{
    const bool left = side == SINGULAR_LEFT;
    const size_t n = left ? matrix->rows : matrix->columns;

    memset(basis, 0, count * n * sizeof *basis);
    for (size_t v = 0; v < count; v++) {
        const double *x = vectors + v * (left ? matrix->columns : matrix->rows);
        double *y = basis + v * n, norm = 0;
        for (size_t i = 0; i < matrix->rows; i++)
            for (size_t j = 0; j < matrix->columns; j++) {
                const double w = (double)matrix->data[i * matrix->stride + j];
                y[left ? i : j] += w * x[left ? j : i];
            }
        for (size_t i = 0; i < n; i++)
            norm += y[i] * y[i];
        norm = sqrt(norm);
        for (size_t i = 0; i < n && norm > 0; i++)
            y[i] /= norm;
    }
}

enum status singular_basis(double *basis, size_t *found, const struct matrix_view *matrix,
                           enum singular_side side, size_t most, struct error *err)
{
    // Eigenvectors of the smaller of W W^T and W^T W; the other side's vectors follow from W.
    const enum singular_side small = matrix->rows <= matrix->columns ? SINGULAR_LEFT : SINGULAR_RIGHT;
    const size_t n = smaller(matrix->rows, matrix->columns);
    double *square = NULL, *values = NULL, *vectors = NULL;
    enum status status;

    *found = 0;
    if (most == 0)
        return STATUS_OK;
    GOTO_IF_ERROR(allocate(&square, n * n, sizeof *square, "a Gram matrix", err), done);
    GOTO_IF_ERROR(allocate(&values, n, sizeof *values, "eigenvalues", err), done);
    GOTO_IF_ERROR(allocate(&vectors, most * n, sizeof *vectors, "eigenvectors", err), done);
    GOTO_IF_ERROR(gram(square, matrix, small, err), done);
    GOTO_IF_ERROR(leading_eigenvectors(values, vectors, square, n, most, err), done);
    reverse_rows(vectors, most, n);
    const double largest = values[most - 1];
    while (*found < most && values[most - 1 - *found] > (double)n * DBL_EPSILON * largest)
        (*found)++;
    if (side == small)
        memcpy(basis, vectors, *found * n * sizeof *basis);
    else
        map_across(basis, vectors, *found, matrix, side);
done:
    free(square);
    free(values);
    free(vectors);
    return status;
}

double subspace_overlap(const double *a, size_t k, const double *b, size_t l, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < l; j++) {
            double dot = 0;
            for (size_t c = 0; c < n; c++)
                dot += a[i * n + c] * b[j * n + c];
            sum += dot * dot;
        }
    return k > 0 && l > 0 ? sum / (double)smaller(k, l) : 0;
}

static double square_norm(const double *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

enum status commutator_magnitude(double *magnitude, const struct matrix_view *a, const struct matrix_view *b,
                                 struct error *err)
{
    const size_t n = a->rows;
    double *x = NULL, *y = NULL, *xy = NULL, *yx = NULL, scale, difference = 0;
    enum status status;

    GOTO_IF_ERROR(allocate(&x, n * n, sizeof *x, "a commutator", err), done);
    GOTO_IF_ERROR(allocate(&y, n * n, sizeof *y, "a commutator", err), done);
    GOTO_IF_ERROR(allocate(&xy, n * n, sizeof *xy, "a commutator", err), done);
    GOTO_IF_ERROR(allocate(&yx, n * n, sizeof *yx, "a commutator", err), done);
    expand(x, a, 0, n, 0, n);
    expand(y, b, 0, n, 0, n);
    multiply_add(xy, (struct factor){x, false}, (struct factor){y, false}, n, n, n);
    multiply_add(yx, (struct factor){y, false}, (struct factor){x, false}, n, n, n);
    for (size_t i = 0; i < n * n; i++)
        difference += (xy[i] - yx[i]) * (xy[i] - yx[i]);
    scale = sqrt(square_norm(x, n * n)) * sqrt(square_norm(y, n * n));
    *magnitude = scale > 0 ? sqrt(difference) / scale : 0;
done:
    free(x);
    free(y);
    free(xy);
    free(yx);
    return status;
}
