// The softmax that takes its numbers block by block, against one in double.
#include "kernels/forward/online_softmax.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NUMBERS = 500, ROOM = 512 };

// Blocks of `size` numbers, a multiple of the lanes; only from ... to - 1 count. Fills shares[NUMBERS].
static struct online_softmax in_blocks(double *shares, const float *numbers, size_t size, size_t from,
                                       size_t to)
{
    struct online_softmax known = {-INFINITY, 0};
    float block[ROOM];

    for (size_t begin = 0; begin < NUMBERS; begin += size) {
        const size_t left = NUMBERS - begin, n = left < size ? left : size;
        const size_t first = from < begin ? 0 : from - begin, end = to < begin ? 0 : to - begin;
        memset(block, 0x7f, sizeof block); // what is beyond n does not matter
        memcpy(block, numbers + begin, n * sizeof *block);
        const float factor = online_softmax_advance(&known, block, n, first, end < n ? end : n);
        for (size_t i = 0; i < begin; i++)
            shares[i] *= (double)factor;
        for (size_t i = 0; i < n; i++)
            shares[begin + i] = (double)block[i];
    }
    return known;
}

static void shares_are_those_of_one_softmax(void **state)
{
    static const size_t ends[][2] = {{0, NUMBERS}, {0, 1}, {7, 100}, {130, 131}, {250, 499}};
    double shares[NUMBERS];
    (void)state;
    for (size_t size = SOFTMAX_LANES; size <= ROOM; size *= 2)
        for (size_t e = 0; e < sizeof ends / sizeof ends[0]; e++) {
            float *x = uniform_floats(NUMBERS, 20.0F, (unsigned)e);
            double max = -HUGE_VAL, sum = 0;
            const struct online_softmax known = in_blocks(shares, x, size, ends[e][0], ends[e][1]);
            for (size_t i = ends[e][0]; i < ends[e][1]; i++)
                max = (double)x[i] > max ? (double)x[i] : max; // fmax here ends GCC 12 for arm64
            for (size_t i = ends[e][0]; i < ends[e][1]; i++)
                sum += exp((double)x[i] - max);
            assert_true((double)known.max == max);
            assert_close(known.sum, sum, 1e-6 * sum);
            for (size_t i = 0; i < NUMBERS; i++)
                if (i < ends[e][0] || i >= ends[e][1])
                    assert_true(shares[i] == 0);
                else
                    assert_close(shares[i], exp((double)x[i] - max), 1e-6);
            free(x);
        }
}

// Leaving out whole lanes before the first number changes no bit, nor does what a row has beyond the last.
static void where_a_row_begins_does_not_matter(void **state)
{
    float *x = uniform_floats(NUMBERS, 5.0F, 3), whole[ROOM], part[ROOM];
    struct online_softmax one = {1.0F, 1.0}, other = {1.0F, 1.0};
    (void)state;
    memcpy(whole, x, NUMBERS * sizeof *x);
    memcpy(part, x + SOFTMAX_LANES, (NUMBERS - SOFTMAX_LANES) * sizeof *x);
    online_softmax_advance(&one, whole, NUMBERS, 45, 300);
    online_softmax_advance(&other, part, 300 - SOFTMAX_LANES, 45 - SOFTMAX_LANES, 300 - SOFTMAX_LANES);
    assert_memory_equal(&one.sum, &other.sum, sizeof one.sum);
    assert_memory_equal(whole + SOFTMAX_LANES, part, (300 - SOFTMAX_LANES) * sizeof *part);
    free(x);
}

static void nothing_seen_changes_nothing(void **state)
{
    float x[SOFTMAX_LANES] = {1, 2, 3};
    struct online_softmax known = {2.0F, 3.0};
    (void)state;
    assert_true(online_softmax_advance(&known, x, 3, 3, 2) == 1.0F);
    assert_true(known.max == 2.0F && known.sum == 3.0 && x[0] == 0 && x[1] == 0 && x[2] == 0);
}

static void huge_numbers_do_not_overflow_and_nan_is_not_hidden(void **state)
{
    float x[SOFTMAX_LANES] = {3e38F, -3e38F, 3e38F}, y[SOFTMAX_LANES] = {1, NAN, 2};
    struct online_softmax known = {-1e38F, 5.0};
    (void)state;
    assert_true(online_softmax_advance(&known, x, 3, 0, 3) == 0.0F);
    assert_true(known.sum == 2.0 && x[0] == 1.0F && x[1] == 0.0F && x[2] == 1.0F);
    known = (struct online_softmax){-INFINITY, 0};
    online_softmax_advance(&known, y, 3, 0, 3);
    assert_true(isnan(known.sum) && isnan(y[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_one_softmax),
        cmocka_unit_test(where_a_row_begins_does_not_matter),
        cmocka_unit_test(nothing_seen_changes_nothing),
        cmocka_unit_test(huge_numbers_do_not_overflow_and_nan_is_not_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
