// elementary.h - elementary functions in float32 from additions, multiplications and integer shifts alone:
// the same bits on every machine (a C library's expf may differ from the next one's), and written without
// branches, so that compilers turn loops over them into vector instructions.
#pragma once
#include "kernels/float_bits.h"
#include <math.h>

// e^x within one unit in the last place, subnormal results included; 0 below -104, infinity above 88.72, NaN
// for NaN. x = n ln 2 + r with |r| <= ln 2 / 2, and e^r is its Taylor series to r^7, whose remainder is below
// a tenth of a unit.
SIMD_INLINE float exp32(float x)
{
    const float round_to_integer = 0x1.8p23F; // adding it leaves the nearest integer in the low bits
    const float ln2_high = 0x1.62e4p-1F;      // 15 bits: n times this is exact
    const float ln2_low = 0x1.7f7d1cp-20F;

    x = x < -104.0F ? -104.0F : x;
    x = x > 89.0F ? 89.0F : x;
    const float shifted = x * 0x1.715476p+0F + round_to_integer;
    const float n = shifted - round_to_integer;
    const float r = (x - n * ln2_high) - n * ln2_low;
    float p = 1.0F / 5040.0F;
    p = p * r + 1.0F / 720.0F;
    p = p * r + 1.0F / 120.0F;
    p = p * r + 1.0F / 24.0F;
    p = p * r + 1.0F / 6.0F;
    p = p * r + 0.5F;
    p = (p * (r * r) + r) + 1.0F;
    // Times 2^n in two steps, since n from -150 to 128 does not fit one exponent. The low bits of `shifted`
    // hold n.
    const uint32_t biased = float_bits(shifted) - float_bits(round_to_integer) + 1024U; // n + 1024
    const uint32_t half = biased >> 1;
    const float first = float_from_bits((half - 512U + 127U) << 23);
    const float second = float_from_bits((biased - half - 512U + 127U) << 23);
    return p * first * second;
}

// e^x for x <= 0 in fewer steps, for the weights of a softmax: 0 below 2^-127, NaN for NaN. With t = x / ln 2
// = n + r, |r| <= 1/2, it is 2^n 2^r, and 2^r = 1 + r q(r), where q interpolates (2^r - 1) / r at the six
// Chebyshev nodes. Within a unit in the last place, and 1.3 |x| 2^-24 relative by the rounding of t: what a
// float32 score of that size is off itself.
SIMD_INLINE float exp32_below_zero(float x)
{
    const float round_to_integer = 0x1.8p23F;
    float t = x * 0x1.715476p+0F;

    t = t < -127.0F ? -127.0F : t;
    const float shifted = t + round_to_integer;
    const float r = t - (shifted - round_to_integer);
    float p = 0x1.44138ap-13F;
    p = p * r + 0x1.5f0890p-10F;
    p = p * r + 0x1.3b2a54p-7F;
    p = p * r + 0x1.c6af6cp-5F;
    p = p * r + 0x1.ebfbe0p-3F;
    p = p * r + 0x1.62e430p-1F;
    p = p * r + 1.0F;
    // The low bits of `shifted` hold n; -127 gives the bits of 0.
    return p * float_from_bits((float_bits(shifted) + 127U) << 23);
}

// tanh x within two units in the last place. Small arguments by the Taylor series to x^17, whose remainder at
// 0.55 is below a twentieth of a unit; the others by 1 - 2 / (e^2|x| + 1).
SIMD_INLINE float tanh32(float x)
{
    const float magnitude = fabsf(x), square = x * x;
    float p = (float)(6404582.0 / 10854718875.0);
    p = p * square - (float)(929569.0 / 638512875.0);
    p = p * square + (float)(21844.0 / 6081075.0);
    p = p * square - (float)(1382.0 / 155925.0);
    p = p * square + (float)(62.0 / 2835.0);
    p = p * square - (float)(17.0 / 315.0);
    p = p * square + (float)(2.0 / 15.0);
    p = p * square - (float)(1.0 / 3.0);
    const float small = p * square * magnitude + magnitude;
    const float large = 1.0F - 2.0F / (exp32(2.0F * magnitude) + 1.0F);
    return copysignf(magnitude < 0.55F ? small : large, x);
}
