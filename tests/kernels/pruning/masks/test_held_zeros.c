// held_zeros.h: from which share of zeros on a row keeps them, and what that does to scores and masks.
#include "kernels/pruning/masks/held_zeros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { IN = 45, BYTES = 6 }; // the last byte has padding

static void rows_with_many_zeros_keep_them(void **state)
{
    uint8_t held[BYTES], mask[BYTES];
    float row[IN], scores[IN];
    (void)state;

    for (size_t zeros = 0; zeros <= IN; zeros++) {
        const bool holds = zeros * 20 >= IN && zeros > 0;
        for (size_t j = 0; j < IN; j++) {
            row[j] = j < zeros ? (j % 2 == 0 ? 0.0f : -0.0f) : -1e-30f;
            scores[j] = 7;
        }
        memset(held, 0xff, BYTES);
        memset(mask, 0xff, BYTES);
        mask[BYTES - 1] = 0x1f;
        assert_int_equal(held_zeros_find(held, row, IN), holds);
        held_zeros_score(scores, held, IN);
        held_zeros_mask(mask, held, IN);
        for (size_t j = 0; j < IN; j++) {
            const bool is_held = holds && j < zeros;
            assert_int_equal(held[j / 8] >> j % 8 & 1, is_held);
            assert_int_equal(mask[j / 8] >> j % 8 & 1, !is_held);
            assert_true(scores[j] == (is_held ? 0 : 7));
        }
        assert_int_equal(held[BYTES - 1] & 0xe0, 0);
        assert_int_equal(mask[BYTES - 1] & 0xe0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_with_many_zeros_keep_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
