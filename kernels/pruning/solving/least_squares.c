#include "kernels/pruning/solving/least_squares.h"
#include "kernels/float_bits.h"
#include "kernels/gemm.h"
#include "kernels/lanes.h"
#include "kernels/mask_bits.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

// The solution is held in double. A round takes its residual in double and corrects it by conjugate gradients
// in float32 on the scaled equations. These are good for some four digits; then the next round begins
// (iterative refinement). The few steps that pruning needs are over in the first round.
static const double round_reduction = 1e-4;
// A round that lowers the true residual by less than this has met rounding.
static const double least_progress = 0.5;

struct row_state {
    bool finished, waiting; // for good; until the next round
    size_t steps;
    double target, first, began, residual; // |b|^2; |r|^2 at the start, at the start of the round, now
};

struct solver {
    const struct normal_equations *equations;
    const struct least_squares_rows *rows;
    const struct least_squares_limits *limits;
    double *solution;        // [count, in]
    double *product;         // [count, in] between rounds; direction and image lie in the same memory
    float *direction;        // [count, in] p
    float *image;            // [count, in] p A
    float *residual;         // [count, in] r / n
    float *correction;       // [count, in] of this round, times n
    struct row_state *state; // [count]
};

// Passes over the rows, each by some thread.
static void share_rows(const struct solver *s, threads_work *pass)
{
    threads_share(s->rows->count, threads_grain(4 * s->equations->in), pass, s);
}

size_t least_squares_workspace(size_t in)
{
    return 3 * LEAST_SQUARES_ROWS * cache_lines(in); // solution, product, and two arrays of floats
}

// ---- passes over one row --------------------------------------------------------------------------------

enum { CHUNK = 8 * LANES }; // columns whose mask is unpacked at a time

SIMD_INLINE void unpack(uint8_t *keep, const uint8_t *mask, size_t start, size_t count)
{
    if (mask != NULL)
        mask_unpack(keep, mask, start, count);
    else
        memset(keep, 1, count);
}

