#include "kernels/forward/norm.h"

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

void norm_forward(float *out, const float *x, size_t rows, size_t size, const struct norm *norm,
                  enum norm_kind kind, float epsilon)
{
    for (size_t r = 0; r < rows; r++)
        norm_row(out + r * size, x + r * size, size, norm, kind, epsilon);
}

void norm_heads(const struct heads *heads, size_t size, const struct norm *norm, enum norm_kind kind,
                float epsilon)
{
    for (size_t t = 0; t < heads->tokens; t++) {
        for (size_t h = 0; h < heads->num_heads; h++) {
            float *head = heads->data + t * heads->token_stride + h * heads->head_stride;
            struct norm own = *norm;
            if (!own.plain)
                own.weight += h * norm->head_stride;
            norm_row(head, head, size, &own, kind, epsilon);
        }
    }
}
