// Activations, softmax and the exponential below them.
#include "kernels/forward/activation.h"
#include "kernels/forward/elementary.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double unit_in_last_place(double x)
{
    const int exponent = ilogb(x);
    return ldexp(1.0, (exponent < -126 ? -126 : exponent) - 23);
}

static void exp32_is_within_one_unit(void **state)
{
    double worst = 0.0;
    (void)state;
    for (double x = -105.0; x < 88.7; x += 0.00137) {
        const double exact = exp((double)(float)x);
        const double error = fabs((double)exp32((float)x) - exact) / unit_in_last_place(exact);
        worst = error > worst ? error : worst;
    }
    print_message("exp32: %.3f units in the last place\n", worst);
    assert_true(worst < 1.0);
}

static void exp32_at_the_ends(void **state)
{
    (void)state;
    assert_true(exp32(0.0F) == 1.0F);
    assert_true(exp32(-0.0F) == 1.0F);
    assert_true(exp32(-INFINITY) == 0.0F);
    assert_true(exp32(-104.5F) == 0.0F);
    assert_true(exp32(INFINITY) == INFINITY);
    assert_true(exp32(88.8F) == INFINITY);
    assert_true(exp32(88.7F) < INFINITY);
    assert_true(isnan(exp32(NAN)));
}

static void exp32_below_zero_is_as_good_as_its_argument(void **state)
{
    (void)state;
    for (double x = -87.0; x <= 0.0; x += 0.00137) {
        const double exact = exp((double)(float)x), error = fabs((double)exp32_below_zero((float)x) - exact);
        assert_true(error < unit_in_last_place(exact) + 1.3 * 0x1p-24 * -x * exact);
    }
    assert_true(exp32_below_zero(0.0F) == 1.0F);
    assert_true(exp32_below_zero(-0.0F) == 1.0F);
    assert_true(exp32_below_zero(-89.0F) == 0.0F);
    assert_true(exp32_below_zero(-INFINITY) == 0.0F);
    assert_true(isnan(exp32_below_zero(NAN)));
}

static void xielu_matches_its_formula(void **state)
{
    static const float learned[][2] = {{0.3F, -0.4F}, {-2.0F, 3.0F}, {25.0F, -25.0F}};
    const float beta = 0.5F, epsilon = -1e-6F;
    (void)state;
    for (size_t p = 0; p < sizeof learned / sizeof *learned; p++) {
        const struct xielu xielu = {&learned[p][0], &learned[p][1], &beta, &epsilon};
        for (double x = -30.0; x < 30.0; x += 0.013) {
            float y[3] = {(float)x, (float)(x * 1e-3), (float)(x * 1e-7)}, input[3];
            memcpy(input, y, sizeof y);
            xielu_forward(y, 3, &xielu);
            // The curve below 0 is a difference of numbers like x, each off by a few 2^-24 of it.
            for (size_t i = 0; i < 3; i++)
                assert_close((double)y[i], naive_xielu((double)input[i], &xielu),
                             4e-7 * (fabs((double)y[i]) + 4.0 * fabs((double)input[i])) + 1e-12);
        }
    }
}

static void activations_match_their_formulas(void **state)
{
    (void)state;
    for (int a = ACTIVATION_SILU; a <= ACTIVATION_LINEAR; a++) {
        if (a == ACTIVATION_XIELU || a == ACTIVATION_CLAMPED_SWIGLU) // have parameters
            continue;
        for (double x = -30.0; x < 30.0; x += 0.013) {
            float y = (float)x;
            activation_forward(&y, 1, (enum activation)a);
            const double exact = naive_activation((double)(float)x, (enum activation)a);
            // A few roundings; the argument of the exponential may be off by 30 * 2^-24 before it.
            assert_true(fabs((double)y - exact) <= 4e-6 * fabs(exact) + 1e-12);
        }
    }
}

static void a_gate_multiplies_and_respects_strides(void **state)
{
    (void)state;
    float gate[2][3] = {{1, -1, 7}, {2, 3, 7}};
    const float up[2][2] = {{2, 2}, {-1, 0.5F}}, expected[2][3] = {{2, 0, 7}, {-2, 1.5F, 7}};
    activation_gate(&gate[0][0], 3, &up[0][0], 2, 2, 2, ACTIVATION_RELU);
    assert_memory_equal(gate, expected, sizeof gate);
}

static void softmax_sums_to_one(void **state)
{
    (void)state;
    for (size_t n = 1; n < 600; n += 37) {
        float *x = uniform_floats(n, 20.0F, n), *y = uniform_floats(n, 20.0F, n);
        double sum = 0.0;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)x[i]);
        softmax(y, n);
        for (size_t i = 0; i < n; i++)
            assert_close((double)y[i], exp((double)x[i]) / sum, 5e-7); // two roundings of a number up to 1
        free(x);
        free(y);
    }
}

