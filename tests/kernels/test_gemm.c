// The products: right for every size and stride, and the same bits for every number of threads and any
// alignment.
#include "kernels/blas.h"
#include "kernels/gemm.h"
#include "kernels/threads.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// |sum of k products| rounds by at most k * 2^-24 * sum |a||b| < k * 2^-24 * k for factors below 1.
static double rounding_bound(size_t k)
{
    return (double)k * (double)k * 0x1p-24 + 1e-7;
}

static void gemm_nt_matches_the_loop(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 7, 16, 33, 65, 130};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    (void)state;
    for (size_t i = 0; i < COUNT * COUNT; i++) {
        const size_t m = sizes[i % COUNT], n = sizes[i / COUNT], k = sizes[(i * 5 + i / COUNT) % COUNT];
        const size_t a_stride = k + i % 3, b_stride = k + i % 2, c_stride = n + i % 5;
        float *a = uniform_floats(m * a_stride, 1.0F, i), *b = uniform_floats(n * b_stride, 1.0F, i + 1000);
        float *c = uniform_floats(m * c_stride, 1.0F, 7), *untouched = uniform_floats(m * c_stride, 1.0F, 7);
        gemm_nt(c, c_stride, a, a_stride, b, b_stride, m, n, k, 0.5F);
        for (size_t r = 0; r < m; r++) {
            for (size_t j = 0; j < c_stride; j++) {
                double expected = j < n ? 0.0 : (double)untouched[r * c_stride + j];
                for (size_t l = 0; l < k && j < n; l++)
                    expected += 0.5 * (double)a[r * a_stride + l] * (double)b[j * b_stride + l];
                assert_close((double)c[r * c_stride + j], expected, rounding_bound(k));
            }
        }
        free(a);
        free(b);
        free(c);
        free(untouched);
    }
}

static void gemm_nn_matches_the_loop(void **state)
{
    (void)state;
    const size_t m = 37, n = 50, k = 129;
    float *a = uniform_floats(m * k, 1.0F, 1), *b = uniform_floats(k * n, 1.0F, 2),
          *c = uniform_floats(m * n, 1.0F, 3);
    gemm_nn(c, n, a, k, b, n, m, n, k);
    for (size_t r = 0; r < m; r++) {
        for (size_t j = 0; j < n; j++) {
            double expected = 0.0;
            for (size_t l = 0; l < k; l++)
                expected += (double)a[r * k + l] * (double)b[l * n + j];
            assert_close((double)c[r * n + j], expected, rounding_bound(k));
        }
    }
    free(a);
    free(b);
    free(c);
}

static void old_contents_of_the_result_do_not_matter(void **state)
{
    (void)state;
    float a[4] = {1, 2, 3, 4}, b[4] = {1, 0, 0, 1}, c[4];
    memset(c, 0xff, sizeof c); // NaN
    gemm_nt(c, 2, a, 2, b, 2, 2, 2, 2, 1.0F);
    assert_memory_equal(c, a, sizeof a);
}

static void bits_do_not_depend_on_threads_or_alignment(void **state)
{
    // Sizes at which BLIS's other path for thin matrices gave other bits with two threads.
    static const size_t sizes[][3] = {
        {344, 7, 256}, {33, 31, 344}, {13, 33, 700}, {257, 129, 31}, {96, 257, 700}};
    (void)state;
    if (!blas_keeps_bits())
        skip();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2], offset = 1 + i;
        float *a = uniform_floats(m * k, 1.0F, i), *b = uniform_floats(n * k, 1.0F, i + 50);
        float *one = uniform_floats(m * n, 1.0F, 1), *other = uniform_floats(m * n + offset, 1.0F, 2);
        float *moved = malloc((n * k + offset) * sizeof *moved);
        assert_non_null(moved);
        memcpy(moved + offset, b, n * k * sizeof *b);
        threads_set(1);
        gemm_nt(one, n, a, k, b, k, m, n, k, 1.0F);
        gemm_nt(other + offset, n, a, k, moved + offset, k, m, n, k, 1.0F);
        assert_memory_equal(one, other + offset, m * n * sizeof *one);
        for (size_t threads = 2; threads <= 3; threads++) {
            threads_set(threads);
            gemm_nt(other, n, a, k, b, k, m, n, k, 1.0F);
            assert_memory_equal(one, other, m * n * sizeof *one);
        }
        threads_set(1);
        free(a);
        free(b);
        free(one);
        free(other);
        free(moved);
    }
}

