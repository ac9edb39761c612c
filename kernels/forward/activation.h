// activation.h - the functions between the linears of an MLP, and softmax.
#pragma once
#include <stddef.h>

enum activation {
    ACTIVATION_SILU = 0,
    ACTIVATION_GELU = 1,
    ACTIVATION_GELU_TANH = 2,
    ACTIVATION_RELU = 3,
    ACTIVATION_RELU_SQUARED = 4,
    ACTIVATION_XIELU = 5,          // has parameters: xielu_forward
    ACTIVATION_CLAMPED_SWIGLU = 6, // likewise, and only stands with a gate: clamped_swiglu_gate
    ACTIVATION_QUICK_GELU = 7,
    ACTIVATION_RELU6 = 8,
    ACTIVATION_LEAKY_RELU = 9,
    ACTIVATION_SIGMOID = 10,
    ACTIVATION_TANH = 11,
    ACTIVATION_HARDSWISH = 12,
    ACTIVATION_MISH = 13,
    ACTIVATION_LINEAR = 14,
};

// x[n] = f(x[n]):
//   silu       x / (1 + e^-x)
//   gelu       x/2 (1 + erf(x / sqrt 2))
//   gelu_tanh  x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3), computed as x / (1 + e^-2u)
//   relu       max(x, 0)
//   relu_squared  max(x, 0)^2
//   quick_gelu  x / (1 + e^-1.702x)
//   relu6      min(max(x, 0), 6)
//   leaky_relu max(x, 0) + 0.01 min(x, 0)
//   sigmoid    1 / (1 + e^-x)
//   tanh       tanh x
//   hardswish  x relu6(x + 3) / 6
//   mish       x tanh(log(1 + e^x))
//   linear     x
void activation_forward(float *x, size_t n, enum activation activation);

// gate[rows, columns] = f(gate) * up; strides in floats.
void activation_gate(float *gate, size_t gate_stride, const float *up, size_t up_stride, size_t rows,
                     size_t columns, enum activation activation);

// The parameters of a layer's xIELU, each one number.
struct xielu {
    const float *alpha_p, *alpha_n; // learned
    const float *beta, *epsilon;    // epsilon is below 0
};
// x[n] = xIELU(x) (Huang and Schlag, 2024), with a = log(1 + e^alpha_p), b = beta + log(1 + e^alpha_n):
//   x > 0  a x^2 + beta x
//   else   b (e^min(x, epsilon) - 1 - x) + beta x
void xielu_forward(float *x, size_t n, const struct xielu *xielu);

// gpt-oss (2025): gate[rows, columns] = (u + 1) g / (1 + e^(-alpha g)) with g = min(gate, limit) and u = up
// cut to
// [-limit, limit].
struct clamped_swiglu {
    float alpha, limit;
};
void clamped_swiglu_gate(float *gate, size_t gate_stride, const float *up, size_t rows, size_t columns,
                         const struct clamped_swiglu *swiglu);

// 1 / (1 + e^-x)
float sigmoid(float x);

// x[n] = cap * tanh(x / cap)
void soft_cap(float *x, size_t n, float cap);

// x[n] = e^(x - max x) / sum, the sum in double; n >= 1.
void softmax(float *x, size_t n);
// The largest of x[n], n >= 1.
float max_of(const float *x, size_t n);
// sum of e^(x - shift) over x[n], in double.
double sum_exp(const float *x, size_t n, float shift);
// sum e^(x_i - shift) (x_i - y_i) over x[n], y[n]: terms in float32, added in double.
double sum_exp_difference(const float *x, const float *y, size_t n, float shift);
