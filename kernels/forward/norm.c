#include "kernels/forward/norm.h"
#include "kernels/threads.h"

#include <math.h>

enum { PARTIAL_SUMS = 8 }; // independent of each other, added in one fixed order

// sum of (x - centre)^power over x[n], power 1 or 2.
static double sum_powers(const float *x, size_t n, double centre, int power)
{
    double partial[PARTIAL_SUMS] = {0.0};
    double sum = 0.0;

    for (size_t i = 0; i < n; i += PARTIAL_SUMS) {
        const size_t count = n - i < PARTIAL_SUMS ? n - i : PARTIAL_SUMS;
        for (size_t k = 0; k < count; k++) {
            const double d = (double)x[i + k] - centre;
            partial[k] += power == 2 ? d * d : d;
        }
    }
    for (size_t k = 0; k < PARTIAL_SUMS; k++)
        sum += partial[k];
    return sum;
}

static void norm_row(float *out, const float *x, size_t size, const struct norm *norm, enum norm_kind kind,
                     float epsilon)
{
    const double n = (double)size;
    const bool centred = kind == NORM_LAYER || kind == NORM_LAYER_ONE_PLUS;
    const double mean = centred ? sum_powers(x, size, 0.0, 1) / n : 0.0;
    const double variance = sum_powers(x, size, mean, 2) / n;
    const float centre = (float)mean;
    const float scale = (float)(1.0 / sqrt(variance + (double)epsilon));

    const float offset = kind == NORM_RMS_ONE_PLUS || kind == NORM_LAYER_ONE_PLUS ? 1.0F : 0.0F;
    if (norm->plain)
        for (size_t i = 0; i < size; i++)
            out[i] = (x[i] - centre) * scale;
    else
        for (size_t i = 0; i < size; i++)
            out[i] = (x[i] - centre) * scale * (offset + norm->weight[i]);
    if (norm->bias != NULL)
        for (size_t i = 0; i < size; i++)
            out[i] += norm->bias[i];
}

struct rows {
    float *out;
    const float *x;
    size_t size;
    const struct norm *norm;
    enum norm_kind kind;
    float epsilon;
};

static void norm_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct rows *rows = context;
    const size_t size = rows->size;

    (void)thread;
    for (size_t r = first; r < first + count; r++)
        norm_row(rows->out + r * size, rows->x + r * size, size, rows->norm, rows->kind, rows->epsilon);
}

void norm_forward(float *out, const float *x, size_t rows, size_t size, const struct norm *norm,
                  enum norm_kind kind, float epsilon)
{
    const struct rows all = {out, x, size, norm, kind, epsilon};

    threads_share(rows, threads_grain(2 * size), norm_rows, &all);
}

// The heads of tokens.
struct head_rows {
    const struct heads *heads;
    struct rows rows; // without out and x
};

static void norm_heads_of(const void *context, size_t first, size_t count, size_t thread)
{
    const struct head_rows *all = context;
    const struct heads *heads = all->heads;
    const struct norm *norm = all->rows.norm;

    (void)thread;
    for (size_t t = first; t < first + count; t++) {
        for (size_t h = 0; h < heads->num_heads; h++) {
            float *head = heads->data + t * heads->token_stride + h * heads->head_stride;
            struct norm own = *norm;
            if (!own.plain)
                own.weight += h * norm->head_stride;
            norm_row(head, head, all->rows.size, &own, all->rows.kind, all->rows.epsilon);
        }
    }
}

void norm_heads(const struct heads *heads, size_t size, const struct norm *norm, enum norm_kind kind,
                float epsilon)
{
    const struct head_rows all = {heads, {NULL, NULL, size, norm, kind, epsilon}};

    threads_share(heads->tokens, threads_grain(2 * size * heads->num_heads), norm_heads_of, &all);
}
