// The three number formats. The oracle decodes a 16-bit pattern by the definition of its fields, with ldexp;
// rounding is checked at every pair of neighbouring values: at the point half-way between them, and just
// next to it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/dtype.h"
#include "tests/support/random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct format {
    enum dtype dtype;
    int exponent_bits, fraction_bits;
    uint16_t infinity;
};
static const struct format formats[] = {{DTYPE_F16, 5, 10, 0x7c00}, {DTYPE_BF16, 8, 7, 0x7f80}};

static double decode(const struct format *format, uint16_t pattern)
{
    const int bias = (1 << (format->exponent_bits - 1)) - 1;
    const int fraction = pattern & ((1 << format->fraction_bits) - 1);
    const int exponent = pattern >> format->fraction_bits & ((1 << format->exponent_bits) - 1);
    double value;

    if (exponent == (1 << format->exponent_bits) - 1)
        value = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, 1 - bias - format->fraction_bits);
    else
        value = ldexp((1 << format->fraction_bits) + fraction, exponent - bias - format->fraction_bits);
    return pattern & 0x8000 ? -value : value;
}

static uint16_t from_f32(enum dtype dtype, float x)
{
    uint16_t pattern;
    dtype_from_f32(&pattern, &x, dtype, 1);
    return pattern;
}

static uint16_t from_f64(enum dtype dtype, double x)
{
    uint16_t pattern;
    dtype_from_f64(&pattern, &x, dtype, 1);
    return pattern;
}

static float to_f32(enum dtype dtype, uint16_t pattern)
{
    float x;
    dtype_to_f32(&x, &pattern, dtype, 1);
    return x;
}

static void names_and_sizes_are_those_of_safetensors(void **state)
{
    (void)state;
    const struct {
        const char *name;
        enum dtype dtype;
        size_t size;
    } expected[] = {{"F32", DTYPE_F32, 4}, {"F16", DTYPE_F16, 2}, {"BF16", DTYPE_BF16, 2}};

    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(dtype_name(expected[i].dtype), expected[i].name);
        assert_int_equal(dtype_size(expected[i].dtype), expected[i].size);
    }
}

static void every_16_bit_pattern_is_decoded_exactly_and_survives_the_way_there_and_back(void **state)
{
    (void)state;
    uint16_t *patterns = malloc(65536 * sizeof *patterns), *back = malloc(65536 * sizeof *back);
    float *values = malloc(65536 * sizeof *values);

    for (size_t i = 0; i < 65536; i++)
        patterns[i] = (uint16_t)i;
    for (const struct format *format = formats; format < formats + 2; format++) {
        dtype_to_f32(values, patterns, format->dtype, 65536);
        dtype_from_f32(back, values, format->dtype, 65536);
        for (size_t i = 0; i < 65536; i++) {
            const double expected = decode(format, patterns[i]);
            if (isnan(expected)) {
                assert_true(isnan(values[i]));
                assert_true(isnan(decode(format, back[i])));
                assert_true(isnan(decode(format, from_f64(format->dtype, (double)values[i]))));
                continue;
            }
            assert_true((double)values[i] == expected);
            assert_int_equal(signbit(values[i]) != 0, signbit(expected) != 0); // -0 too
            assert_int_equal(back[i], patterns[i]);
            assert_int_equal(from_f64(format->dtype, expected), patterns[i]);
        }
    }
    free(patterns);
    free(back);
    free(values);
}

// Neighbours low and low + 1 in magnitude, with both signs; beyond the largest finite value lies what would
// be the next.
static void values_between_two_neighbours_go_to_the_nearer_and_half_way_to_the_even_one(void **state)
{
    (void)state;

    for (const struct format *format = formats; format < formats + 2; format++)
        for (uint16_t low = 0; low < format->infinity; low++) {
            const uint16_t high = (uint16_t)(low + 1), even = low % 2 == 0 ? low : high;
            const double below = decode(format, low);
            const double above = high == format->infinity ? 2 * below - decode(format, (uint16_t)(low - 1))
                                                          : decode(format, high);
            const double middle = (below + above) / 2; // exact, also as a float32

            for (int sign = 0; sign <= 1; sign++) {
                const uint16_t s = sign ? 0x8000 : 0;
                const double m = sign ? -middle : middle;
                const double up = sign ? -(double)INFINITY : (double)INFINITY;

                assert_int_equal(from_f32(format->dtype, (float)m), even | s);
                assert_int_equal(from_f32(format->dtype, nextafterf((float)m, 0)), low | s);
                assert_int_equal(from_f32(format->dtype, nextafterf((float)m, (float)up)), high | s);
                assert_int_equal(from_f64(format->dtype, m), even | s);
                // These round to m as float32: only a single rounding gets them right.
                assert_int_equal(from_f64(format->dtype, nextafter(m, 0)), low | s);
                assert_int_equal(from_f64(format->dtype, nextafter(m, up)), high | s);
            }
        }
}