SIMD_INLINE void add_products(double *restrict lanes, const float *a, const float *b, size_t count)
{
    size_t j = 0;

    for (; j + LANES <= count; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += (double)a[j + l] * (double)b[j + l];
    for (size_t l = 0; j < count; j++, l++)
        lanes[l] += (double)a[j] * (double)b[j];
}

// residual <- (value - lambda solution) / scale on the support, else 0. Returns its square.
SIMD_CLONES
static double scaled_residual(float *restrict residual, const double *restrict value,
                              const double *restrict solution, const uint8_t *mask,
                              const struct normal_equations *equations)
{
    const double lambda = equations->lambda, *scale = equations->scale;
    double lanes[LANES] = {0};

    for (size_t start = 0; start < equations->in; start += CHUNK) {
        const size_t count = equations->in - start < CHUNK ? equations->in - start : CHUNK;
        uint8_t keep[CHUNK];

        unpack(keep, mask, start, count);
        for (size_t j = 0; j < count; j++) {
            const size_t k = start + j;
            const float r = (float)((value[k] - lambda * solution[k]) / scale[k]);
            residual[k] = kept_f32(r, keep[j]);
        }
        add_products(lanes, residual + start, residual + start, count);
    }
    return lanes_fold(lanes);
}

// <a, b>
SIMD_CLONES
static double inner_product(const float *a, const float *b, size_t in)
{
    double lanes[LANES] = {0};

    add_products(lanes, a, b, in);
    return lanes_fold(lanes);
}

// correction += step direction; residual -= step image on the support. Returns the square of residual.
SIMD_CLONES
static double take_step(float *restrict correction, float *restrict residual, const float *restrict direction,
                        const float *restrict image, const uint8_t *mask, float step, size_t in)
{
    double lanes[LANES] = {0};

    for (size_t start = 0; start < in; start += CHUNK) {
        const size_t count = in - start < CHUNK ? in - start : CHUNK;
        uint8_t keep[CHUNK];

        unpack(keep, mask, start, count);
        for (size_t j = 0; j < count; j++) {
            const size_t k = start + j;
            const float r = residual[k] - step * image[k];
            correction[k] += step * direction[k];
            residual[k] = kept_f32(r, keep[j]);
        }
        add_products(lanes, residual + start, residual + start, count);
    }
    return lanes_fold(lanes);
}

SIMD_CLONES
static void turn_direction(float *restrict direction, const float *restrict residual, float factor, size_t in)
{
    for (size_t j = 0; j < in; j++)
        direction[j] = residual[j] + factor * direction[j];
}

SIMD_CLONES
static void correct(double *restrict solution, const float *restrict correction, const double *restrict scale,
                    double sign, size_t in)
{
    for (size_t j = 0; j < in; j++)
        solution[j] += sign * ((double)correction[j] / scale[j]);
}

// ---- rounds ---------------------------------------------------------------------------------------------

static const uint8_t *mask_of(const struct solver *s, size_t i)
{
    return s->rows->mask == NULL ? NULL : s->rows->mask + i * mask_row_bytes(s->equations->in);
}

// solution <- 0 for the square of the target, then the first guess on the support.
static void begin_rows(const void *context, size_t first_row, size_t num_rows, size_t thread)
{
    const struct solver *s = context;
    const size_t in = s->equations->in;

    (void)thread;
    memset(s->solution + first_row * in, 0, num_rows * in * sizeof *s->solution);
    for (size_t i = first_row; i < first_row + num_rows; i++) {
        const float *guess = s->rows->start + i * in;
        const uint8_t *mask = mask_of(s, i);
        double *solution = s->solution + i * in;

        s->state[i] = (struct row_state){.began = INFINITY};
        s->state[i].target =
            scaled_residual(s->residual + i * in, s->rows->target + i * in, solution, mask, s->equations);
        for (size_t first = 0; first < in; first += CHUNK) {
            const size_t count = in - first < CHUNK ? in - first : CHUNK;
            uint8_t keep[CHUNK];

            unpack(keep, mask, first, count);
            for (size_t j = 0; j < count; j++)
                solution[first + j] = (double)kept_f32(guess[first + j], keep[j]);
        }
    }
}

// Decides with the true residual in double, whose square is `residual`, whether a row takes part in the next
// round.
static void judge(const struct solver *s, size_t i, double residual)
{
    const double tolerance = s->limits->tolerance;
    struct row_state *row = &s->state[i];
    const bool first = row->began == INFINITY;

    if (first)
        row->first = residual;
    if (!first && !(residual <= row->began)) { // what the round did is taken back
        correct(s->solution + i * s->equations->in, s->correction + i * s->equations->in, s->equations->scale,
                -1, s->equations->in);
        residual = row->began;
    }
    row->finished = !isfinite(residual) || residual <= tolerance * tolerance * row->target ||
                    row->steps >= s->limits->steps ||
                    (!first && residual > least_progress * least_progress * row->began);
    row->waiting = row->finished;
    row->began = row->residual = residual;
}

static bool any_unfinished(const struct solver *s)
{
    for (size_t i = 0; i < s->rows->count; i++)
        if (!s->state[i].finished)
            return true;
    return false;
}

static void judge_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct solver *s = context;
    const size_t in = s->equations->in;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        if (!s->state[i].finished)
            judge(s, i,
                  scaled_residual(s->residual + i * in, s->product + i * in, s->solution + i * in,
                                  mask_of(s, i), s->equations));
}

// After the residuals, which may have the memory of other rows' directions.
static void turn_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct solver *s = context;
    const size_t in = s->equations->in;

    (void)thread;
    memset(s->correction + first * in, 0, count * in * sizeof *s->correction);
    for (size_t i = first; i < first + count; i++)
        if (s->state[i].finished)
            memset(s->direction + i * in, 0, in * sizeof *s->direction);
        else
            memcpy(s->direction + i * in, s->residual + i * in, in * sizeof *s->direction);
}

// Every row's residual from its solution, in double; the first direction is the residual. False when all rows
// are finished.
static bool begin_round(struct solver *s)
{
    const size_t in = s->equations->in, count = s->rows->count;

    if (!any_unfinished(s))
        return false;
    memcpy(s->product, s->rows->target, count * in * sizeof *s->product);
    gemm_subtract_f64(s->product, in, s->solution, in, s->equations->g, in, count, in, in);
    share_rows(s, judge_rows);
    share_rows(s, turn_rows);
    return any_unfinished(s);
}

