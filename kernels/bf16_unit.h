// bf16_unit.h - products of bfloat16 by the processor's own instructions, of one size: a tile. bf16_gemm.h is
// what the rest of the kernels calls, and cuts matrices into tiles.
//
// bf16_unit_onednn.c is oneDNN; bf16_unit_none.c stands for it in a program that was built without. Only one
// of them is compiled (COPPICE_ONEDNN).
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

// Rows of a and c, columns of c, and the depth of one step.
enum { BF16_ROWS = 128, BF16_COLUMNS = 128, BF16_DEPTH = 256 };

// Before the first product, and before products of more threads. STATUS_USAGE when this processor or this
// program cannot; the message says what is missing.
enum status bf16_unit_prepare(size_t threads, struct error *err);

// The library and the instructions that it takes: "oneDNN 3.7.2, AVX512-BF16". "none" where the program was
// built without.
enum { BF16_UNIT_NAME_SIZE = 64 };
void bf16_unit_name(char *name, size_t size);

// c[BF16_ROWS, BF16_COLUMNS] += sum over steps of a[step][BF16_ROWS, BF16_DEPTH] b[step][BF16_COLUMNS,
// BF16_DEPTH]^T, a and b as bfloat16. `thread` is below the number that was prepared, and different in calls
// that run at the same time. If the library fails, c is NaN, which no later stage takes for a result.
void bf16_unit_multiply(float *c, const uint16_t *a, const uint16_t *b, size_t steps, size_t thread);
