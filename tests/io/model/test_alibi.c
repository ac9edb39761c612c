// The biases of ALiBi, against slopes as the papers and the reference state them.
#include "io/model/alibi.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOKENS = 1500 };
static float bias[12 * TOKENS];

static void assert_slopes(size_t heads, const double *exponents)
{
    alibi_biases(bias, ALIBI_PLAIN, heads, TOKENS, 0.5F);
    for (size_t h = 0; h < heads; h++)
        for (size_t t = 0; t < TOKENS; t++) {
            const double expected = exp2(-exponents[h]) * (double)t;
            assert_true(fabs((double)bias[h * TOKENS + t] - expected) <= 2e-6 * expected);
        }
}

static void slopes_of_a_power_of_two_are_a_geometric_sequence(void **state)
{
    static const double four[] = {2, 4, 6, 8}, one[] = {8};
    (void)state;
    assert_slopes(4, four);
    assert_slopes(1, one);
}

static void other_numbers_of_heads_take_slopes_from_the_next_power(void **state)
{
    static const double twelve[] = {1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5};
    static const double six[] = {2, 4, 6, 8, 1, 3};
    (void)state;
    assert_slopes(12, twelve);
    assert_slopes(6, six);
}

// Eight bits of a bfloat16: slope 2^-0.5 is 0.70703125, and its products have gaps of 4 from 512 on.
static void falcon_rounds_slopes_and_products_to_bfloat16_and_scales_them(void **state)
{
    (void)state;
    alibi_biases(bias, ALIBI_FALCON, 12, TOKENS, 0.125F);
    const float *head = bias + (size_t)8 * TOKENS;
    assert_true(head[1] == 0.125F * 0.70703125F);
    assert_true(head[1000] == 0.125F * 708.0F); // 707.03125
    assert_true(head[1001] == 0.125F * 708.0F); // 707.73828125
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slopes_of_a_power_of_two_are_a_geometric_sequence),
        cmocka_unit_test(other_numbers_of_heads_take_slopes_from_the_next_power),
        cmocka_unit_test(falcon_rounds_slopes_and_products_to_bfloat16_and_scales_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
