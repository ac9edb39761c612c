// Every code of eight and four bits against torch, and against the fields of its definition.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/codes.h"
#include "tests/golden/codes.h"

#include <math.h>
#include <string.h>

enum { SCALES = 4 };

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float scale_of(size_t index)
{
    float scale;
    memcpy(&scale, &golden_scales[0][index], sizeof scale);
    return scale;
}

// The same value: the same bits, or NaN both.
static void assert_value(float found, uint32_t expected)
{
    float value;
    memcpy(&value, &expected, sizeof value);
    if (value != value)
        assert_true(found != found);
    else
        assert_int_equal(bits_of(found), expected);
}

static void codes_of_eight_bits_are_those_of_torch(void **state)
{
    uint8_t codes[256];
    float values[256];
    (void)state;

    for (size_t k = 0; k < 256; k++)
        codes[k] = (uint8_t)k;
    for (size_t s = 0; s < SCALES; s++) {
        codes_to_f32(values, codes, CODES_E4M3, 0, 256, scale_of(s));
        for (size_t k = 0; k < 256; k++)
            assert_value(values[k], golden_e4m3[s][k]);
        codes_to_f32(values, codes, CODES_E5M2, 0, 256, scale_of(s));
        for (size_t k = 0; k < 256; k++)
            assert_value(values[k], golden_e5m2[s][k]);
    }
    for (size_t k = 0; k < 256; k++)
        assert_value(e8m0_to_f32((uint8_t)k), golden_e8m0[0][k]);
}

static void codes_of_four_bits_come_low_half_first(void **state)
{
    uint8_t bytes[8]; // codes 0, 1, 2, ... 15
    float values[16];
    (void)state;

    for (size_t k = 0; k < 8; k++)
        bytes[k] = (uint8_t)(2 * k | (2 * k + 1) << 4);
    for (size_t s = 0; s < SCALES; s++) {
        codes_to_f32(values, bytes, CODES_E2M1, 0, 16, scale_of(s));
        for (size_t k = 0; k < 16; k++)
            assert_value(values[k], golden_e2m1[s][k]);
        codes_to_f32(values, bytes, CODES_E2M1, 3, 10, scale_of(s)); // from the upper half of a byte
        for (size_t k = 0; k < 10; k++)
            assert_value(values[k], golden_e2m1[s][3 + k]);
    }
}

// (-1)^sign * fraction * 2^exponent, by the two specifications.
static double by_fields(unsigned code, int exponent_bits, int fraction_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int fraction = (int)code & ((1 << fraction_bits) - 1);
    const int exponent = (int)(code >> fraction_bits) & ((1 << exponent_bits) - 1);
    const double value = exponent == 0
                             ? ldexp(fraction, 1 - bias - fraction_bits)
                             : ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
    return code >> (exponent_bits + fraction_bits) ? -value : value;
}

static void codes_are_what_their_fields_say(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 256; k++) {
        const uint8_t code = (uint8_t)k;
        float value;
        codes_to_f32(&value, &code, CODES_E4M3, 0, 1, 1.0F);
        if ((k & 0x7f) == 0x7f)
            assert_true(value != value);
        else
            assert_true((double)value == by_fields(k, 4, 3));
        codes_to_f32(&value, &code, CODES_E5M2, 0, 1, 1.0F);
        if ((k & 0x7f) > 0x7c)
            assert_true(value != value);
        else if ((k & 0x7f) == 0x7c)
            assert_true(isinf(value));
        else
            assert_true((double)value == by_fields(k, 5, 2));
    }
    for (unsigned k = 0; k < 16; k++) {
        const uint8_t code = (uint8_t)k;
        float value;
        codes_to_f32(&value, &code, CODES_E2M1, 0, 1, 1.0F);
        assert_true((double)value == by_fields(k, 2, 1));
    }
    assert_int_equal(code_bits(CODES_E4M3), 8);
    assert_int_equal(code_bits(CODES_E2M1), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_of_eight_bits_are_those_of_torch),
        cmocka_unit_test(codes_of_four_bits_come_low_half_first),
        cmocka_unit_test(codes_are_what_their_fields_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
