#include "kernels/pruning/solving/second_order.h"
#include "kernels/gemm.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/simd.h"
#include "kernels/threads.h"

#include <string.h>

// ---- the Hessian ----------------------------------------------------------------------------------------

SIMD_CLONES
static void add_hessian_product(double *restrict sum, const float *restrict product, size_t n)
{
    for (size_t j = 0; j < n; j++)
        sum[j] += (double)product[j];
}

// Rows of products, and those of the sums that they are added to.
struct products {
    double *sums;
    const float *products;
    size_t stride, width; // of the sums; of the products
};

static void add_products(const void *context, size_t first, size_t count, size_t thread)
{
    const struct products *all = context;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        add_hessian_product(all->sums + i * all->stride, all->products + i * all->width, all->width);
}

void hessian_add(double *hessian, float *product, const float *x, size_t tokens, size_t in, size_t first,
                 size_t count)
{
    const size_t width = in - first;

    if (tokens == 0 || count == 0)
        return;
    gemm_tn(product, width, x + first, in, x + first, in, count, width, tokens);
    threads_share(count, threads_grain(2 * width), add_products,
                  &(struct products){hessian + first, product, in, width});
}

size_t hessian_damp(double *hessian, uint8_t *dead, size_t in, double damping)
{
    size_t count = 0;
    double sum = 0;

    for (size_t j = 0; j < in; j++) {
        double *diagonal = &hessian[j * in + j];
        dead[j] = *diagonal == 0;
        count += dead[j];
        if (dead[j])
            *diagonal = 1;
        sum += *diagonal;
    }
    for (size_t j = 0; j < in; j++)
        hessian[j * in + j] += damping * (sum / (double)in);
    return count;
}

// ---- one block of columns -------------------------------------------------------------------------------

size_t second_order_width(size_t of)
{
    return of == 0 ? SECOND_ORDER_COLUMNS : SECOND_ORDER_COLUMNS / of * of;
}

SIMD_CLONES
static void score_second_order(float *restrict scores, const double *restrict row,
                               const double *restrict diagonal, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        const double relative = row[j] / diagonal[j];
        scores[j] = (float)(relative * relative);
    }
}

void second_order_scores(float *scores, const double *row, const double *diagonal, size_t count)
{
    score_second_order(scores, row, diagonal, count);
}

SIMD_INLINE void subtract(double *restrict weights, const double *restrict factor, double error, size_t count)
{
    for (size_t j = 0; j < count; j++)
        weights[j] -= error * factor[j];
}

// keep[of] of the group that starts at column `first`.
static void select_group(uint8_t *keep, const double *weights, const double *block, size_t count,
                         size_t first, size_t n, size_t of)
{
    double diagonal[SECOND_ORDER_COLUMNS] = {0};
    float scores[SECOND_ORDER_COLUMNS] = {0};
    uint8_t mask[SECOND_ORDER_COLUMNS / 8] = {0};

    for (size_t k = 0; k < of; k++)
        diagonal[k] = block[(first + k) * count + first + k];
    second_order_scores(scores, weights + first, diagonal, of);
    for (size_t k = 0; k < of; k++)
        scores[k] = keep[first + k] ? scores[k] : 0;
    select_n_of_m(mask, scores, of, n, of);
    for (size_t k = 0; k < of; k++)
        keep[first + k] = keep[first + k] && (mask[k / 8] >> k % 8 & 1);
}

SIMD_CLONES
static void prune_second_order(double *weights, double *errors, uint8_t *keep, const double *block,
                               size_t count, size_t n, size_t of)
{
    for (size_t j = 0; j < count; j++) {
        const double *factor = block + j * count;
        if (of != 0 && j % of == 0)
            select_group(keep, weights, block, count, j, n, of);
        errors[j] = 0;
        if (keep[j])
            continue;
        errors[j] = weights[j] / factor[j];
        weights[j] = 0;
        subtract(weights + j + 1, factor + j + 1, errors[j], count - j - 1);
    }
}

void second_order_prune(double *weights, double *errors, uint8_t *keep, const double *block, size_t count,
                        size_t n, size_t of)
{
    prune_second_order(weights, errors, keep, block, count, n, of);
}