static void softmax_of_huge_scores_does_not_overflow(void **state)
{
    (void)state;
    float x[3] = {1e30F, -1e30F, 1e30F};
    softmax(x, 3);
    assert_true(x[0] == 0.5F && x[1] == 0.0F && x[2] == 0.5F);
}

static void sums_of_exponentials_are_kept_in_double(void **state)
{
    (void)state;
    float x[1000];
    double exact = 0.0;
    for (int i = 0; i < 1000; i++) {
        x[i] = i == 0 ? 0.0F : -18.0F; // one large term, 999 below half a unit of it
        exact += exp((double)x[i]);
    }
    assert_close(sum_exp(x, 1000, 0.0F), exact, 1e-11); // each term is off by its own rounding alone
}

static void tanh32_is_within_two_units(void **state)
{
    double worst = 0.0;
    (void)state;
    for (double x = -12.0; x < 12.0; x += 0.000137) {
        const double exact = tanh((double)(float)x);
        const double error = fabs((double)tanh32((float)x) - exact) / unit_in_last_place(exact);
        worst = error > worst ? error : worst;
    }
    print_message("tanh32: %.3f units in the last place\n", worst);
    assert_true(worst < 2.0);
    assert_true(tanh32(0.0F) == 0.0F);
    assert_true(tanh32(1e-30F) == 1e-30F);
    assert_true(tanh32(INFINITY) == 1.0F);
    assert_true(tanh32(-INFINITY) == -1.0F);
    assert_true(isnan(tanh32(NAN)));
}

static void a_soft_cap_bends_towards_its_value(void **state)
{
    (void)state;
    float x[4] = {-1000.0F, -3.0F, 0.5F, 40.0F};
    const float before[4] = {-1000.0F, -3.0F, 0.5F, 40.0F};
    soft_cap(x, 4, 30.0F);
    for (int i = 0; i < 4; i++)
        assert_close((double)x[i], 30.0 * tanh((double)before[i] / 30.0), 4e-6); // units of numbers up to 30
}

static void sigmoid_matches_its_formula(void **state)
{
    (void)state;
    for (float x = -100.0F; x < 100.0F; x += 0.37F)
        assert_close((double)sigmoid(x), 1.0 / (1.0 + exp(-(double)x)), 2e-7);
}

// Against the formula in double; cuts on both sides, and a gate that is cut above alone.
static void a_clamped_gate_is_its_formula(void **state)
{
    enum { ROWS = 3, COLUMNS = 37, STRIDE = 40 };
    const struct clamped_swiglu swiglu = {1.3F, 0.8F};
    (void)state;
    float *gate = uniform_floats((size_t)ROWS * STRIDE, 3.0F, 1);
    float *before = uniform_floats((size_t)ROWS * STRIDE, 3.0F, 1);
    float *up = uniform_floats((size_t)ROWS * COLUMNS, 3.0F, 2);
    clamped_swiglu_gate(gate, STRIDE, up, ROWS, COLUMNS, &swiglu);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < STRIDE; i++) {
            const double g = fmin((double)before[r * STRIDE + i], (double)swiglu.limit);
            if (i >= COLUMNS) {
                assert_true(gate[r * STRIDE + i] == before[r * STRIDE + i]);
                continue;
            }
            const double limit = (double)swiglu.limit;
            const double u = fmax(fmin((double)up[r * COLUMNS + i], limit), -limit);
            assert_close((double)gate[r * STRIDE + i], (u + 1) * g / (1 + exp(-(double)swiglu.alpha * g)),
                         2e-6);
        }
    }
    free(gate);
    free(before);
    free(up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp32_is_within_one_unit),
        cmocka_unit_test(exp32_at_the_ends),
        cmocka_unit_test(exp32_below_zero_is_as_good_as_its_argument),
        cmocka_unit_test(xielu_matches_its_formula),
        cmocka_unit_test(activations_match_their_formulas),
        cmocka_unit_test(a_gate_multiplies_and_respects_strides),
        cmocka_unit_test(softmax_sums_to_one),
        cmocka_unit_test(softmax_of_huge_scores_does_not_overflow),
        cmocka_unit_test(sums_of_exponentials_are_kept_in_double),
        cmocka_unit_test(tanh32_is_within_two_units),
        cmocka_unit_test(a_soft_cap_bends_towards_its_value),
        cmocka_unit_test(sigmoid_matches_its_formula),
        cmocka_unit_test(a_clamped_gate_is_its_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
