#include "kernels/codes.h"
#include "kernels/dtype.h"
#include "kernels/float_bits.h"

#include <math.h>

unsigned code_bits(enum code_format format)
{
    return format == CODES_E2M1 ? 4 : 8;
}

SIMD_INLINE float e4m3_to_f32(uint8_t code)
{
    const uint32_t sign = (uint32_t)(code & 0x80) << 24, magnitude = code & 0x7f;
    // The exponent's bias is 7 there and 127 here.
    const uint32_t normal = magnitude == 0x7f ? 0x7fc00000 : (magnitude << 20) + (120U << 23);
    const uint32_t subnormal = float_bits((float)(int32_t)magnitude * 0x1p-9F);

    return float_from_bits(sign | (magnitude < 8 ? subnormal : normal));
}

SIMD_CLONES
static void e4m3_array(float *restrict out, const uint8_t *restrict in, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        out[i] = e4m3_to_f32(in[i]) * scale;
}

// The upper half of a float16.
static void e5m2_array(float *out, const uint8_t *in, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = (uint16_t)(in[i] << 8);
        dtype_to_f32(out + i, &half, DTYPE_F16, 1);
        out[i] *= scale;
    }
}

static void e2m1_array(float *out, const uint8_t *in, size_t first, size_t n, float scale)
{
    static const float values[16] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6, -0.F, -0.5F, -1, -1.5F, -2, -3, -4, -6};
    float scaled[16];

    for (size_t k = 0; k < 16; k++)
        scaled[k] = values[k] * scale;
    for (size_t i = 0; i < n; i++)
        out[i] = scaled[in[(first + i) / 2] >> (4 * ((first + i) % 2)) & 0xf];
}

void codes_to_f32(float *out, const void *codes, enum code_format format, size_t first, size_t n, float scale)
{
    switch (format) {
    case CODES_E4M3:
        e4m3_array(out, (const uint8_t *)codes + first, n, scale);
        break;
    case CODES_E5M2:
        e5m2_array(out, (const uint8_t *)codes + first, n, scale);
        break;
    case CODES_E2M1:
        e2m1_array(out, codes, first, n, scale);
        break;
    }
}

float e8m0_to_f32(uint8_t code)
{
    return code == 0xff ? NAN : ldexpf(1.0F, (int)code - 127);
}
