// bf16_gemm.h - products of float32 matrices whose elements are rounded to bfloat16 first.
//
// A product of two such numbers is exact in float32, and sums are in float32, so that both ways of computing
// it differ only in the order of sums. The bits of a row of c depend on that row of a and on b alone, as
// those of gemm.h do: tiles begin at fixed places, and are filled up with zeros.
#pragma once
#include "kernels/bf16_unit.h"
#include "kernels/blas.h"
#include "kernels/compute.h"
#include "kernels/error.h"

// Makes the room for products of as many threads as there are now (threads.h): 4 MB, and 1 MB for
// each thread; it is kept. Before the first product, and again when there are to be more threads.
// STATUS_USAGE where this arithmetic cannot be had here; the message says why. STATUS_MEMORY.
enum status compute_prepare(enum compute compute, struct error *err);

// What computes it, in at most BF16_UNIT_NAME_SIZE characters: "float32", "the BLAS, emulated", or what
// bf16_unit_name says.
void compute_name(char *name, size_t size, enum compute compute);

// c[m, n] = alpha * a[m, k] b[n, k]^T, both rounded; gemm as for blas_gemm_f32, transpose_b set and beta 0.
// compute is COMPUTE_BF16 or COMPUTE_BF16_EMULATED. Not within the work of threads_share.
void bf16_gemm(float *c, const float *a, const float *b, const struct blas_gemm *gemm, enum compute compute);
