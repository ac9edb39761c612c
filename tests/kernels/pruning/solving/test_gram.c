// Products of input channels in tiles, against loops in double.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/solving/gram.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Three tiles on a side, the last one narrow.
enum { IN = 2 * GRAM_TILE + 17, CALLS = 2, MOST_TOKENS = 23 };
static const size_t tokens_of[CALLS] = {MOST_TOKENS, 5};

struct case_data {
    float *left, *right; // [CALLS][MOST_TOKENS, IN]
    double *matrix, *sum;
    float *product;
};

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static struct case_data new_case(void)
{
    const size_t inputs = (size_t)CALLS * MOST_TOKENS * IN;
    struct random_state random = random_seed(3);
    struct case_data data = {.left = zeros(inputs, sizeof(float)),
                             .right = zeros(inputs, sizeof(float)),
                             .matrix = zeros((size_t)IN * IN, sizeof(double)),
                             .sum = zeros(IN, sizeof(double)),
                             .product = zeros((size_t)GRAM_TILE * GRAM_TILE, sizeof(float))};
    random_fill(&random, data.left, inputs, 1);
    random_fill(&random, data.right, inputs, 1);
    return data;
}

static void free_case(struct case_data *data)
{
    free(data->left);
    free(data->right);
    free(data->matrix);
    free(data->sum);
    free(data->product);
}

static void tiles_cover_the_matrix_once(void **state)
{
    static const size_t widths[] = {1, GRAM_TILE - 1, GRAM_TILE, GRAM_TILE + 1, IN};
    (void)state;

    assert_int_equal(gram_tiles(GRAM_TILE), 1);
    assert_int_equal(gram_tiles(GRAM_TILE + 1), 2);
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        const size_t in = widths[w];
        unsigned char *covered = zeros(in * in, 1);
        for (size_t i = 0; i < gram_tiles(in); i++)
            for (size_t j = 0; j < gram_tiles(in); j++) {
                const struct gram_tile tile = gram_tile_at(in, i, j);
                assert_in_range(tile.rows, 1, GRAM_TILE);
                assert_in_range(tile.columns, 1, GRAM_TILE);
                for (size_t r = 0; r < tile.rows; r++)
                    for (size_t c = 0; c < tile.columns; c++)
                        covered[(tile.row + r) * in + tile.column + c]++;
            }
        for (size_t k = 0; k < in * in; k++)
            assert_int_equal(covered[k], 1);
        free(covered);
    }
}

static void all_tiles_are_the_product_of_both_inputs(void **state)
{
    struct case_data data = new_case();
    (void)state;

    for (size_t call = 0; call < CALLS; call++)
        for (size_t i = 0; i < gram_tiles(IN); i++)
            for (size_t j = 0; j < gram_tiles(IN); j++) {
                const struct gram_tile tile = gram_tile_at(IN, i, j);
                const size_t at = call * MOST_TOKENS * IN;
                gram_add(data.matrix, data.product, data.left + at, data.right + at, tokens_of[call], IN,
                         &tile);
                gram_add(data.matrix, data.product, data.left + at, data.right + at, 0, IN, &tile);
            }
    for (size_t i = 0; i < IN; i++)
        for (size_t j = 0; j < IN; j++) {
            double expected = 0, bound = 0;
            for (size_t call = 0; call < CALLS; call++)
                for (size_t t = 0; t < tokens_of[call]; t++) {
                    const size_t at = (call * MOST_TOKENS + t) * IN;
                    const double term = (double)data.left[at + i] * (double)data.right[at + j];
                    expected += term;
                    bound += MOST_TOKENS * 0x1p-24 * fabs(term); // float32 sums of so many products
                }
            assert_true(fabs(data.matrix[i * IN + j] - expected) <= bound);
        }
    free_case(&data);
}

// 1 + 2^-30 has no place in a float32.
static void calls_are_added_in_double(void **state)
{
    const struct gram_tile tile = gram_tile_at(1, 0, 0);
    const float one = 1, small = 0x1p-15F;
    double matrix = 0;
    float product;
    (void)state;

    gram_add(&matrix, &product, &one, &one, 1, 1, &tile);
    gram_add(&matrix, &product, &small, &small, 1, 1, &tile);
    assert_true(matrix == 1 + 0x1p-30);
}

static void sums_are_those_of_the_tokens_in_double(void **state)
{
    struct case_data data = new_case();
    (void)state;

    for (size_t call = 0; call < CALLS; call++)
        for (size_t i = 0; i < gram_tiles(IN); i++) {
            const struct gram_tile tile = gram_tile_at(IN, i, i);
            gram_add_sums(data.sum + tile.column, data.left + call * MOST_TOKENS * IN, tokens_of[call], IN,
                          &tile);
        }
    for (size_t j = 0; j < IN; j++) {
        double expected = 0;
        for (size_t call = 0; call < CALLS; call++) {
            double sequence = 0;
            for (size_t t = 0; t < tokens_of[call]; t++)
                sequence += (double)data.left[(call * MOST_TOKENS + t) * IN + j];
            expected += sequence;
        }
        assert_true(data.sum[j] == expected);
    }
    free_case(&data);
}

static void what_is_above_the_diagonal_is_mirrored_below(void **state)
{
    struct case_data data = new_case();
    (void)state;

    for (size_t i = 0; i < IN; i++)
        for (size_t j = 0; j < IN; j++)
            data.matrix[i * IN + j] = j >= i ? (double)(i * IN + j) : -1;
    for (size_t i = 0; i < gram_tiles(IN); i++)
        for (size_t j = i; j < gram_tiles(IN); j++) {
            const struct gram_tile tile = gram_tile_at(IN, i, j);
            gram_mirror(data.matrix, IN, &tile);
        }
    for (size_t i = 0; i < IN; i++)
        for (size_t j = 0; j < IN; j++)
            assert_true(data.matrix[i * IN + j] == (double)(j >= i ? i * IN + j : j * IN + i));
    free_case(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_cover_the_matrix_once),
        cmocka_unit_test(all_tiles_are_the_product_of_both_inputs),
        cmocka_unit_test(calls_are_added_in_double),
        cmocka_unit_test(sums_are_those_of_the_tokens_in_double),
        cmocka_unit_test(what_is_above_the_diagonal_is_mirrored_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
