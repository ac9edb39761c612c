// float_bits.h - the bits of a number, and back; choices by bits, as a branch on the mask of half the weights
// would be mispredicted every other time.
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

// keep is 1 or 0: kept, or else other.
SIMD_INLINE float float_choice(uint8_t keep, float kept, float other)
{
    const uint32_t all = 0 - (uint32_t)keep;
    return float_from_bits((float_bits(kept) & all) | (float_bits(other) & ~all));
}

// x where keep is 1, +0 where it is 0.
SIMD_INLINE float kept_f32(float x, uint8_t keep)
{
    return float_from_bits(float_bits(x) & (0 - (uint32_t)keep));
}

SIMD_INLINE double kept_f64(double x, uint8_t keep)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    bits &= 0 - (uint64_t)keep;
    memcpy(&x, &bits, sizeof x);
    return x;
}