// All sizes go beyond the blocks in which BLIS takes n and k.
static void a_row_does_not_depend_on_the_rows_beside_it(void **state)
{
    (void)state;
    if (!blas_keeps_bits())
        skip();
    enum { M = 150, N = 701, K = 1100 };
    float *a = uniform_floats(M * K, 1.0F, 1), *b = uniform_floats(K * N, 1.0F, 2);
    float *c = uniform_floats(M * N, 1.0F, 3), *row = uniform_floats(M * N, 1.0F, 3);
    double *wide_a = calloc(M * K, sizeof *wide_a), *wide_b = calloc(K * N, sizeof *wide_b);
    double *wide_c = calloc(M * N, sizeof *wide_c), *wide_row = calloc(M * N, sizeof *wide_row);

    assert_true(wide_a != NULL && wide_b != NULL && wide_c != NULL && wide_row != NULL);
    for (size_t k = 0; k < M * K; k++)
        wide_a[k] = (double)a[k];
    for (size_t k = 0; k < K * N; k++)
        wide_b[k] = (double)b[k];
    gemm_nn(c, N, a, K, b, N, M, N, K);
    gemm_subtract_f64(wide_c, N, wide_a, K, wide_b, N, M, N, K);
    for (size_t step = 1; step < M; step = 3 * step + 2) {
        memset(wide_row, 0, M * N * sizeof *wide_row);
        for (size_t i = 0; i < M; i += step) {
            const size_t count = M - i < step ? M - i : step;
            gemm_nn(row + i * N, N, a + i * K, K, b, N, count, N, K);
            gemm_subtract_f64(wide_row + i * N, N, wide_a + i * K, K, wide_b, N, count, N, K);
        }
        assert_memory_equal(row, c, M * N * sizeof *c);
        assert_memory_equal(wide_row, wide_c, M * N * sizeof *wide_c);
        for (size_t i = 0; i < M; i += step)
            gemm_nt_f64(wide_row + i * N, N, wide_a + i * K, K, wide_b, K, M - i < step ? M - i : step, N, K);
        for (size_t i = 0; i < M * N; i += 97) {
            double expected = 0;
            for (size_t l = 0; l < K; l++)
                expected += wide_a[i / N * K + l] * wide_b[i % N * K + l];
            assert_close(wide_row[i], expected, (double)K * (double)K * 0x1p-53);
        }
    }
    free(a);
    free(b);
    free(c);
    free(row);
    free(wide_a);
    free(wide_b);
    free(wide_c);
    free(wide_row);
}

static void a_linear_adds_its_bias_and_can_be_cut(void **state)
{
    (void)state;
    const size_t tokens = 5, out = 11, in = 9;
    float *x = uniform_floats(tokens * in, 1.0F, 1), *weight = uniform_floats(out * in, 1.0F, 2);
    float *bias = uniform_floats(out, 1.0F, 3), *y = uniform_floats(tokens * out, 1.0F, 4);
    float *expected = uniform_floats(tokens * out, 1.0F, 5);
    const struct linear linear = {.out = out, .in = in, .weight = weight, .bias = bias};

    naive_linear(expected, x, weight, bias, tokens, out, in);
    linear_forward(y, out, &linear, x, tokens);
    assert_true(largest_difference(y, expected, tokens * out) < rounding_bound(in));

    const struct linear slice = linear_slice(&linear, 4, 3);
    float part[5 * 3];
    linear_forward(part, 3, &slice, x, tokens);
    for (size_t t = 0; t < tokens; t++)
        assert_true(largest_difference(part + t * 3, expected + t * out + 4, 3) < rounding_bound(in));
    free(x);
    free(weight);
    free(bias);
    free(y);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_nt_matches_the_loop),
        cmocka_unit_test(gemm_nn_matches_the_loop),
        cmocka_unit_test(old_contents_of_the_result_do_not_matter),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_alignment),
        cmocka_unit_test(a_row_does_not_depend_on_the_rows_beside_it),
        cmocka_unit_test(a_linear_adds_its_bias_and_can_be_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
