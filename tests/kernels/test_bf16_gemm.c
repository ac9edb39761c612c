// Products of operands rounded to bfloat16: exact where sums are exact in float32, and otherwise as a plain
// loop over rounded operands; rows on their own; the processor's instructions, where it has them, like the
// emulation.
#include "kernels/bf16_gemm.h"
#include "kernels/dtype.h"
#include "kernels/gemm.h"
#include "kernels/threads.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// To eight significant bits, to nearest, ties to even, by the library's rounding of whole numbers.
static double rounded(float x)
{
    int exponent;
    const double fraction = frexp((double)x, &exponent);
    return ldexp(rint(ldexp(fraction, 8)), exponent - 8);
}

struct matrices {
    size_t m, n, k, a_stride, b_stride, c_stride;
    float *a, *b, *c;
    double *expected; // [m, n]
};

static struct matrices make(size_t m, size_t n, size_t k, float (*element)(float))
{
    struct matrices x = {m, n, k, k + 3, k + 1, n + 2, NULL, NULL, NULL, NULL};

    x.a = uniform_floats(m * x.a_stride, 1.0F, m + k);
    x.b = uniform_floats(n * x.b_stride, 1.0F, n + 2 * k);
    x.c = uniform_floats(m * x.c_stride, 1.0F, 7);
    for (size_t i = 0; i < m * x.a_stride; i++)
        x.a[i] = element(x.a[i]);
    for (size_t i = 0; i < n * x.b_stride; i++)
        x.b[i] = element(x.b[i]);
    x.expected = calloc(m * n, sizeof *x.expected);
    assert_non_null(x.expected);
    double *row = calloc(k, sizeof *row), *columns = calloc(n * k, sizeof *columns);
    assert_true(row != NULL && columns != NULL);
    for (size_t i = 0; i < n * k; i++)
        columns[i] = rounded(x.b[i / k * x.b_stride + i % k]);
    for (size_t r = 0; r < m; r++) {
        for (size_t l = 0; l < k; l++)
            row[l] = rounded(x.a[r * x.a_stride + l]);
        for (size_t j = 0; j < n; j++)
            for (size_t l = 0; l < k; l++)
                x.expected[r * n + j] += row[l] * columns[j * k + l];
    }
    free(row);
    free(columns);
    return x;
}

static void release(struct matrices *x)
{
    free(x->a);
    free(x->b);
    free(x->c);
    free(x->expected);
}

static void multiply(const struct matrices *x, enum compute compute)
{
    gemm_nt_as(compute, x->c, x->c_stride, x->a, x->a_stride, x->b, x->b_stride, x->m, x->n, x->k, 0.5F);
}

// Plus or minus j / 8 for j from 8 to 15, and up to 2^-9 more or less, which rounding takes away. Products
// are multiples of 2^-6 below 4: sums of a few thousand are exact.
static float almost_eighths(float x)
{
    const float whole = floorf(fabsf(x) * 7.99F);
    return copysignf(1 + whole / 8 + (fabsf(x) - 0.5F) * 0x1.fp-9F, x);
}

static float as_it_is(float x)
{
    return x;
}

static bool cannot(enum compute compute)
{
    struct error why = {0};

    if (compute_prepare(compute, &why) == STATUS_OK)
        return false;
    assert_int_equal(compute, COMPUTE_BF16);
    assert_int_equal(why.status, STATUS_USAGE);
    print_message("bfloat16 is not looked at: %s\n", why.message);
    return true;
}

static void exact_sums_are_exact(enum compute compute)
{
    static const size_t sizes[][3] = {{1, 1, 1},    {3, 5, 7},      {128, 128, 256}, {129, 127, 257},
                                      {5, 300, 40}, {530, 131, 65}, {17, 9, 2100},   {2, 3, 4097}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct matrices x = make(sizes[i][0], sizes[i][1], sizes[i][2], almost_eighths);
        float *untouched = uniform_floats(x.m * x.c_stride, 1.0F, 7);
        multiply(&x, compute);
        for (size_t r = 0; r < x.m; r++)
            for (size_t j = 0; j < x.c_stride; j++) {
                const double expected =
                    j < x.n ? 0.5 * x.expected[r * x.n + j] : (double)untouched[r * x.c_stride + j];
                assert_true((double)x.c[r * x.c_stride + j] == expected);
            }
        free(untouched);
        release(&x);
    }
}

