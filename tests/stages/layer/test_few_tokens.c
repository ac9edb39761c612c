// Experts with too few calibration tokens: where the limits are, and what is said of them.
// ranks: 1 3
#include "stages/layer/few_tokens.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void the_limits_are_128_tokens_and_twice_the_width(void **state)
{
    const struct layer_tensor expert = {.expert = true, .in = 100}, other = {.in = 100};
    (void)state;

    assert_int_equal(few_tokens_of(&expert, 0, false), TOKENS_FOR_NOTHING);
    assert_int_equal(few_tokens_of(&expert, 127, false), TOKENS_FOR_NOTHING);
    assert_int_equal(few_tokens_of(&expert, 128, false), TOKENS_SUFFICE);
    assert_int_equal(few_tokens_of(&expert, 127, true), TOKENS_FOR_NOTHING);
    assert_int_equal(few_tokens_of(&expert, 128, true), TOKENS_FOR_DIAGONAL);
    assert_int_equal(few_tokens_of(&expert, 199, true), TOKENS_FOR_DIAGONAL);
    assert_int_equal(few_tokens_of(&expert, 200, true), TOKENS_SUFFICE);
    assert_int_equal(few_tokens_of(&other, 0, true), TOKENS_SUFFICE);
}

// A model with four experts of hidden size 20 and intermediate size 36, and the map of its first layer.
static void open_experts(struct small_model *small, struct layer_map *map)
{
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};

    shape.checkpoint.experts = 4;
    small_model_open(small, &shape);
    assert_ok(layer_map_create(map, small->model, 0, &err), err);
}

// tokens[source] so that expert e sees of[e].
static void set_tokens(uint64_t *tokens, const struct layer_map *map, const uint64_t of[4])
{
    for (size_t i = 0; i < map->num_tensors; i++) {
        const char *name = strstr(map->tensors[i].linear, "experts.");
        if (map->tensors[i].linear[0] != '\0')
            tokens[map->tensors[i].source] = name != NULL ? of[name[8] - '0'] : 0;
    }
}

static void a_notice_names_the_experts_and_their_tokens(void **state)
{
    const uint64_t seen[4] = {0, 128, 127, 4000};
    uint64_t tokens[16] = {0};
    struct small_model small;
    struct layer_map map;
    (void)state;

    open_experts(&small, &map);
    set_tokens(tokens, &map, seen);
    few_tokens_notice(&small.stage, &map, tokens, false);
    assert_int_equal(small.num_notices, 1);
    assert_non_null(strstr(small.notice, "layers.0: 2 of 4 experts"));
    assert_non_null(strstr(small.notice, "block_sparse_moe.experts.0: 0, block_sparse_moe.experts.2: 127)"));
    layer_map_free(&map);
    small_model_close(&small);
}

static void with_a_hessian_those_below_twice_their_width_are_told_apart(void **state)
{
    // Twice the width of w1 and w3 is 40, of w2 it is 72: an expert is judged by the linear that is worst
    // off.
    const uint64_t seen[4] = {4000, 4000, 4000, 127};
    uint64_t tokens[16] = {0};
    struct small_model small;
    struct layer_map map;
    (void)state;

    open_experts(&small, &map);
    set_tokens(tokens, &map, seen);
    for (size_t i = 0; i < map.num_tensors; i++)
        map.tensors[i].in *= 2; // twice 72 is 144: above the limit of 128
    tokens[map.tensors[map.num_tensors - 4].source] = 143;
    few_tokens_notice(&small.stage, &map, tokens, true);
    assert_int_equal(small.num_notices, 2);
    assert_non_null(strstr(small.notice, "layers.0: 1 of 4 experts"));
    assert_non_null(strstr(small.notice, "experts.2: 143)"));
    layer_map_free(&map);
    small_model_close(&small);
}

static void skipped_experts_are_not_spoken_of(void **state)
{
    const uint64_t seen[4] = {0, 0, 0, 0};
    struct skip skip[] = {{(char *)"*.experts.[012].*", 0}};
    uint64_t tokens[16] = {0};
    struct small_model small;
    struct layer_map map;
    (void)state;

    open_experts(&small, &map);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    set_tokens(tokens, &map, seen);
    few_tokens_notice(&small.stage, &map, tokens, false);
    assert_int_equal(small.num_notices, 1);
    assert_non_null(strstr(small.notice, "layers.0: 1 of 1 experts"));
    layer_map_free(&map);
    small_model_close(&small);
}

// The attributes of the first linear's mask as JSON, {} when it has none; a new reference.
static json_t *written_attributes(const struct small_model *small, const struct layer_tensor *tensor,
                                  uint64_t tokens)
{
    const struct store_shape shape = {.type = STORE_U8, .rank = 2, .dims = {1, 1}};
    const char *path = in_directory("masks.h5");
    struct store_writer *writer;
    struct store_reader *reader;
    struct error err = {0};
    char name[160];
    json_t *row = json_object();

    snprintf(name, sizeof name, "/%s/mask", tensor->linear);
    if (mpi_rank() == 0)
        remove(path);
    assert_ok(store_create(&writer, path, NO_ORIGIN, small->team.comm, &err), err);
    assert_ok(store_declare(writer, name, &shape, &err), err);
    assert_ok(few_tokens_write(writer, tensor, tokens, true, &err), err);
    assert_ok(store_write(writer, name, 0, mpi_rank() == 0, "", &err), err);
    assert_ok(store_commit(writer, &err), err);
    assert_ok(store_open(&reader, path, small->team.comm, &err), err);
    assert_ok(few_tokens_describe(row, reader, tensor->linear, &err), err);
    store_close(reader);
    return row;
}

static void masks_of_experts_say_what_was_done(void **state)
{
    const struct layer_tensor expert = {.linear = "experts.0.w1", .expert = true, .in = 100};
    const struct layer_tensor other = {.linear = "q_proj", .in = 100};
    const struct {
        const struct layer_tensor *tensor;
        uint64_t tokens;
        const char *fallback; // NULL: nothing is said
    } cases[] = {
        {&expert, 5, "weights"}, {&expert, 150, "diagonal"}, {&expert, 200, "none"}, {&other, 5, NULL}};
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *row = written_attributes(&small, cases[i].tensor, cases[i].tokens);
        assert_int_equal(json_object_size(row), cases[i].fallback != NULL ? 2 : 0);
        if (cases[i].fallback != NULL) {
            assert_int_equal(json_integer_value(json_object_get(row, "tokens")), cases[i].tokens);
            assert_string_equal(json_string_value(json_object_get(row, "fallback")), cases[i].fallback);
        }
        json_decref(row);
    }
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(the_limits_are_128_tokens_and_twice_the_width),
        mpi_unit_test(a_notice_names_the_experts_and_their_tokens),
        mpi_unit_test(with_a_hessian_those_below_twice_their_width_are_told_apart),
        mpi_unit_test(skipped_experts_are_not_spoken_of),
        mpi_unit_test(masks_of_experts_say_what_was_done),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
