#include "kernels/pruning/solving/normal_equations.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"

#include <math.h>

double normal_equations_lambda(const double *g, size_t in, double damping)
{
    double sum = 0;

    for (size_t j = 0; j < in; j++)
        sum += g[j * in + j];
    return in == 0 ? 0 : damping * (sum / (double)in);
}

void normal_equations_scale(const struct normal_equations *equations)
{
    const size_t in = equations->in;

    for (size_t j = 0; j < in; j++) {
        const double square = equations->g[j * in + j] + equations->lambda;
        equations->scale[j] = square > 0 ? sqrt(square) : 1;
    }
}

// Clang 14 gives functions with copies a global name: it must be the only one.
SIMD_CLONES
static void scale_row_narrow(float *restrict scaled, const double *restrict g, const double *restrict scale,
                             double own, size_t in)
{
    for (size_t k = 0; k < in; k++)
        scaled[k] = (float)(g[k] / (own * scale[k]));
}

void normal_equations_fill(const struct normal_equations *equations, size_t first, size_t count)
{
    const size_t in = equations->in;
    const double *scale = equations->scale;

    for (size_t j = first; j < first + count; j++) {
        const double *g = equations->g + j * in;
        float *scaled = equations->scaled + j * in;
        scale_row_narrow(scaled, g, scale, scale[j], in);
        scaled[j] = (float)((g[j] + equations->lambda) / (scale[j] * scale[j]));
    }
}

SIMD_CLONES
static void widen(double *restrict wide, const float *restrict narrow, size_t n)
{
    for (size_t j = 0; j < n; j++)
        wide[j] = (double)narrow[j];
}

SIMD_CLONES
static void add_scaled(double *restrict sum, const double *restrict x, double factor, size_t n)
{
    for (size_t j = 0; j < n; j++)
        sum[j] += factor * x[j];
}

void least_squares_target(double *target, const struct normal_equations *equations, const float *dense,
                          size_t count, double *wide)
{
    const size_t in = equations->in;
    const double *c = equations->c != NULL ? equations->c : equations->g;

    widen(wide, dense, count * in);
    gemm_nt_f64(target, in, wide, in, c, in, count, in, in);
    add_scaled(target, wide, equations->lambda, count * in);
}

// ---- by an inverse --------------------------------------------------------------------------------------

SIMD_CLONES
static void scale_row_wide(double *restrict scaled, const double *restrict g, const double *restrict scale,
                           double own, size_t in)
{
    for (size_t k = 0; k < in; k++)
        scaled[k] = g[k] / (own * scale[k]);
}

void normal_equations_wide(double *matrix, const struct normal_equations *equations, double rho, size_t first,
                           size_t count)
{
    const size_t in = equations->in;
    const double *scale = equations->scale;

    for (size_t j = first; j < first + count; j++) {
        const double *g = equations->g + j * in;
        scale_row_wide(matrix + j * in, g, scale, scale[j], in);
        matrix[j * in + j] = (g[j] + equations->lambda) / (scale[j] * scale[j]) + rho;
    }
}