static void what_is_too_large_becomes_infinity_and_what_is_too_small_zero(void **state)
{
    (void)state;
    const double large[] = {1e39, 1e300, DBL_MAX, (double)INFINITY};
    const double small[] = {0, 0x1p-1074, 1e-300, 0x1p-150};
    float single;

    for (size_t i = 0; i < 4; i++) {
        for (const struct format *format = formats; format < formats + 2; format++) {
            assert_int_equal(from_f64(format->dtype, large[i]), format->infinity);
            assert_int_equal(from_f64(format->dtype, -large[i]), format->infinity | 0x8000);
            assert_int_equal(from_f64(format->dtype, small[i]), 0);
            assert_int_equal(from_f64(format->dtype, -small[i]), 0x8000);
        }
        dtype_from_f64(&single, &large[i], DTYPE_F32, 1);
        assert_true(isinf(single));
    }
    for (float x = 65520; x < 1e38F; x *= 1.01F) { // beyond half-way to what would be the next half
        assert_int_equal(from_f32(DTYPE_F16, x), 0x7c00);
        assert_int_equal(from_f64(DTYPE_F16, (double)-x), 0xfc00);
    }
    assert_int_equal(from_f32(DTYPE_F16, FLT_MAX), 0x7c00);
    assert_int_equal(from_f32(DTYPE_BF16, FLT_MAX), 0x7f80);
    assert_int_equal(from_f64(DTYPE_BF16, (double)FLT_MAX), 0x7f80);
    // The largest double that is still below the middle between float32's largest value and the next.
    assert_int_equal(from_f64(DTYPE_BF16, nextafter(0x1.fffffffp127, 0)), 0x7f80);
}

static void nan_stays_nan_even_when_only_low_bits_of_its_payload_are_set(void **state)
{
    (void)state;
    const uint32_t patterns[] = {0x7f800001, 0xff800001, 0x7fc00000, 0x7fffffff, 0x7f80ffff, 0xffffffff};

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        float x;
        memcpy(&x, &patterns[i], sizeof x);
        for (const struct format *format = formats; format < formats + 2; format++) {
            assert_true(isnan(decode(format, from_f32(format->dtype, x))));
            assert_true(isnan(decode(format, from_f64(format->dtype, (double)x))));
            assert_true(isnan(to_f32(format->dtype, from_f32(format->dtype, x))));
        }
    }
}

// Random bits of float32, through the whole range: rounding once from double equals rounding the same value
// from float32.
static void a_float32_rounds_the_same_whether_it_comes_as_float32_or_as_double(void **state)
{
    (void)state;
    struct random_state random = random_seed(1);
    enum { N = 20000 };
    static float singles[N];
    static double doubles[N];
    static uint16_t from_singles[N], from_doubles[N];
    float back[N];

    for (size_t i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)random_u64(&random);
        if ((bits & 0x7f800000) == 0x7f800000)
            bits &= 0x7fffff;
        memcpy(&singles[i], &bits, sizeof bits);
        doubles[i] = (double)singles[i];
    }
    for (const struct format *format = formats; format < formats + 2; format++) {
        dtype_from_f32(from_singles, singles, format->dtype, N);
        dtype_from_f64(from_doubles, doubles, format->dtype, N);
        assert_memory_equal(from_singles, from_doubles, sizeof from_singles);
    }
    dtype_from_f64(back, doubles, DTYPE_F32, N);
    assert_memory_equal(back, singles, sizeof singles);
    dtype_from_f32(back, singles, DTYPE_F32, N);
    assert_memory_equal(back, singles, sizeof singles);
    dtype_to_f32(back, singles, DTYPE_F32, N);
    assert_memory_equal(back, singles, sizeof singles);
}

static void any_length_and_any_alignment_give_what_single_values_give(void **state)
{
    (void)state;
    struct random_state random = random_seed(2);
    enum { MOST = 70 };
    float singles[MOST], decoded[MOST + 1];
    double doubles[MOST];
    unsigned char bytes[4 * MOST + 4], expected[4 * MOST];
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};

    random_fill(&random, singles, MOST, 1);
    for (size_t i = 0; i < MOST; i++)
        doubles[i] = (double)singles[i];
    for (size_t d = 0; d < 3; d++) {
        const size_t size = dtype_size(dtypes[d]);
        for (size_t i = 0; i < MOST; i++)
            dtype_from_f32(expected + i * size, &singles[i], dtypes[d], 1);
        for (size_t n = 0; n <= MOST; n++)
            for (size_t shift = 0; shift < 4; shift++) {
                memset(bytes, 0xee, sizeof bytes);
                dtype_from_f32(bytes + shift, singles, dtypes[d], n);
                assert_memory_equal(bytes + shift, expected, n * size);
                assert_int_equal(bytes[shift + n * size], 0xee); // nothing beyond the end
                memset(bytes, 0xee, sizeof bytes);
                dtype_from_f64(bytes + shift, doubles, dtypes[d], n);
                assert_memory_equal(bytes + shift, expected, n * size);
                assert_int_equal(bytes[shift + n * size], 0xee);
                decoded[n] = 42;
                dtype_to_f32(decoded, bytes + shift, dtypes[d], n);
                assert_true(decoded[n] == 42);
                for (size_t i = 0; i < n; i++) {
                    float one;
                    dtype_to_f32(&one, expected + i * size, dtypes[d], 1);
                    assert_true(decoded[i] == one);
                }
            }
    }
}

