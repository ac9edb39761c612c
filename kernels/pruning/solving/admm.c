#include "kernels/pruning/solving/admm.h"

#include "kernels/float_bits.h"
#include "kernels/gemm.h"
#include "kernels/mask_bits.h"
#include "kernels/pruning/masks/held_zeros.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { CHUNK = 512 }; // columns whose mask is unpacked at a time

// What a channel's weights are multiplied by; 0 for one without an equation.
static float factor_of(const struct normal_equations *equations, size_t j)
{
    const bool live = equations->g[j * equations->in + j] + equations->lambda > 0;

    return live ? (float)equations->scale[j] : 0;
}

void admm_begin(const struct admm_rows *rows, const struct normal_equations *equations)
{
    const size_t in = equations->in;

    for (size_t start = 0; start < in; start += CHUNK) {
        const size_t count = in - start < CHUNK ? in - start : CHUNK;
        float factors[CHUNK];

        for (size_t j = 0; j < count; j++)
            factors[j] = factor_of(equations, start + j);
        for (size_t i = 0; i < rows->count; i++)
            for (size_t j = 0; j < count; j++)
                rows->state[i * in + start + j] = rows->dense[i * in + start + j] * factors[j];
    }
}

// ---- masks ----------------------------------------------------------------------------------------------

SIMD_CLONES
static void absolutes(float *restrict scores, const float *restrict state, size_t count)
{
    for (size_t j = 0; j < count; j++)
        scores[j] = fabsf(state[j]);
}

void admm_scores(float *scores, const float *state, size_t count)
{
    absolutes(scores, state, count);
}

struct selected_rows {
    const struct admm_rows *rows;
    size_t in;
    const struct admm_selection *selection;
    float *scores; // [threads, in]
};

static void select_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct selected_rows *all = context;
    const struct admm_rows *rows = all->rows;
    const struct admm_selection *selection = all->selection;
    const size_t in = all->in;
    float *scores = all->scores + thread * in;

    for (size_t i = first; i < first + count; i++) {
        uint8_t *mask = rows->mask + i * mask_row_bytes(in);
        const uint8_t *held = rows->held != NULL ? rows->held + i * mask_row_bytes(in) : NULL;

        admm_scores(scores, rows->state + i * in, in);
        if (held != NULL)
            held_zeros_score(scores, held, in);
        if (selection->of != 0)
            select_n_of_m(mask, scores, in, selection->n, selection->of);
        for (size_t j = 0; j < in && selection->of != 0 && selection->prune != SIZE_MAX; j++)
            if ((mask[j / 8] >> j % 8 & 1) != 0)
                scores[j] = FLT_MAX; // the last to be pruned
        if (selection->of == 0 || selection->prune != SIZE_MAX)
            select_row(mask, scores, in, selection->prune);
        if (held != NULL)
            held_zeros_mask(mask, held, in);
    }
}

void admm_select(const struct admm_rows *rows, size_t in, const struct admm_selection *selection,
                 float *scores)
{
    threads_share(rows->count, threads_grain(4 * in), select_rows,
                  &(struct selected_rows){rows, in, selection, scores});
}

uint64_t mask_difference(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint64_t count = 0;

    for (size_t k = 0; k < bytes; k++)
        for (unsigned bits = (unsigned)(a[k] ^ b[k]); bits != 0; bits &= bits - 1)
            count++;
    return count;
}

// ---- one step -------------------------------------------------------------------------------------------

size_t admm_workspace(size_t in)
{
    return (2 * LEAST_SQUARES_ROWS + 1) * cache_lines(in); // two blocks of rows, and the channels' factors
}

struct weights {
    float penalty, dual;
};

// side <- penalty (T M - W') - dual T (1 - M)
SIMD_CLONES
static void right_hand_side(float *restrict side, const float *restrict state, const float *restrict dense,
                            const float *restrict factors, const uint8_t *mask, struct weights weights,
                            size_t in)
{
    for (size_t start = 0; start < in; start += CHUNK) {
        const size_t count = in - start < CHUNK ? in - start : CHUNK;
        uint8_t keep[CHUNK];

        mask_unpack(keep, mask, start, count);
        for (size_t j = 0; j < count; j++) {
            const size_t k = start + j;
            const float wanted = dense[k] * factors[k];
            const float pruned = -(weights.penalty * wanted) - weights.dual * state[k];
            side[k] = float_choice(keep[j], weights.penalty * (state[k] - wanted), pruned);
        }
    }
}

