// dtype.h - the three number formats of checkpoints, and conversions between them and float or double that
// round once (kernels/METHOD.md §14).
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum dtype { DTYPE_F32 = 0, DTYPE_F16 = 1, DTYPE_BF16 = 2 };

// Bytes of one element: 4, 2, 2.
size_t dtype_size(enum dtype dtype);
// The name that safetensors uses: "F32", "F16", "BF16".
const char *dtype_name(enum dtype dtype);

// out[n] float <- in[n] of dtype (any alignment). Exact.
void dtype_to_f32(float *out, const void *in, enum dtype dtype, size_t n);
// out[n] of dtype (any alignment) <- in[n], rounded once to nearest, ties to even; overflow gives infinity,
// NaN stays NaN.
void dtype_from_f32(void *out, const float *in, enum dtype dtype, size_t n);
// out[n] <- in[n], rounded to the nearest bfloat16 likewise. out may be in.
void bf16_round(float *out, const float *in, size_t n);
// dtype_from_f32 from double, rounded ONCE: to the nearest float32 and then to 16 bits would be twice.
void dtype_from_f64(void *out, const double *in, enum dtype dtype, size_t n);

// Whether x[n] are what bf16 numbers stand for, so that dtype_from_f32 of DTYPE_BF16 loses nothing.
bool floats_are_bf16(const float *x, size_t n);

// Index of the first NaN or infinity in x[n]; n when all are finite.
size_t find_non_finite(const float *x, size_t n);
// The same for elements of any dtype (any alignment). A number too large for the dtype has become an
// infinity.
size_t dtype_find_non_finite(const void *in, enum dtype dtype, size_t n);
