#include "kernels/forward/activation.h"
#include "kernels/forward/elementary.h"
#include "kernels/threads.h"

#include <math.h>

enum {
    PARTIALS = 8
}; // independent of each other, so that a loop runs at the machine's width; joined in one order

float sigmoid(float x)
{
    return 1.0F / (1.0F + exp32(-x));
}

// x / (1 + e^(-slope x))
SIMD_CLONES
static void silu(float *x, size_t n, float slope)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / (1.0F + exp32(-slope * x[i]));
}

SIMD_CLONES
static void gelu_tanh(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float twice_u =
            1.5957691216057308F * (x[i] + 0.044715F * x[i] * x[i] * x[i]); // 2 sqrt(2/pi) (...)
        x[i] = x[i] / (1.0F + exp32(-twice_u));
    }
}

static float softplus(float x)
{
    return (float)(fmax((double)x, 0.0) + log1p(exp(-fabs((double)x))));
}

static float relu6(float x)
{
    return x < 0.0F ? 0.0F : x > 6.0F ? 6.0F : x;
}

static void activate(float *x, size_t n, enum activation activation)
{
    switch (activation) {
    case ACTIVATION_SILU:
        silu(x, n, 1.0F);
        break;
    case ACTIVATION_QUICK_GELU:
        silu(x, n, 1.702F);
        break;
    case ACTIVATION_GELU:
        for (size_t i = 0; i < n; i++)
            x[i] = (float)(0.5 * (double)x[i] * (1.0 + erf((double)x[i] * 0.70710678118654752440)));
        break;
    case ACTIVATION_GELU_TANH:
        gelu_tanh(x, n);
        break;
    case ACTIVATION_RELU:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] < 0.0F ? 0.0F : x[i];
        break;
    case ACTIVATION_RELU_SQUARED:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] < 0.0F ? 0.0F : x[i] * x[i];
        break;
    case ACTIVATION_RELU6:
        for (size_t i = 0; i < n; i++)
            x[i] = relu6(x[i]);
        break;
    case ACTIVATION_LEAKY_RELU:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] < 0.0F ? 0.01F * x[i] : x[i];
        break;
    case ACTIVATION_SIGMOID:
        for (size_t i = 0; i < n; i++)
            x[i] = sigmoid(x[i]);
        break;
    case ACTIVATION_TANH:
        soft_cap(x, n, 1.0F);
        break;
    case ACTIVATION_HARDSWISH:
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] * relu6(x[i] + 3.0F) / 6.0F;
        break;
    case ACTIVATION_MISH:
        for (size_t i = 0; i < n; i++)
            x[i] *= tanh32(softplus(x[i]));
        break;
    case ACTIVATION_LINEAR:
    case ACTIVATION_XIELU: // these need their parameters
    case ACTIVATION_CLAMPED_SWIGLU:
        break;
    }
}

// An activation of an array, or rows gated by rows.
struct activated {
    float *x;
    const float *up;
    size_t x_stride, up_stride, columns;
    enum activation activation;
};

static void activate_part(const void *context, size_t first, size_t count, size_t thread)
{
    const struct activated *all = context;

    (void)thread;
    activate(all->x + first, count, all->activation);
}

void activation_forward(float *x, size_t n, enum activation activation)
{
    threads_share(n, threads_grain(1), activate_part, &(struct activated){.x = x, .activation = activation});
}

// e^x - 1 for x <= 0, as 2 t / (1 - t) with t = tanh(x / 2): nothing cancels near 0.
SIMD_INLINE float expm1_below_zero(float x)
{
    const float t = tanh32(0.5F * x);
    return 2.0F * t / (1.0F - t);
}

SIMD_CLONES
static void xielu_all(float *x, size_t n, float positive, float negative, float beta, float epsilon)
{
    for (size_t i = 0; i < n; i++) {
        const float below = expm1_below_zero(x[i] < epsilon ? x[i] : epsilon);
        const float curve = x[i] > 0.0F ? positive * x[i] * x[i] : (below - x[i]) * negative;
        x[i] = curve + beta * x[i];
    }
}

void xielu_forward(float *x, size_t n, const struct xielu *xielu)
{
    xielu_all(x, n, softplus(*xielu->alpha_p), *xielu->beta + softplus(*xielu->alpha_n), *xielu->beta,
              *xielu->epsilon);
}