// state <- W' + image + ratio T (1 - M)
SIMD_CLONES
static void next_state(float *restrict state, const float *restrict image, const float *restrict dense,
                       const float *restrict factors, const uint8_t *mask, float ratio, size_t in)
{
    for (size_t start = 0; start < in; start += CHUNK) {
        const size_t count = in - start < CHUNK ? in - start : CHUNK;
        uint8_t keep[CHUNK];

        mask_unpack(keep, mask, start, count);
        for (size_t j = 0; j < count; j++) {
            const size_t k = start + j;
            const float dual = ratio * state[k];
            state[k] = dense[k] * factors[k] + image[k] + float_choice(keep[j], 0, dual);
        }
    }
}

// A step of a block of rows.
struct step {
    const struct admm_rows *rows;
    float *side, *image;
    const float *factors;
    struct weights weights;
    float ratio; // of dual to penalty
    size_t in;
};

static void begin_step(const void *context, size_t first, size_t count, size_t thread)
{
    const struct step *step = context;
    const struct admm_rows *rows = step->rows;
    const size_t in = step->in;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        right_hand_side(step->side + i * in, rows->state + i * in, rows->dense + i * in, step->factors,
                        rows->mask + i * mask_row_bytes(in), step->weights, in);
}

static void end_step(const void *context, size_t first, size_t count, size_t thread)
{
    const struct step *step = context;
    const struct admm_rows *rows = step->rows;
    const size_t in = step->in;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        next_state(rows->state + i * in, step->image + i * in, rows->dense + i * in, step->factors,
                   rows->mask + i * mask_row_bytes(in), step->ratio, in);
}

void admm_step(const struct admm_rows *rows, const struct normal_equations *equations, const float *inverse,
               const struct admm_penalty *penalty, float *workspace)
{
    const size_t in = equations->in, block = LEAST_SQUARES_ROWS * cache_lines(in);
    float *factors = workspace + 2 * block;
    const struct step step = {.rows = rows,
                              .side = workspace,
                              .image = workspace + block,
                              .factors = factors,
                              .weights = {(float)penalty->penalty, (float)penalty->dual},
                              .ratio = (float)(penalty->dual / penalty->penalty),
                              .in = in};

    if (rows->count == 0 || in == 0)
        return;
    for (size_t j = 0; j < in; j++)
        factors[j] = factor_of(equations, j);
    threads_share(rows->count, threads_grain(2 * in), begin_step, &step);
    gemm_nn(step.image, in, step.side, in, inverse, 2 * in, rows->count, in, in);
    threads_share(rows->count, threads_grain(2 * in), end_step, &step);
}

void admm_result(float *start, const struct admm_rows *rows, const struct normal_equations *equations)
{
    const size_t in = equations->in, bytes = mask_row_bytes(in);

    for (size_t first = 0; first < in; first += CHUNK) {
        const size_t count = in - first < CHUNK ? in - first : CHUNK;
        float factors[CHUNK];
        uint8_t keep[CHUNK];

        for (size_t j = 0; j < count; j++)
            factors[j] = factor_of(equations, first + j);
        for (size_t i = 0; i < rows->count; i++) {
            mask_unpack(keep, rows->mask + i * bytes, first, count);
            for (size_t j = 0; j < count; j++) {
                const size_t k = i * in + first + j;
                start[k] = kept_f32(factors[j] > 0 ? rows->state[k] / factors[j] : rows->dense[k], keep[j]);
            }
        }
    }
}

// ---- the schedule ---------------------------------------------------------------------------------------

double admm_sparsity(double sparsity, int step)
{
    const double left = 1 - (double)(step + 1) / (double)ADMM_GROWTH;

    return step + 1 >= ADMM_GROWTH ? sparsity : sparsity * (1 - left * left * left);
}
