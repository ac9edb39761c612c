#include "kernels/pruning/masks/importance.h"
#include "kernels/lanes.h"
#include "kernels/simd.h"
#include "kernels/threads.h"

#include <math.h>
#include <string.h>

// ---- the methods ----------------------------------------------------------------------------------------

// The statistics that make a factor: of one input channel, and of the column of weights that reads it.
struct channel {
    double second_moment, variance; // of the input
    double column_variance;         // of the weights
};

// pow() may differ in the last bit from processor to processor (the C library has copies of it with and
// without fused multiply-add); with the spare bits of long double the rounded double does not.
static double power(double base, double exponent)
{
    return (double)powl((long double)base, (long double)exponent);
}

// x^exponent, exactly 1 or sqrt where that is asked for.
static double raise(double x, double exponent)
{
    return exponent == 0 ? 1 : exponent == 0.5 ? sqrt(x) : power(x, exponent);
}

static double with_column_variance(double activation, const struct channel *channel,
                                   const struct importance_parameters *parameters)
{
    if (parameters->alpha == 0)
        return activation;
    return activation * power(channel->column_variance + parameters->epsilon, -parameters->alpha / 2);
}

static double from_second_moment(const struct channel *channel,
                                 const struct importance_parameters *parameters)
{
    return with_column_variance(raise(channel->second_moment, parameters->exponent), channel, parameters);
}

static double from_variance(const struct channel *channel, const struct importance_parameters *parameters)
{
    return with_column_variance(raise(channel->variance, parameters->exponent), channel, parameters);
}

// Everything that the program knows of a method. The columns:
//   the value of enum method
//   name      in job files and in the names of variants
//   factor    gives c_j (kernels/METHOD.md §3); NULL: the method has no factors, and sets NEEDS_HESSIAN or
//             NEEDS_OUTPUTS
//   needs     enum importance_needs beyond what an exponent and an alpha that are not 0 need:
//             NEEDS_ABSOLUTE_SUMS makes |W_ij| relative to its row and column
//   exponent  of the activation, and
//   alpha     of the column variance, where the job gives none
//   meaning   for `coppice help prune.method`: how weights are chosen, a line without a full stop
#define METHODS(ROW)                                                                                  \
    ROW(METHOD_MAGNITUDE, "magnitude", from_second_moment, 0, 0, 0,                                   \
        "by size alone; needs no calibration to choose")                                              \
    ROW(METHOD_WANDA, "wanda", from_second_moment, 0, 0.5, 0,                                         \
        "by size times the norm of the input; the cheapest that works")                               \
    ROW(METHOD_RIA, "ria", from_second_moment, NEEDS_ABSOLUTE_SUMS, 0.25, 0,                          \
        "as wanda, with the size relative to the weight's row and column")                            \
    ROW(METHOD_CVR, "cvr", from_variance, 0, 0.25, 0.25,                                              \
        "by size times the spread of the input, over the spread of the weight's column")              \
    ROW(METHOD_SPARSEGPT, "sparsegpt", NULL, NEEDS_HESSIAN, 0, 0,                                     \
        "by the error that each removal makes, column by column, the weights after it updated")       \
    ROW(METHOD_ADMM, "admm", NULL, NEEDS_EQUATIONS, 0, 0,                                             \
        "masks and weights together, towards the dense model's outputs, by ADMM")                     \
    ROW(METHOD_ALPS, "alps", NULL, NEEDS_EQUATIONS, 0, 0,                                             \
        "masks and weights together, as ALPS does; the most accurate, at almost five times the work " \
        "of wanda")                                                                                   \
    ROW(METHOD_AUTO, "auto", NULL,                                                                    \
        NEEDS_OUTPUTS | NEEDS_STATISTICS | NEEDS_COLUMN_VARIANCE | NEEDS_ABSOLUTE_SUMS, 0, 0,         \
        "tries the first four and others like them, and takes for each linear what measures best")

