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

static void check(size_t rotary_dim)
{
    float cosine[TOKENS * HEAD_DIM / 2], sine[TOKENS * HEAD_DIM / 2];
    float *x = uniform_floats((size_t)TOKENS * HEADS * HEAD_DIM, 1.0F, 1);
    float *expected = uniform_floats((size_t)TOKENS * HEADS * HEAD_DIM, 1.0F, 1);
    fill_table(cosine, sine, rotary_dim);
    naive_rotary(expected, TOKENS, HEADS, HEAD_DIM, rotary_dim, 10000.0);
    rotary_forward(&(struct heads){x, TOKENS, (size_t)HEADS * HEAD_DIM, HEADS, HEAD_DIM}, rotary_dim, cosine,
                   sine);
    // Angles up to 32 are float32 numbers, so they are off by up to 32 * 2^-24.
    assert_true(largest_difference(x, expected, (size_t)TOKENS * HEADS * HEAD_DIM) < 5e-6);
    free(x);
    free(expected);
}

static void whole_heads(void **state)
{
    (void)state;
    check(HEAD_DIM);
}

static void the_first_channels_alone(void **state)
{
    (void)state;
    check(4);
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

static void the_scale_multiplies_cosine_and_sine(void **state)
{
    (void)state;
    const float frequency = 0.5F;
    float cosine[3], sine[3];
    rotary_angles(cosine, sine, &frequency, 1, 3, 2.0F);
    for (int t = 0; t < 3; t++) {
        assert_close((double)cosine[t], 2.0 * cos(0.5 * t), 1e-6);
        assert_close((double)sine[t], 2.0 * sin(0.5 * t), 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_heads),
        cmocka_unit_test(the_first_channels_alone),
        cmocka_unit_test(strides_leave_neighbours_alone),
        cmocka_unit_test(the_scale_multiplies_cosine_and_sine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