static void gate_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct activated *all = context;

    (void)thread;
    for (size_t r = first; r < first + count; r++) {
        float *g = all->x + r * all->x_stride;
        const float *u = all->up + r * all->up_stride;
        activate(g, all->columns, all->activation);
        for (size_t i = 0; i < all->columns; i++)
            g[i] *= u[i];
    }
}

void activation_gate(float *gate, size_t gate_stride, const float *up, size_t up_stride, size_t rows,
                     size_t columns, enum activation activation)
{
    const struct activated all = {gate, up, gate_stride, up_stride, columns, activation};

    threads_share(rows, threads_grain(columns), gate_rows, &all);
}

SIMD_CLONES
static void cap_all(float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap * tanh32(x[i] / cap);
}

void soft_cap(float *x, size_t n, float cap)
{
    cap_all(x, n, cap);
}

// NaN counts as smaller than anything, unless it comes first.
SIMD_INLINE float max_inline(const float *x, size_t n)
{
    float partial[PARTIALS], max = x[0];
    size_t i = 0;

    for (size_t k = 0; k < PARTIALS; k++)
        partial[k] = x[0];
    for (; i + PARTIALS <= n; i += PARTIALS)
        for (size_t k = 0; k < PARTIALS; k++)
            partial[k] = x[i + k] > partial[k] ? x[i + k] : partial[k];
    for (size_t k = 0; k < PARTIALS; k++)
        max = partial[k] > max ? partial[k] : max;
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

// Adds x[n] into PARTIALS partial sums and those in order.
SIMD_INLINE double sum_inline(const float *x, size_t n)
{
    double partial[PARTIALS] = {0.0};
    double sum = 0.0;
    size_t i = 0;

    for (; i + PARTIALS <= n; i += PARTIALS)
        for (size_t k = 0; k < PARTIALS; k++)
            partial[k] += (double)x[i + k];
    for (size_t k = 0; k < PARTIALS; k++)
        sum += partial[k];
    for (; i < n; i++)
        sum += (double)x[i];
    return sum;
}

SIMD_CLONES
static float find_max(const float *x, size_t n)
{
    return max_inline(x, n);
}

float max_of(const float *x, size_t n)
{
    return find_max(x, n);
}

SIMD_CLONES
static double add_powers(const float *x, size_t n, float shift)
{
    enum { CHUNK = 256 };
    float powers[CHUNK];
    double sum = 0.0;

    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t count = n - i < CHUNK ? n - i : CHUNK;
        for (size_t j = 0; j < count; j++)
            powers[j] = exp32(x[i + j] - shift);
        sum += sum_inline(powers, count);
    }
    return sum;
}

double sum_exp(const float *x, size_t n, float shift)
{
    return add_powers(x, n, shift);
}

SIMD_CLONES
static double add_weighted_powers(const float *x, const float *y, size_t n, float shift)
{
    enum { CHUNK = 256 };
    float terms[CHUNK];
    double sum = 0.0;

    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t count = n - i < CHUNK ? n - i : CHUNK;
        for (size_t j = 0; j < count; j++)
            terms[j] = exp32(x[i + j] - shift) * (x[i + j] - y[i + j]);
        sum += sum_inline(terms, count);
    }
    return sum;
}

double sum_exp_difference(const float *x, const float *y, size_t n, float shift)
{
    return add_weighted_powers(x, y, n, shift);
}

SIMD_CLONES
static void softmax_row(float *x, size_t n)
{
    const float max = max_inline(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = exp32(x[i] - max);
    const float scale = (float)(1.0 / sum_inline(x, n));
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
}

void softmax(float *x, size_t n)
{
    softmax_row(x, n);
}

SIMD_CLONES
static void gate_row(float *gate, const float *up, size_t n, float alpha, float limit)
{
    for (size_t i = 0; i < n; i++) {
        const float g = gate[i] > limit ? limit : gate[i];
        const float below = up[i] > limit ? limit : up[i], u = below < -limit ? -limit : below;
        gate[i] = (u + 1.0F) * (g / (1.0F + exp32(-alpha * g)));
    }
}

void clamped_swiglu_gate(float *gate, size_t gate_stride, const float *up, size_t rows, size_t columns,
                         const struct clamped_swiglu *swiglu)
{
    for (size_t r = 0; r < rows; r++)
        gate_row(gate + r * gate_stride, up + r * columns, columns, swiglu->alpha, swiglu->limit);
}
