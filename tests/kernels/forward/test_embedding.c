// Token and position embeddings.
#include "kernels/forward/embedding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const float table[3][2] = {{1, 2}, {-0.5F, 4}, {8, 0.25F}};
static const int32_t ids[4] = {2, 0, 2, 1};

static void rows_in_every_dtype_and_alignment(void **state)
{
    const float expected[4][2] = {{8, 0.25F}, {1, 2}, {8, 0.25F}, {-0.5F, 4}};
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        unsigned char stored[sizeof table + 1];
        float hidden[4][2];
        dtype_from_f32(stored + 1, &table[0][0], (enum dtype)dtype, 6); // files do not align their tensors
        const struct embedding embedding = {
            .table = stored + 1, .dtype = (enum dtype)dtype, .hidden_size = 2, .scale = 1.0F};
        embedding_forward(&hidden[0][0], &embedding, ids, 4);
        assert_memory_equal(hidden, expected, sizeof expected);
    }
}

static void rows_times_a_scale(void **state)
{
    const float expected[4][2] = {{12, 0.375F}, {1.5F, 3}, {12, 0.375F}, {-0.75F, 6}};
    const struct embedding embedding = {.table = table, .hidden_size = 2, .scale = 1.5F};
    float hidden[4][2];
    (void)state;
    embedding_forward(&hidden[0][0], &embedding, ids, 4);
    assert_memory_equal(hidden, expected, sizeof expected);
}

static void learned_positions_are_added_from_their_first_row(void **state)
{
    const float positions[6][2] = {{99, 99}, {99, 99}, {1, 0}, {0, 1}, {2, 0}, {0, 2}};
    const float expected[4][2] = {{9, 0.25F}, {1, 3}, {10, 0.25F}, {-0.5F, 6}};
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        unsigned char stored[sizeof positions + 1];
        float hidden[4][2];
        dtype_from_f32(stored + 1, &positions[0][0], (enum dtype)dtype, 12);
        const struct embedding embedding = {.table = table,
                                            .hidden_size = 2,
                                            .scale = 1.0F,
                                            .positions = stored + 1,
                                            .positions_dtype = (enum dtype)dtype,
                                            .first_position = 2};
        embedding_forward(&hidden[0][0], &embedding, ids, 4);
        assert_memory_equal(hidden, expected, sizeof expected);
    }
}

static void rows_longer_than_a_chunk(void **state)
{
    enum { SIZE = 700 };
    float rows[2][SIZE], positions[2][SIZE], hidden[2][SIZE];
    const int32_t two[2] = {1, 0};
    const struct embedding embedding = {
        .table = rows, .hidden_size = SIZE, .scale = 2.0F, .positions = positions, .first_position = 0};
    (void)state;
    for (int i = 0; i < 2 * SIZE; i++) {
        rows[i / SIZE][i % SIZE] = (float)i;
        positions[i / SIZE][i % SIZE] = (float)(3 * i);
    }
    embedding_forward(&hidden[0][0], &embedding, two, 2);
    for (int i = 0; i < SIZE; i++) {
        assert_true(hidden[0][i] == (float)(2 * (SIZE + i) + 3 * i));
        assert_true(hidden[1][i] == (float)(2 * i + 3 * (SIZE + i)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_every_dtype_and_alignment),
        cmocka_unit_test(rows_times_a_scale),
        cmocka_unit_test(learned_positions_are_added_from_their_first_row),
        cmocka_unit_test(rows_longer_than_a_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