// A step of one row, whose image is there. True when another may follow in this round.
static bool step_row(const struct solver *s, size_t i)
{
    const size_t in = s->equations->in;
    // Below, rounding of the product in float32 is no longer small beside the curvature: |p A| has an error
    // of about epsilon sqrt(in) |p|, as A has a diagonal of 1.
    const double least_curvature = 8 * (double)FLT_EPSILON * sqrt((double)in);
    const double tolerance = s->limits->tolerance;
    struct row_state *row = &s->state[i];
    float *direction = s->direction + i * in, *residual = s->residual + i * in;
    const float *image = s->image + i * in;
    const double curvature = inner_product(direction, image, in);

    if (!(curvature > least_curvature * inner_product(direction, direction, in)))
        return false;
    const double before = row->residual;
    row->residual = take_step(s->correction + i * in, residual, direction, image, mask_of(s, i),
                              (float)(before / curvature), in);
    row->steps++;
    if (row->steps >= s->limits->steps) {
        row->finished = true;
        return false;
    }
    if (row->residual <= round_reduction * round_reduction * row->began ||
        row->residual <= tolerance * tolerance * row->target)
        return false;
    turn_direction(direction, residual, (float)(row->residual / before), in);
    return true;
}

static bool gives_up(const struct solver *s)
{
    return s->limits->gives_up != NULL && s->limits->gives_up(s->limits->context);
}

static void step_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct solver *s = context;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        if (!s->state[i].waiting)
            s->state[i].waiting = !step_row(s, i);
}

static void correct_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct solver *s = context;
    const size_t in = s->equations->in;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        correct(s->solution + i * in, s->correction + i * in, s->equations->scale, 1, in);
}

// False when it was given up.
static bool run_round(struct solver *s)
{
    const size_t in = s->equations->in, count = s->rows->count;

    for (bool any = true; any;) {
        if (gives_up(s))
            return false;
        any = false;
        gemm_nn(s->image, in, s->direction, in, s->equations->scaled, in, count, in, in);
        share_rows(s, step_rows);
        for (size_t i = 0; i < count; i++)
            any = any || !s->state[i].waiting;
    }
    share_rows(s, correct_rows);
    return true;
}

static void write_result(const struct solver *s, float *weights, struct least_squares_outcome *outcomes)
{
    const size_t in = s->equations->in;

    for (size_t i = 0; i < s->rows->count; i++) {
        const struct row_state *row = &s->state[i];
        const double reference = row->target > 0 ? row->target : row->first;
        outcomes[i] = (struct least_squares_outcome){.steps = row->steps};
        if (reference > 0) {
            outcomes[i].first = sqrt(row->first / reference);
            outcomes[i].residual = sqrt(row->residual / reference);
        }
        for (size_t j = 0; j < in; j++)
            weights[i * in + j] = (float)s->solution[i * in + j];
    }
}

bool least_squares_rows(float *weights, struct least_squares_outcome *outcomes,
                        const struct normal_equations *equations, const struct least_squares_rows *rows,
                        const struct least_squares_limits *limits, double *workspace)
{
    const size_t block = LEAST_SQUARES_ROWS * cache_lines(equations->in);
    struct row_state state[LEAST_SQUARES_ROWS];
    struct solver solver = {
        .state = state,
        .equations = equations,
        .rows = rows,
        .limits = limits,
        .solution = workspace,
        .product = workspace + block,
        .direction = (float *)(workspace + block),
        .image = (float *)(workspace + block) + block,
        .residual = (float *)(workspace + 2 * block),
        .correction = (float *)(workspace + 2 * block) + block,
    };

    if (rows->count == 0 || equations->in == 0)
        return true;
    share_rows(&solver, begin_rows);
    while (true) {
        if (gives_up(&solver))
            return false;
        if (!begin_round(&solver))
            break;
        if (!run_round(&solver))
            return false;
    }
    write_result(&solver, weights, outcomes);
    return true;
}