#define AS_ROW(value, name, factor, needs, exponent, alpha, meaning) \
    [value] = {factor, needs, exponent, alpha, meaning},
#define AS_NAME(value, name, factor, needs, exponent, alpha, meaning) [value] = name,

static const struct {
    double (*factor)(const struct channel *channel, const struct importance_parameters *parameters);
    unsigned needs;
    double exponent, alpha;
    const char *meaning;
} methods[NUM_METHODS] = {METHODS(AS_ROW)};

static const char *const names[NUM_METHODS] = {METHODS(AS_NAME)};

#define AS_ONE(value, name, factor, needs, exponent, alpha, meaning) 1 +
_Static_assert(METHODS(AS_ONE) 0 == NUM_METHODS, "every method has a row");

const char *method_name(enum method method)
{
    return names[method];
}

const char *method_meaning(size_t method)
{
    return methods[method].meaning;
}

const char *const *method_names(size_t *count)
{
    *count = NUM_METHODS;
    return names;
}

bool method_has_factors(enum method method)
{
    return methods[method].factor != NULL;
}

struct importance_parameters importance_defaults(enum method method)
{
    return (struct importance_parameters){
        .alpha = methods[method].alpha, .epsilon = 1e-8, .exponent = methods[method].exponent};
}

unsigned importance_needs(enum method method, const struct importance_parameters *parameters)
{
    unsigned needs = methods[method].needs;
    if (!method_has_factors(method))
        return needs;
    if (parameters->exponent != 0)
        needs |= NEEDS_STATISTICS;
    if (parameters->alpha != 0)
        needs |= NEEDS_COLUMN_VARIANCE;
    return needs;
}

unsigned method_needs(enum method method)
{
    const struct importance_parameters parameters = importance_defaults(method);
    return importance_needs(method, &parameters);
}

// ---- factors ----------------------------------------------------------------------------------------------

void importance_factors(float *factors, enum method method, const struct importance_parameters *parameters,
                        const double *second_moment, const double *variance, const double *column_variance,
                        size_t in)
{
    for (size_t j = 0; j < in; j++) {
        const struct channel channel = {
            .second_moment = second_moment != NULL ? second_moment[j] : 0,
            .variance = variance != NULL ? variance[j] : 0,
            .column_variance = column_variance != NULL ? column_variance[j] : 0,
        };
        factors[j] = (float)methods[method].factor(&channel, parameters);
    }
}

// (float)(1 / sum); 0 for an empty sum. At most 2^126, so that a_j + b_i is finite: infinity times a weight
// of 0 would be NaN.
static float reciprocal_sum(double sum)
{
    const double reciprocal = sum > 0 ? 1 / sum : 0;
    return reciprocal < 0x1p126 ? (float)reciprocal : 0x1p126F;
}

void reciprocal_sums(float *reciprocal, const double *absolute_sum, size_t in)
{
    for (size_t j = 0; j < in; j++)
        reciprocal[j] = reciprocal_sum(absolute_sum[j]);
}

// ---- sums down the columns of a weight ------------------------------------------------------------------

// Columns are taken in blocks whose running sums stay in the nearest cache and whose second pass still finds
// the weights in the last one; rows ROWS at a time, so that a running sum is loaded and stored once for ROWS
// additions, which still happen one after the other.
enum { BLOCK = 2048, ROWS = 8 };

SIMD_INLINE void add_values(double *restrict sum, double *restrict absolute_sum, const float *restrict weight,
                            size_t rows, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        double s = sum[j], a = absolute_sum[j];
        for (size_t r = 0; r < rows; r++) {
            const double value = (double)weight[r * stride + j];
            s += value;
            a += fabs(value);
        }
        sum[j] = s;
        absolute_sum[j] = a;
    }
}

