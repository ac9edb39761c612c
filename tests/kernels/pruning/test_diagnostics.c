// Singular subspaces, their overlap, and commutators, against a one-sided Jacobi SVD and plain loops.
#include "kernels/pruning/diagnostics.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Everything is in double; vectors differ by rounding over the gap between neighbouring singular values,
// which is above 1e-3 of the largest for the matrices here.
static const double tolerance = 1e-9;

// One-sided Jacobi (Hestenes): rotates columns until all are orthogonal; u[i] are then the left singular
// vectors times the singular values, sorted. An algorithm unlike the one under test. a[rows, columns], u as
// rows: u[columns][rows].
static double *jacobi(const float *a, size_t rows, size_t columns)
{
    double *u = calloc(rows * columns, sizeof *u);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            u[j * rows + i] = (double)a[i * columns + j];
    for (int sweep = 0; sweep < 60; sweep++)
        for (size_t p = 0; p + 1 < columns; p++)
            for (size_t q = p + 1; q < columns; q++) {
                double alpha = 0, beta = 0, gamma = 0;
                for (size_t i = 0; i < rows; i++) {
                    alpha += u[p * rows + i] * u[p * rows + i];
                    beta += u[q * rows + i] * u[q * rows + i];
                    gamma += u[p * rows + i] * u[q * rows + i];
                }
                if (fabs(gamma) < 1e-300)
                    continue;
                const double zeta = (beta - alpha) / (2 * gamma);
                const double t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
                const double c = 1 / sqrt(1 + t * t), s = c * t;
                for (size_t i = 0; i < rows; i++) {
                    const double x = u[p * rows + i], y = u[q * rows + i];
                    u[p * rows + i] = c * x - s * y;
                    u[q * rows + i] = s * x + c * y;
                }
            }
    return u;
}

static double length_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

// Of the k longest rows of u[count][n]: |projection of x| for a unit vector x.
static double projected(const double *u, size_t count, size_t n, size_t k, const double *x)
{
    bool *taken = calloc(count, sizeof *taken);
    double sum = 0;
    for (size_t i = 0; i < k; i++) {
        size_t best = count;
        for (size_t j = 0; j < count; j++)
            if (!taken[j] && (best == count || length_of(u + j * n, n) > length_of(u + best * n, n)))
                best = j;
        double dot = 0;
        for (size_t c = 0; c < n; c++)
            dot += u[best * n + c] * x[c];
        dot /= length_of(u + best * n, n);
        sum += dot * dot;
        taken[best] = true;
    }
    free(taken);
    return sqrt(sum);
}

static float *transposed(const float *a, size_t rows, size_t columns)
{
    float *t = calloc(rows * columns, sizeof *t);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            t[j * rows + i] = a[i * columns + j];
    return t;
}

static void check_basis(const float *a, size_t rows, size_t columns, enum singular_side side, size_t k)
{
    const struct matrix_view view = {a, rows, columns, columns};
    const size_t n = side == SINGULAR_LEFT ? rows : columns, other = side == SINGULAR_LEFT ? columns : rows;
    float *t = transposed(a, rows, columns);
    double *oracle = side == SINGULAR_LEFT ? jacobi(a, rows, columns) : jacobi(t, columns, rows);
    double *basis = calloc(k * n, sizeof *basis);
    struct error err = {0};
    size_t found;

    assert_ok(singular_basis(basis, &found, &view, side, k, &err), err);
    assert_int_equal(found, k);
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++) {
            double dot = 0;
            for (size_t c = 0; c < n; c++)
                dot += basis[i * n + c] * basis[j * n + c];
            assert_true(fabs(dot - (i == j)) < tolerance);
        }
        // Each lies in the span of the oracle's first i + 1: the right ones, in the right order.
        assert_true(fabs(projected(oracle, other, n, i + 1, basis + i * n) - 1) < tolerance);
    }
    free(t);
    free(oracle);
    free(basis);
}

static void leading_singular_vectors_are_those_of_another_algorithm(void **state)
{
    static const size_t shapes[][2] = {{1, 1}, {5, 5}, {7, 12}, {12, 7}, {3, 300}, {300, 3}, {20, 129}};
    struct random_state random = random_seed(1);
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t rows = shapes[s][0], columns = shapes[s][1], least = rows < columns ? rows : columns;
        float *a = calloc(rows * columns, sizeof *a);
        random_fill(&random, a, rows * columns, 1);
        check_basis(a, rows, columns, SINGULAR_LEFT, (least + 1) / 2);
        check_basis(a, rows, columns, SINGULAR_RIGHT, (least + 1) / 2);
        check_basis(a, rows, columns, SINGULAR_RIGHT, least);
        free(a);
    }
}

