// The inverse in tiles: multiplied with the matrix it is the unit matrix, in whatever order the tiles are
// done.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/gemm.h"
#include "kernels/pruning/solving/inverse.h"
#include "kernels/threads.h"
#include "tests/support/definite_matrix.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void the_product_with_the_matrix_is_the_unit_matrix(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        1, 2, 97, MATRIX_TILE - 1, MATRIX_TILE, MATRIX_TILE + 1, 3 * MATRIX_TILE + 30};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t in = sizes[s];
        double *matrix = definite_matrix(in), *inverse = aligned_memory(in * in * sizeof *inverse);
        double *workspace = aligned_memory(TILE_WORKSPACE * sizeof *workspace);

        memcpy(inverse, matrix, in * in * sizeof *inverse);
        assert_true(inverse_alone(inverse, in, workspace));
        for (size_t i = 0; i < in; i += 1 + in / 50)
            for (size_t j = 0; j < in; j += 1 + in / 50) {
                double sum = 0;
                for (size_t k = 0; k < in; k++)
                    sum += matrix[i * in + k] * inverse[j * in + k]; // symmetric
                assert_true(fabs(sum - (i == j)) < 1e-11);
            }
        for (size_t i = 0; i < in; i++)
            for (size_t j = 0; j < i; j++)
                assert_true(inverse[i * in + j] == inverse[j * in + i]);
        free(matrix);
        free(inverse);
        free(workspace);
    }
}

static void the_order_of_the_tiles_and_the_threads_do_not_change_the_bits(void **state)
{
    (void)state;
    enum { IN = 2 * MATRIX_TILE + 77, TILES = 3 };
    double *one = definite_matrix(IN), *two = aligned_memory(sizeof(double) * IN * IN);
    double *workspace = aligned_memory(TILE_WORKSPACE * sizeof *workspace);
    const size_t threads = threads_count();

    assert_int_equal(matrix_tiles(IN), TILES);
    memcpy(two, one, sizeof(double) * IN * IN);
    assert_true(inverse_alone(one, IN, workspace));
    threads_set(2);
    const size_t set = threads_count();
    for (size_t k = 0; k < TILES; k++) {
        inverse_pivot(two, IN, k, workspace);
        for (size_t j = TILES; j-- > 0;)
            if (j != k)
                inverse_across(two, IN, k, j, workspace);
        for (size_t i = TILES; i-- > 0;)
            inverse_down(two, IN, k, i, workspace);
    }
    for (size_t i = TILES; i-- > 0;)
        inverse_mirror(two, IN, i);
    assert_int_equal(threads_count(), set); // left as it was
    threads_set(threads);
    assert_memory_equal(one, two, sizeof(double) * IN * IN);
    free(one);
    free(two);
    free(workspace);
}

// The matrix stops being positive definite, or finite, at each of some places.
static void what_is_not_positive_definite_is_told_apart(void **state)
{
    (void)state;
    enum { IN = MATRIX_TILE + 40 };
    static const size_t places[] = {0, 100, MATRIX_TILE, IN - 1};
    static const double values[] = {-1, 0, NAN, INFINITY};
    double *workspace = aligned_memory(TILE_WORKSPACE * sizeof *workspace);

    for (size_t p = 0; p < 4; p++)
        for (size_t v = 0; v < 4; v++) {
            double *matrix = definite_matrix(IN);
            matrix[places[p] * (IN + 1)] = values[v];
            assert_false(inverse_alone(matrix, IN, workspace));
            free(matrix);
        }
    free(workspace);
}

static void narrow_rows_stay_in_their_places(void **state)
{
    (void)state;
    enum { IN = 21 };
    double matrix[IN * IN];
    struct random_state random = random_seed(1);
    float expected[IN * IN];

    for (size_t k = 0; k < (size_t)IN * IN; k++) {
        matrix[k] = random_normal(&random);
        expected[k] = (float)matrix[k];
    }
    const double after = matrix[6 * IN];
    inverse_narrow(matrix, IN, 4, 2);
    for (size_t i = 4; i < 6; i++)
        assert_memory_equal((float *)matrix + 2 * IN * i, expected + i * IN, IN * sizeof(float));
    assert_true(matrix[6 * IN] == after && (float)matrix[3 * IN + IN - 1] == expected[3 * IN + IN - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_product_with_the_matrix_is_the_unit_matrix),
        cmocka_unit_test(the_order_of_the_tiles_and_the_threads_do_not_change_the_bits),
        cmocka_unit_test(what_is_not_positive_definite_is_told_apart),
        cmocka_unit_test(narrow_rows_stay_in_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
