// Which sources are gathered together: experts' inputs of gate and up, then of down, as far as memory allows.
// ranks: 1
#include "stages/layer/gram.h"
#include "stages/layer/gram_batches.h"
#include "tests/support/small_model.h"

#include <stdlib.h>
#include <string.h>

static void downs_of_experts_come_last(void **state)
{
    static const char *const expected[] = {"self_attn.q_proj",
                                           "self_attn.k_proj",
                                           "self_attn.v_proj",
                                           "self_attn.o_proj",
                                           "block_sparse_moe.experts.0.w1",
                                           "block_sparse_moe.experts.0.w3",
                                           "block_sparse_moe.experts.1.w1",
                                           "block_sparse_moe.experts.1.w3",
                                           "block_sparse_moe.experts.2.w1",
                                           "block_sparse_moe.experts.2.w3",
                                           "block_sparse_moe.experts.0.w2",
                                           "block_sparse_moe.experts.1.w2",
                                           "block_sparse_moe.experts.2.w2"};
    static const size_t batches[] = {3, 1, 6, 3};
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct layer_map map;
    struct error err = {0};
    size_t at = 0;
    (void)state;

    shape.checkpoint.experts = 3;
    small_model_open(&small, &shape);
    assert_ok(layer_map_create(&map, small.model, 0, &err), err);
    const struct layer_tensor **linears = calloc(map.num_tensors, sizeof *linears);
    assert_non_null(linears);
    const size_t count = linears_by_depth(linears, &small.settings, &map);
    assert_int_equal(count, 13);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(linears[i]->linear, expected[i]);

    // All experts fit into the limit; and into half of it half of them
    assert_true(gram_limit(&map) == 1073741824);
    for (size_t b = 0; b < 4; b++) {
        assert_int_equal(gram_batch(linears + at, count - at, &map, gram_limit(&map)), batches[b]);
        at += batches[b];
    }
    const uint64_t one = gram_shared_bytes(36, false); // of down
    assert_true(gram_batches_bytes(linears, count, &map) == 3 * one);
    assert_int_equal(gram_batch(linears + 10, 3, &map, 2 * one), 2);
    assert_int_equal(gram_batch(linears + 10, 3, &map, 2 * one - 1), 1);
    assert_int_equal(gram_batch(linears + 10, 3, &map, 0), 1);
    free(linears);
    layer_map_free(&map);
    small_model_close(&small);
}

// A source that is wider than the limit has room.
static void one_source_always_has_room(void **state)
{
    struct layer_tensor tensors[] = {
        {.linear = "wide", .in = 16384, .out = 1},
        {.linear = "e.0.gate", .source = 1, .in = 8192, .out = 1, .expert = true},
        {.linear = "e.0.down", .source = 2, .in = 4096, .out = 1, .expert = true}};
    const struct layer_map map = {.num_tensors = 3, .tensors = tensors, .num_sources = 3};
    const struct layer_tensor *linears[] = {&tensors[0], &tensors[1], &tensors[2]};
    (void)state;

    assert_true(gram_limit(&map) == gram_shared_bytes(16384, true));
    assert_true(gram_batches_bytes(linears, 3, &map) == gram_shared_bytes(16384, true));
    assert_int_equal(gram_batch(linears + 1, 2, &map, gram_limit(&map)), 1); // down waits for gate
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(downs_of_experts_come_last),
        mpi_unit_test(one_source_always_has_room),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
