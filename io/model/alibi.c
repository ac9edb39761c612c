#include "io/model/alibi.h"

#include "kernels/dtype.h"

#include <math.h>

// Of head `index` of n, a power of 2.
static float slope_of_power(size_t index, size_t n)
{
    return powf((float)exp2(-8.0 / (double)n), (float)(index + 1));
}

static size_t power_above(size_t n)
{
    size_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

static float slope(size_t head, size_t heads)
{
    const size_t above = power_above(heads), below = above / 2;

    if (above == heads)
        return slope_of_power(head, heads);
    return head < below ? slope_of_power(head, below) : slope_of_power(2 * (head - below), above);
}

static float in_bf16(float x)
{
    const double value = (double)x;
    unsigned char bytes[sizeof value];
    float rounded;

    dtype_from_f64(bytes, &value, DTYPE_BF16, 1);
    dtype_to_f32(&rounded, bytes, DTYPE_BF16, 1);
    return rounded;
}

void alibi_biases(float *bias, enum alibi_kind kind, size_t heads, size_t tokens, float scale)
{
    for (size_t h = 0; h < heads; h++) {
        const float exact = slope(h, heads), used = kind == ALIBI_FALCON ? in_bf16(exact) : exact;
        for (size_t t = 0; t < tokens; t++) {
            const float product = used * (float)t;
            bias[h * tokens + t] = kind == ALIBI_FALCON ? scale * in_bf16(product) : product;
        }
    }
}
