// compute.h - which arithmetic the products of a model's linears use.
#pragma once

enum compute {
    COMPUTE_FLOAT32 = 0,
    // Both operands are rounded to bfloat16, to nearest, ties to even; products and sums are in float32.
    COMPUTE_BF16 = 1,          // by the processor's instructions (bf16_unit.h)
    COMPUTE_BF16_EMULATED = 2, // by the BLAS, whose products of such operands are exact
};