static void a_block_of_a_matrix_is_a_matrix(void **state)
{
    struct random_state random = random_seed(2);
    float whole[10 * 20], part[4 * 6];
    double from_block[3 * 6], from_copy[3 * 6];
    const struct matrix_view block = {whole + 2 * 20 + 5, 4, 6, 20}, copy = {part, 4, 6, 6};
    struct error err = {0};
    size_t found;
    (void)state;
    random_fill(&random, whole, 200, 1);
    for (size_t i = 0; i < 4; i++)
        memcpy(part + i * 6, whole + (2 + i) * 20 + 5, 6 * sizeof *part);
    assert_ok(singular_basis(from_block, &found, &block, SINGULAR_RIGHT, 3, &err), err);
    assert_ok(singular_basis(from_copy, &found, &copy, SINGULAR_RIGHT, 3, &err), err);
    assert_memory_equal(from_block, from_copy, sizeof from_copy);
}

static void directions_without_weight_are_not_counted(void **state)
{
    float a[6 * 8] = {0}; // rank 2: rows 1 and 4
    double basis[5 * 8];
    const struct matrix_view view = {a, 6, 8, 8};
    struct error err = {0};
    size_t found;
    (void)state;
    assert_ok(singular_basis(basis, &found, &view, SINGULAR_RIGHT, 5, &err), err);
    assert_int_equal(found, 0);
    for (size_t j = 0; j < 8; j++) {
        a[1 * 8 + j] = (float)j + 1;
        a[4 * 8 + j] = j % 2 == 0 ? 1.0F : -2.0F;
    }
    assert_ok(singular_basis(basis, &found, &view, SINGULAR_RIGHT, 5, &err), err);
    assert_int_equal(found, 2);
    assert_ok(singular_basis(basis, &found, &view, SINGULAR_LEFT, 5, &err), err);
    assert_int_equal(found, 2);
}

static void overlap_is_the_mean_squared_cosine_of_the_angles(void **state)
{
    const double c = cos(0.3), s = sin(0.3);
    const double a[] = {1, 0, 0, 0, /**/ 0, 1, 0, 0}, b[] = {c, 0, s, 0, /**/ 0, 0, 0, 1};
    (void)state;
    assert_true(subspace_overlap(a, 2, a, 2, 4) == 1);
    assert_true(fabs(subspace_overlap(a, 2, b, 2, 4) - c * c / 2) < 1e-15); // one rounding each
    assert_true(fabs(subspace_overlap(a, 2, b, 1, 4) - c * c) < 1e-15);     // a line in its plane
    assert_true(subspace_overlap(a, 1, b + 4, 1, 4) == 0);
    assert_true(subspace_overlap(a, 0, b, 2, 4) == 0);
}

static void commutators_are_those_of_plain_loops(void **state)
{
    enum { N = 9 };
    struct random_state random = random_seed(3);
    float x[N * N], y[N * N];
    double difference = 0, norm_x = 0, norm_y = 0, magnitude;
    const struct matrix_view a = {x, N, N, N}, b = {y, N, N, N};
    struct error err = {0};
    (void)state;
    random_fill(&random, x, N * N, 1);
    random_fill(&random, y, N * N, 1);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            double sum = 0;
            for (size_t k = 0; k < N; k++)
                sum +=
                    (double)x[i * N + k] * (double)y[k * N + j] - (double)y[i * N + k] * (double)x[k * N + j];
            difference += sum * sum;
            norm_x += (double)x[i * N + j] * (double)x[i * N + j];
            norm_y += (double)y[i * N + j] * (double)y[i * N + j];
        }
    assert_ok(commutator_magnitude(&magnitude, &a, &b, &err), err);
    assert_true(fabs(magnitude - sqrt(difference / norm_x / norm_y)) < tolerance);
}

static void known_commutators(void **state)
{
    // [[0,1],[0,0]] and its transpose reach the bound of sqrt 2; a matrix commutes with itself.
    const float up[] = {0, 1, 0, 0}, down[] = {0, 0, 1, 0}, zero[4] = {0};
    const struct matrix_view a = {up, 2, 2, 2}, b = {down, 2, 2, 2}, z = {zero, 2, 2, 2};
    double magnitude;
    struct error err = {0};
    (void)state;
    assert_ok(commutator_magnitude(&magnitude, &a, &b, &err), err);
    assert_true(fabs(magnitude - sqrt(2)) < 1e-15);
    assert_ok(commutator_magnitude(&magnitude, &a, &a, &err), err);
    assert_true(magnitude == 0);
    assert_ok(commutator_magnitude(&magnitude, &a, &z, &err), err);
    assert_true(magnitude == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leading_singular_vectors_are_those_of_another_algorithm),
        cmocka_unit_test(a_block_of_a_matrix_is_a_matrix),
        cmocka_unit_test(directions_without_weight_are_not_counted),
        cmocka_unit_test(overlap_is_the_mean_squared_cosine_of_the_angles),
        cmocka_unit_test(commutators_are_those_of_plain_loops),
        cmocka_unit_test(known_commutators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
