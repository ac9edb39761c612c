// Which kernels of BLIS are taken, and that each of them computes products.
#include "kernels/blas_kernel.h"
#include "kernels/gemm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// A process can use one set of kernels only: each is tried in a child. Returns the child's exit code.
static int in_child(int (*work)(const char *), const char *name)
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(work(name));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

// 0: as it should be.
static int computes_products(const char *name)
{
    enum { M = 37, N = 53, K = 300 }; // no multiple of a kernel's block; more than one block of k
    static float a[M * K], b[N * K], c[M * N];
    static double wide_a[M * K], wide_b[K * N], wide_c[M * N];

    if (blas_kernel_set(name, NULL) != STATUS_OK || strcmp(blas_kernel_name(), name) != 0)
        return 2;
    for (size_t i = 0; i < M * K; i++)
        wide_a[i] = a[i] = sinf((float)i);
    for (size_t j = 0; j < N; j++)
        for (size_t k = 0; k < K; k++)
            wide_b[k * N + j] = b[j * K + k] = cosf((float)(7 * j + k));
    gemm_nt(c, N, a, K, b, K, M, N, K, 1.0F);
    gemm_subtract_f64(wide_c, N, wide_a, K, wide_b, N, M, N, K);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            double sum = 0, size = 0;
            for (size_t k = 0; k < K; k++) {
                sum += wide_a[i * K + k] * wide_b[k * N + j];
                size += fabs(wide_a[i * K + k] * wide_b[k * N + j]);
            }
            // K roundings of at most half a unit each, of partial sums below `size`.
            if (fabs((double)c[i * N + j] - sum) > K * 0x1p-24 * size)
                return 3;
            if (fabs(wide_c[i * N + j] + sum) > K * 0x1p-53 * size)
                return 4;
        }
    return 0;
}

static void every_kernel_that_fits_computes_products(void **state)
{
    (void)state;
    for (size_t i = 0; blas_kernel_known(i) != NULL; i++)
        if (blas_kernel_fits(blas_kernel_known(i))) {
            print_message("%s\n", blas_kernel_known(i));
            assert_int_equal(in_child(computes_products, blas_kernel_known(i)), 0);
        }
}

static int measures(const char *name)
{
    struct blas_kernel_rate rate;
    if ((name != NULL && blas_kernel_set(name, NULL) != STATUS_OK) ||
        blas_kernel_measure(&rate, NULL) != STATUS_OK)
        return 2;
    // Slower than any processor of this century, and faster than any core.
    return rate.f32 > 1e7 && rate.f32 < 1e13 && rate.f64 > 1e7 && rate.f64 < 1e13 ? 0 : 3;
}

static void a_kernel_is_measured(void **state)
{
    (void)state;
    assert_int_equal(in_child(measures, blas_kernel_known(0) != NULL ? BLAS_KERNEL_PORTABLE : NULL), 0);
}

static void the_gain_is_the_mean_of_both_precisions(void **state)
{
    const struct blas_kernel_rate own = {10, 5}, rival = {40, 5};
    (void)state;
    assert_float_equal(blas_kernel_gain(&rival, &own), 2, 1e-12);
    assert_float_equal(blas_kernel_gain(&own, &own), 1, 1e-12);
}

static void rivals_are_wider_and_fit(void **state)
{
    const char *names[8];
    size_t expected = (blas_kernel_fits("skx") ? 1U : 0U) + (blas_kernel_fits("haswell") ? 1U : 0U);
    (void)state;

    assert_int_equal(blas_kernel_rivals(names, 8, BLAS_KERNEL_PORTABLE), expected);
    for (size_t i = 0; i < expected; i++)
        assert_true(blas_kernel_fits(names[i]));
    if (expected == 2) {
        assert_string_equal(names[0], "skx");
        assert_string_equal(names[1], "haswell");
    }
    // Of two of the same width neither is a rival of the other: nothing is measured for a few per cent.
    expected = blas_kernel_fits("skx") ? 1U : 0U;
    assert_int_equal(blas_kernel_rivals(names, 8, "zen3"), expected);
    assert_int_equal(blas_kernel_rivals(names, 8, "haswell"), expected);
    assert_int_equal(blas_kernel_rivals(names, 8, "skx"), 0);
    assert_int_equal(blas_kernel_rivals(names, 0, BLAS_KERNEL_PORTABLE), 0);
}

static void unknown_names_are_refused_with_those_that_fit(void **state)
{
    struct error err = {0};
    (void)state;
    assert_int_equal(blas_kernel_set("cray1", &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "'cray1'"));
    if (blas_kernel_known(0) != NULL)
        assert_non_null(strstr(err.message, BLAS_KERNEL_PORTABLE));
    assert_false(blas_kernel_fits("cray1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_that_fits_computes_products),
        cmocka_unit_test(a_kernel_is_measured),
        cmocka_unit_test(the_gain_is_the_mean_of_both_precisions),
        cmocka_unit_test(rivals_are_wider_and_fit),
        cmocka_unit_test(unknown_names_are_refused_with_those_that_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
