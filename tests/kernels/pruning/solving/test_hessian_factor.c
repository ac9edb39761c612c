// The factor in tiles: U H U^T is the unit matrix, with U upper triangular and positive on its diagonal,
// which no other matrix is; in whatever order the tiles are done.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/gemm.h"
#include "kernels/pruning/solving/hessian_factor.h"
#include "kernels/threads.h"
#include "tests/support/definite_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Its upper triangle; NaN below the diagonal, where nothing may be read.
static double *upper_triangle(const double *matrix, size_t in)
{
    double *upper = aligned_memory(in * in * sizeof *upper);

    for (size_t i = 0; i < in; i++)
        for (size_t j = 0; j < in; j++)
            upper[i * in + j] = j < i ? NAN : matrix[i * in + j];
    return upper;
}

static void check_factor(const double *u, const double *h, size_t in)
{
    const size_t step = 1 + in / 40;
    double *product = aligned_memory(in * sizeof *product);

    for (size_t i = 0; i < in; i += step) {
        assert_true(u[i * in + i] > 0);
        memset(product, 0, in * sizeof *product);
        for (size_t k = i; k < in; k++)
            for (size_t j = 0; j < in; j++)
                product[j] += u[i * in + k] * h[k * in + j];
        for (size_t j = 0; j < in; j += step) {
            double sum = 0;
            for (size_t k = j; k < in; k++)
                sum += product[k] * u[j * in + k];
            assert_true(fabs(sum - (i == j)) < 1e-11);
        }
    }
    free(product);
}

static void u_times_h_times_u_transposed_is_the_unit_matrix(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, 2, 97, MATRIX_TILE - 1, MATRIX_TILE, MATRIX_TILE + 1, 2 * MATRIX_TILE, 3 * MATRIX_TILE + 30};
    double *workspace = aligned_memory(TILE_WORKSPACE * sizeof *workspace);

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        double *h = definite_matrix(sizes[s]), *u = upper_triangle(h, sizes[s]);
        assert_true(hessian_factor_alone(u, sizes[s], workspace));
        check_factor(u, h, sizes[s]);
        free(h);
        free(u);
    }
    free(workspace);
}

static void the_order_of_the_tiles_and_the_threads_do_not_change_the_bits(void **state)
{
    (void)state;
    enum { IN = 2 * MATRIX_TILE + 77, TILES = 3 };
    double *h = definite_matrix(IN), *one = upper_triangle(h, IN), *two = upper_triangle(h, IN);
    double *workspace = aligned_memory(TILE_WORKSPACE * sizeof *workspace);
    const size_t threads = threads_count();

    assert_int_equal(matrix_tiles(IN), TILES);
    threads_set(1);
    assert_true(hessian_factor_alone(one, IN, workspace));
    threads_set(2);
    const size_t set = threads_count();
    for (size_t k = TILES; k-- > 0;) {
        hessian_factor_pivot(two, IN, k, workspace);
        for (size_t j = TILES; j-- > 0;)
            if (j != k)
                hessian_factor_across(two, IN, k, j, workspace);
        for (size_t i = k; i-- > 0;)
            hessian_factor_down(two, IN, k, i, workspace);
    }
    assert_int_equal(threads_count(), set); // left as it was
    threads_set(threads);
    for (size_t i = 0; i < IN; i++)
        assert_memory_equal(one + i * IN + i, two + i * IN + i, (IN - i) * sizeof(double));
    free(h);
    free(one);
    free(two);
    free(workspace);
}

// The matrix stops being positive definite, or finite, at each of some places; and where it is singular.
static void what_is_not_positive_definite_is_told_apart(void **state)
{
    (void)state;
    enum { IN = MATRIX_TILE + 40 };
    static const size_t places[] = {0, 100, MATRIX_TILE, IN - 1};
    static const double values[] = {-1, 0, NAN, INFINITY};
    double *workspace = aligned_memory(TILE_WORKSPACE * sizeof *workspace);
    double indefinite[4] = {1, 2, 0, 1}, singular[4] = {1, 1, 0, 1};

    for (size_t p = 0; p < 4; p++)
        for (size_t v = 0; v < 4; v++) {
            double *h = definite_matrix(IN);
            h[places[p] * (IN + 1)] = values[v];
            assert_false(hessian_factor_alone(h, IN, workspace));
            free(h);
        }
    assert_false(hessian_factor_alone(indefinite, 2, workspace));
    assert_false(hessian_factor_alone(singular, 2, workspace));
    free(workspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u_times_h_times_u_transposed_is_the_unit_matrix),
        cmocka_unit_test(the_order_of_the_tiles_and_the_threads_do_not_change_the_bits),
        cmocka_unit_test(what_is_not_positive_definite_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
