#include "naive.h"

#include <math.h>
#include <stdlib.h>

float *uniform_floats(size_t count, float scale, uint64_t seed)
{
    float *x = aligned_alloc(64, (count * sizeof *x / 64 + 1) * 64);
    uint64_t s = seed * 2 + 1;
    for (size_t i = 0; x != NULL && i < count; i++) {
        s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); // Knuth's MMIX generator
        x[i] = scale * ((float)(s >> 40) * 0x1p-23F - 1.0F);
    }
    return x;
}

double largest_difference(const float *x, const float *y, size_t n)
{
    double largest = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)x[i] - (double)y[i]);
        if (difference > largest || isnan(difference))
            largest = difference;
    }
    return largest;
}

void naive_linear(float *c, const float *a, const float *b, const float *bias, size_t m, size_t n, size_t k)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = bias != NULL ? (double)bias[j] : 0.0;
            for (size_t l = 0; l < k; l++)
                sum += (double)a[i * k + l] * (double)b[j * k + l];
            c[i * n + j] = (float)sum;
        }
    }
}

void naive_norm(float *out, const float *x, size_t rows, size_t size, const struct norm *norm,
                enum norm_kind kind, double epsilon)
{
    for (size_t r = 0; r < rows; r++) {
        double mean = 0.0, variance = 0.0;
        for (size_t i = 0; i < size && (kind == NORM_LAYER || kind == NORM_LAYER_ONE_PLUS); i++)
            mean += (double)x[r * size + i] / (double)size;
        for (size_t i = 0; i < size; i++)
            variance += pow((double)x[r * size + i] - mean, 2.0) / (double)size;
        for (size_t i = 0; i < size; i++) {
            const double bias = norm->bias != NULL ? (double)norm->bias[i] : 0.0;
            const double one = kind == NORM_RMS_ONE_PLUS || kind == NORM_LAYER_ONE_PLUS ? 1.0 : 0.0;
            const double weight = norm->plain ? 1.0 : one + (double)norm->weight[i];
            out[r * size + i] =
                (float)(((double)x[r * size + i] - mean) / sqrt(variance + epsilon) * weight + bias);
        }
    }
}

double naive_activation(double x, enum activation activation)
{
    const double pi = 3.14159265358979323846;
    switch (activation) {
    case ACTIVATION_SILU:
        return x / (1.0 + exp(-x));
    case ACTIVATION_GELU:
        return 0.5 * x * erfc(-x / sqrt(2.0));
    case ACTIVATION_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / pi) * (x + 0.044715 * pow(x, 3.0))));
    case ACTIVATION_RELU:
        return fmax(x, 0.0);
    case ACTIVATION_RELU_SQUARED:
        return pow(fmax(x, 0.0), 2.0);
    case ACTIVATION_QUICK_GELU:
        return x / (1.0 + exp(-(double)1.702F * x));
    case ACTIVATION_RELU6:
        return fmin(fmax(x, 0.0), 6.0);
    case ACTIVATION_LEAKY_RELU:
        return fmax(x, 0.0) + 0.01 * fmin(x, 0.0);
    case ACTIVATION_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_HARDSWISH:
        return x * fmin(fmax(x + 3.0, 0.0), 6.0) / 6.0;
    case ACTIVATION_MISH:
        return x * tanh(log1p(exp(x)));
    case ACTIVATION_LINEAR:
        return x;
    case ACTIVATION_XIELU:          // naive_xielu
    case ACTIVATION_CLAMPED_SWIGLU: // is not of one number
        break;
    }
    return NAN;
}

double naive_xielu(double x, const struct xielu *xielu)
{
    const double positive = log(1.0 + exp((double)*xielu->alpha_p)), beta = (double)*xielu->beta;
    const double negative = beta + log(1.0 + exp((double)*xielu->alpha_n));

    if (x > 0.0)
        return positive * x * x + beta * x;
    return negative * (expm1(fmin(x, (double)*xielu->epsilon)) - x) + beta * x;
}

void naive_rotary(float *x, size_t tokens, size_t heads, size_t head_dim, size_t rotary_dim, double theta)
{
    for (size_t t = 0; t < tokens; t++) {
        for (size_t h = 0; h < heads; h++) {
            float *head = x + (t * heads + h) * head_dim;
            for (size_t i = 0; i < rotary_dim / 2; i++) {
                const double angle = (double)t * pow(theta, -2.0 * (double)i / (double)rotary_dim);
                const double a = (double)head[i], b = (double)head[i + rotary_dim / 2];
                head[i] = (float)(a * cos(angle) - b * sin(angle));
                head[i + rotary_dim / 2] = (float)(b * cos(angle) + a * sin(angle));
            }
        }
    }
}

void naive_rotary_interleaved(float *x, size_t tokens, size_t heads, size_t head_dim, size_t rotary_dim,
                              double theta)
{
    for (size_t t = 0; t < tokens; t++) {
        for (size_t h = 0; h < heads; h++) {
            for (size_t i = 0; i < rotary_dim; i += 2) {
                float *pair = x + (t * heads + h) * head_dim + i;
                const double angle = (double)t * pow(theta, -(double)i / (double)rotary_dim);
                const double a = (double)pair[0], b = (double)pair[1];
                pair[0] = (float)(a * cos(angle) - b * sin(angle));
                pair[1] = (float)(b * cos(angle) + a * sin(angle));
            }
        }
    }
}

// Weights p[tokens] of the query q at position t over the keys of its head.
static void naive_probabilities(double *p, const float *q, const float *k, size_t t,
                                const struct naive_heads *heads)
{
    const size_t stride = heads->kv_heads * heads->head_dim;
    double sum = 0.0;
    for (size_t u = 0; u < heads->tokens; u++) {
        const int seen = u <= t && (heads->window == 0 || t - u < heads->window);
        double score = 0.0;
        for (size_t i = 0; i < heads->head_dim; i++)
            score += heads->scale * (double)q[i] * (double)k[u * stride + i];
        p[u] = seen ? exp(score) : 0.0;
        sum += p[u];
    }
    for (size_t u = 0; u < heads->tokens; u++)
        p[u] /= sum;
}

void naive_attention(float *out, const float *q, const float *k, const float *v,
                     const struct naive_heads *heads)
{
    const size_t dim = heads->head_dim, stride = heads->kv_heads * dim;
    double *p = calloc(heads->tokens, sizeof *p);

    for (size_t t = 0; p != NULL && t < heads->tokens; t++) {
        for (size_t h = 0; h < heads->heads; h++) {
            const size_t kv = h * heads->kv_heads / heads->heads, at = (t * heads->heads + h) * dim;
            naive_probabilities(p, q + at, k + kv * dim, t, heads);
            for (size_t i = 0; i < dim; i++) {
                double sum = 0.0;
                for (size_t u = 0; u < heads->tokens; u++)
                    sum += p[u] * (double)v[u * stride + kv * dim + i];
                out[at + i] = (float)sum;
            }
        }
    }
    free(p);
}