// Doubles that no float32 is, most of them beside the middle between two values of the format, normal and
// subnormal ones and zeros in turn: an array is rounded like its values one by one.
static void doubles_of_all_sizes_together_are_rounded_as_alone(void **state)
{
    (void)state;
    struct random_state random = random_seed(3);
    enum { N = 3000 };
    static double doubles[N];
    static uint16_t together[N];

    for (size_t i = 0; i < N; i++) {
        const double m = (2 * floor(128 * random_uniform(&random)) + 1) * (i % 2 == 0 ? 1 : -1);
        doubles[i] = nextafter(ldexp(m, i % 61 == 0 ? -134 : -60), i % 3 == 0 ? 0 : 2 * m);
        if (i % 7 == 0)
            doubles[i] = 0;
    }
    for (const struct format *format = formats; format < formats + 2; format++) {
        dtype_from_f64(together, doubles, format->dtype, N);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(together[i], from_f64(format->dtype, doubles[i]));
    }
}

static void the_first_nan_or_infinity_is_found_wherever_it_is(void **state)
{
    (void)state;
    enum { N = 2500 };
    float x[N];
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};

    for (size_t i = 0; i < N; i++)
        x[i] = i % 2 == 0 ? FLT_MAX : -FLT_MIN / 4; // the extremes that are still finite
    assert_int_equal(find_non_finite(x, N), N);
    assert_int_equal(find_non_finite(x, 0), 0);
    for (size_t at = 0; at < N; at += 7) {
        const float good = x[at];
        x[at] = bad[at % 4];
        assert_int_equal(find_non_finite(x, N), at);
        assert_int_equal(find_non_finite(x, at + 1), at);
        assert_int_equal(find_non_finite(x, at), at); // not looked at: it is beyond the end
        x[N - 1] = NAN;
        assert_int_equal(find_non_finite(x, N), at);
        x[N - 1] = FLT_MIN;
        x[at] = good;
    }
}

static void what_overflowed_a_dtype_is_found_in_it(void **state)
{
    (void)state;
    enum { N = 2500 };
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    const double largest[] = {(double)FLT_MAX, 65504, 0x1.fep127}, beyond[] = {1e39, 65520, 0x1.ffp127};
    double x[N];
    unsigned char bytes[4 * N + 1];

    for (size_t d = 0; d < 3; d++) {
        for (size_t i = 0; i < N; i++)
            x[i] = i % 2 == 0 ? largest[d] : -largest[d];
        for (size_t shift = 0; shift < 2; shift++) {
            dtype_from_f64(bytes + shift, x, dtypes[d], N);
            assert_int_equal(dtype_find_non_finite(bytes + shift, dtypes[d], N), N);
            assert_int_equal(dtype_find_non_finite(bytes + shift, dtypes[d], 0), 0);
        }
        for (size_t at = 0; at < N; at += 13) {
            const double good = x[at];
            x[at] = at % 3 == 0 ? beyond[d] : at % 3 == 1 ? -beyond[d] : NAN;
            x[N - 1] = NAN;
            dtype_from_f64(bytes, x, dtypes[d], N);
            assert_int_equal(dtype_find_non_finite(bytes, dtypes[d], N), at);
            assert_int_equal(dtype_find_non_finite(bytes, dtypes[d], at), at); // beyond the end
            x[at] = good;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes_are_those_of_safetensors),
        cmocka_unit_test(every_16_bit_pattern_is_decoded_exactly_and_survives_the_way_there_and_back),
        cmocka_unit_test(values_between_two_neighbours_go_to_the_nearer_and_half_way_to_the_even_one),
        cmocka_unit_test(what_is_too_large_becomes_infinity_and_what_is_too_small_zero),
        cmocka_unit_test(nan_stays_nan_even_when_only_low_bits_of_its_payload_are_set),
        cmocka_unit_test(a_float32_rounds_the_same_whether_it_comes_as_float32_or_as_double),
        cmocka_unit_test(any_length_and_any_alignment_give_what_single_values_give),
        cmocka_unit_test(doubles_of_all_sizes_together_are_rounded_as_alone),
        cmocka_unit_test(the_first_nan_or_infinity_is_found_wherever_it_is),
        cmocka_unit_test(what_overflowed_a_dtype_is_found_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
