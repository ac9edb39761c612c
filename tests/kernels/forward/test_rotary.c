// Rotary embedding against the formula in double.
#include "kernels/forward/rotary.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TOKENS = 33, HEADS = 3, HEAD_DIM = 12 };

static void fill_table(float *cosine, float *sine, size_t rotary_dim)
{
    float frequencies[HEAD_DIM / 2];
    for (size_t i = 0; i < rotary_dim / 2; i++)
        frequencies[i] = (float)pow(10000.0, -2.0 * (double)i / (double)rotary_dim);
    rotary_angles(cosine, sine, frequencies, rotary_dim / 2, TOKENS, 1.0F);
}

static void check(size_t rotary_dim, bool interleaved)
{
    float cosine[TOKENS * HEAD_DIM / 2], sine[TOKENS * HEAD_DIM / 2];
    float *x = uniform_floats((size_t)TOKENS * HEADS * HEAD_DIM, 1.0F, 1);
    float *expected = uniform_floats((size_t)TOKENS * HEADS * HEAD_DIM, 1.0F, 1);
    fill_table(cosine, sine, rotary_dim);
    (interleaved ? naive_rotary_interleaved : naive_rotary)(expected, TOKENS, HEADS, HEAD_DIM, rotary_dim,
                                                            10000.0);
    (interleaved ? rotary_forward_interleaved : rotary_forward)(
        &(struct heads){x, TOKENS, (size_t)HEADS * HEAD_DIM, HEADS, HEAD_DIM}, rotary_dim, cosine, sine);
    // Angles up to 32 are float32 numbers, so they are off by up to 32 * 2^-24.
    assert_true(largest_difference(x, expected, (size_t)TOKENS * HEADS * HEAD_DIM) < 5e-6);
    free(x);
    free(expected);
}

static void whole_heads(void **state)
{
    (void)state;
    check(HEAD_DIM, false);
}

static void the_first_channels_alone(void **state)
{
    (void)state;
    check(4, false);
}

static void pairs_of_neighbours(void **state)
{
    (void)state;
    check(HEAD_DIM, true);
    check(6, true);
}

static void strides_leave_neighbours_alone(void **state)
{
    (void)state;
    const float cosine[2] = {1, 0}, sine[2] = {0, 1}; // a quarter turn at position 1
    float x[2][5] = {{1, 2, 9, 9, 9}, {1, 2, 9, 3, 4}};
    const float expected[2][5] = {{1, 2, 9, 9, 9}, {-2, 1, 9, -4, 3}};
    rotary_forward(&(struct heads){&x[0][0], 2, 5, 2, 3}, 2, cosine, sine);
    assert_memory_equal(x, expected, sizeof x);
}

// Position 4000 times a frequency near 1 is rounded by up to 2^-13 in float32: an angle in double would be
// seen.
static void angles_are_float32_products_of_position_and_frequency(void **state)
{
    (void)state;
    enum { POSITIONS = 4001, PAIRS = 3 };
    const float frequencies[PAIRS] = {0.9731F, 0.1F, 1.0F / 3.0F};
    const double scales[] = {1.0, 1.25};
    float *cosine = uniform_floats((size_t)POSITIONS * PAIRS, 1.0F, 1);
    float *sine = uniform_floats((size_t)POSITIONS * PAIRS, 1.0F, 2);

    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        rotary_angles(cosine, sine, frequencies, PAIRS, POSITIONS, (float)scales[s]);
        for (size_t t = 0; t < POSITIONS; t++)
            for (size_t i = 0; i < PAIRS; i++) {
                // The product of two float32 is exact in double: this rounds once.
                const double angle = (double)(float)((double)t * (double)frequencies[i]);
                assert_close((double)cosine[t * PAIRS + i], scales[s] * cos(angle), 2 * 0x1p-24 * scales[s]);
                assert_close((double)sine[t * PAIRS + i], scales[s] * sin(angle), 2 * 0x1p-24 * scales[s]);
            }
    }
    free(cosine);
    free(sine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_heads),
        cmocka_unit_test(the_first_channels_alone),
        cmocka_unit_test(pairs_of_neighbours),
        cmocka_unit_test(strides_leave_neighbours_alone),
        cmocka_unit_test(angles_are_float32_products_of_position_and_frequency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
