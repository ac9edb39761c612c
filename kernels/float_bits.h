// float_bits.h - the 32 bits of a float, and back.
#pragma once
#include "kernels/simd.h"
#include <stdint.h>
#include <string.h>

SIMD_INLINE uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

SIMD_INLINE float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