// A product is off by at most k roundings of its largest partial sum.
static void other_sums_round_in_float32(enum compute compute)
{
    static const size_t sizes[][3] = {{1, 1, 1}, {9, 20, 64}, {40, 130, 300}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct matrices x = make(sizes[i][0], sizes[i][1], sizes[i][2], as_it_is);
        double largest = 0;
        multiply(&x, compute);
        for (size_t r = 0; r < x.m; r++)
            for (size_t j = 0; j < x.n; j++)
                largest =
                    fmax(largest, fabs((double)x.c[r * x.c_stride + j] - 0.5 * x.expected[r * x.n + j]));
        // Operands that were not rounded, or were cut, would be off by about sqrt(k) * 2^-9 / 3.
        assert_true(largest < (double)x.k * 0x1p-24 * (1 + sqrt((double)x.k)));
        assert_true(x.k < 64 ||
                    (double)x.k * (1 + sqrt((double)x.k)) * 0x1p-24 < sqrt((double)x.k) * 0x1p-11);
        release(&x);
    }
}

static void a_row_is_on_its_own(enum compute compute)
{
    const size_t m = 530, n = 140, k = 2100, parts[][2] = {{0, 1}, {100, 60}, {511, 19}};
    float *a = uniform_floats(m * k, 1.0F, 1), *b = uniform_floats(n * k, 1.0F, 2);
    float *all = uniform_floats(m * n, 1.0F, 3), *some = uniform_floats(m * n, 1.0F, 4);
    const size_t threads = threads_count();

    gemm_nt_as(compute, all, n, a, k, b, k, m, n, k, 1.0F);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t first = parts[i][0], count = parts[i][1];
        gemm_nt_as(compute, some, n, a + first * k, k, b, k, count, n, k, 1.0F);
        assert_memory_equal(some, all + first * n, count * n * sizeof *some);
    }
    // Threads without room of their own are not used; then with.
    threads_set(3);
    for (int i = 0; i < 2; i++) {
        memset(some, 0, m * n * sizeof *some);
        gemm_nt_as(compute, some, n, a, k, b, k, m, n, k, 1.0F);
        assert_memory_equal(some, all, m * n * sizeof *some);
        assert_int_equal(compute_prepare(compute, NULL), STATUS_OK);
    }
    threads_set(threads);
    free(a);
    free(b);
    free(all);
    free(some);
}

static void emulated(void **state)
{
    (void)state;
    assert_false(cannot(COMPUTE_BF16_EMULATED));
    exact_sums_are_exact(COMPUTE_BF16_EMULATED);
    other_sums_round_in_float32(COMPUTE_BF16_EMULATED);
    if (blas_keeps_bits())
        a_row_is_on_its_own(COMPUTE_BF16_EMULATED);
}

static void by_the_processor(void **state)
{
    (void)state;
    if (cannot(COMPUTE_BF16))
        skip();
    char name[BF16_UNIT_NAME_SIZE];
    compute_name(name, sizeof name, COMPUTE_BF16);
    print_message("bfloat16 by %s\n", name);
    exact_sums_are_exact(COMPUTE_BF16);
    other_sums_round_in_float32(COMPUTE_BF16);
    a_row_is_on_its_own(COMPUTE_BF16);
}

// What is not a number stays none, and infinities stay.
static void rounding_is_that_of_the_dtype(void **state)
{
    enum { COUNT = 4096 };
    static float in[COUNT], out[COUNT], expected[COUNT];
    static uint16_t narrow[COUNT];
    (void)state;

    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t bits = i * 2654435761U;
        memcpy(&in[i], &bits, sizeof bits);
    }
    in[0] = INFINITY;
    in[1] = -INFINITY;
    in[2] = NAN;
    in[3] = 3.4e38F; // beyond the largest bfloat16
    dtype_from_f32(narrow, in, DTYPE_BF16, COUNT);
    dtype_to_f32(expected, narrow, DTYPE_BF16, COUNT);
    bf16_round(out, in, COUNT);
    assert_memory_equal(out, expected, sizeof out);
    assert_true(isinf(out[0]) && isinf(out[1]) && isnan(out[2]) && isinf(out[3]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_is_that_of_the_dtype),
        cmocka_unit_test(emulated),
        cmocka_unit_test(by_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