SIMD_INLINE void add_squares(double *restrict sum, const double *restrict mean, const float *restrict weight,
                             size_t rows, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        double s = sum[j];
        for (size_t r = 0; r < rows; r++) {
            const double centred = (double)weight[r * stride + j] - mean[j];
            s += centred * centred;
        }
        sum[j] = s;
    }
}

struct block {
    double mean[BLOCK], absolute[BLOCK], squares[BLOCK];
};

// The sums of `count` columns; squares only when asked for.
SIMD_CLONES
static void sum_moment_block(struct block *block, const float *weight, size_t out, size_t stride,
                             size_t count, bool squares)
{
    size_t i = 0;

    for (; i + ROWS <= out; i += ROWS)
        add_values(block->mean, block->absolute, weight + i * stride, ROWS, stride, count);
    for (; i < out; i++)
        add_values(block->mean, block->absolute, weight + i * stride, 1, stride, count);
    for (size_t j = 0; j < count; j++)
        block->mean[j] /= (double)out;
    if (!squares)
        return;
    for (i = 0; i + ROWS <= out; i += ROWS)
        add_squares(block->squares, block->mean, weight + i * stride, ROWS, stride, count);
    for (; i < out; i++)
        add_squares(block->squares, block->mean, weight + i * stride, 1, stride, count);
}

struct columns {
    const struct column_moments *moments;
    const struct matrix_view *weight;
};

static void sum_columns(const void *context, size_t first, size_t count, size_t thread)
{
    const struct columns *columns = context;
    const struct column_moments *moments = columns->moments;
    const struct matrix_view *weight = columns->weight;
    const size_t out = weight->rows, end = first + count;

    (void)thread;
    for (size_t start = first; start < end; start += BLOCK) {
        const size_t width = end - start < BLOCK ? end - start : BLOCK;
        struct block block = {{0}, {0}, {0}};

        if (out > 0)
            sum_moment_block(&block, weight->data + start, out, weight->stride, width,
                             moments->variance != NULL);
        if (moments->mean != NULL)
            memcpy(moments->mean + start, block.mean, width * sizeof *moments->mean);
        if (moments->absolute_sum != NULL)
            memcpy(moments->absolute_sum + start, block.absolute, width * sizeof *moments->absolute_sum);
        for (size_t j = 0; moments->variance != NULL && j < width; j++)
            moments->variance[start + j] = out > 0 ? block.squares[j] / (double)out : 0;
    }
}

void column_moments(const struct column_moments *moments, const struct matrix_view *weight)
{
    threads_share(weight->columns, THREADS_COLUMNS, sum_columns, &(struct columns){moments, weight});
}

// ---- scores ---------------------------------------------------------------------------------------------

SIMD_CLONES
static double absolute_row_sum(const float *row, size_t in)
{
    double lanes[LANES] = {0};
    size_t j = 0;

    for (; j + LANES <= in; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += fabs((double)row[j + l]);
    for (size_t l = 0; j + l < in; l++)
        lanes[l] += fabs((double)row[j + l]);
    return lanes_fold(lanes);
}

SIMD_CLONES
static void score_row(float *restrict scores, const float *restrict row, const float *restrict factors,
                      size_t in)
{
    for (size_t j = 0; j < in; j++)
        scores[j] = fabsf(row[j]) * factors[j];
}

SIMD_CLONES
static void score_relative_row(float *restrict scores, const float *restrict row,
                               const float *restrict factors, const float *restrict column, float own,
                               size_t in)
{
    for (size_t j = 0; j < in; j++)
        scores[j] = fabsf(row[j]) * ((column[j] + own) * factors[j]);
}

void importance_row(float *scores, const float *row, const float *factors, const float *reciprocal_sums,
                    size_t in)
{
    if (reciprocal_sums == NULL)
        score_row(scores, row, factors, in);
    else
        score_relative_row(scores, row, factors, reciprocal_sums, reciprocal_sum(absolute_row_sum(row, in)),
                           in);
}
