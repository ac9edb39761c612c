// normal_equations.h - the least-squares problem of one group of linears that read the same input
// (kernels/METHOD.md §16): for each row w of a weight, with w0 the dense row,
//
//     minimise over the kept weights  |X^ w - X w0|^2 + lambda |w - w0|^2
//
// X[tokens, in] is the input in the dense model, X^ in the model as pruned so far. All that the rows need to
// know of them are G = X^^T X^ and C = X^^T X, and the equations on the support m of a row are
//
//     (G + lambda I)_mm w_m = ((C + lambda I) w0)_m
#pragma once
#include <stddef.h>

struct normal_equations {
    size_t in;
    double lambda;
    const double *g; // [in, in], full and symmetric
    const double *c; // [in, in], row j is X^_j; NULL: one stream, C = G
    double *scale;   // [in] n_j = sqrt(G_jj + lambda), 1 where that is 0
    float *scaled;   // [in, in] A = (G + lambda I)_jk / (n_j n_k), full
};

// damping * the mean of the diagonal of g[in, in].
double normal_equations_lambda(const double *g, size_t in, double damping);
// Fills equations->scale.
void normal_equations_scale(const struct normal_equations *equations);
// Fills the rows [first, first + count) of equations->scaled; needs scale. An element's bits do not depend on
// the share.
void normal_equations_fill(const struct normal_equations *equations, size_t first, size_t count);

// Rows of a weight that are treated together: products of more rows are faster (kernels/METHOD.md §16), while
// what is dealt out to ranks may be as little as one row: a row's bits do not depend on those beside it.
enum { LEAST_SQUARES_ROWS = 256 };

// target[count, in] <- dense[count, in] (C + lambda I)^T, in double. count <= LEAST_SQUARES_ROWS; wide[count,
// in] is scratch. Needs neither scale nor scaled.
void least_squares_target(double *target, const struct normal_equations *equations, const float *dense,
                          size_t count, double *wide);

// ---- by an inverse (inverse.h) --------------------------------------------------------------------------

// The rows [first, first + count) of matrix[in, in] <- those of A + rho I, from g in double: what is to be
// inverted. Needs scale.
void normal_equations_wide(double *matrix, const struct normal_equations *equations, double rho, size_t first,
                           size_t count);
