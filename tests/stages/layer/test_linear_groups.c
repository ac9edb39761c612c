// Which linears of a layer are decided together, and which rows of them a rank of a node writes.
#include "stages/layer/linear_groups.h"
#include "tests/support/mpi_test.h"

#include <string.h>

enum { TENSORS = 10 };

// Two sources, whose linears the map does not sort; a norm, which is no linear; then three experts of one
// source each, of 8 rows and 12 columns: 16 bytes of mask; then a linear of a shared expert, which sees all
// tokens.
static void fill(struct layer_tensor tensors[TENSORS])
{
    const char *const names[TENSORS] = {"norm",    "q",     "gate",  "k",     "up",
                                        "skipped", "e.0.w", "e.1.w", "e.2.w", "shared"};
    const size_t sources[TENSORS] = {0, 0, 1, 0, 1, 0, 2, 3, 4, 5};

    memset(tensors, 0, TENSORS * sizeof *tensors);
    for (size_t i = 0; i < TENSORS; i++) {
        if (i > 0)
            strcpy(tensors[i].linear, names[i]);
        tensors[i].source = sources[i];
        tensors[i].expert = i > 5 && i < 9;
        tensors[i].out = 8;
        tensors[i].in = 12;
    }
}

static size_t collect(const struct layer_tensor **linears, struct layer_tensor tensors[TENSORS])
{
    struct skip skip[] = {{(char *)"skipped", 0}};
    const struct settings settings = {.skip = skip, .num_skip = 1};
    const struct layer_map map = {.tensors = tensors, .num_tensors = TENSORS, .num_sources = 6};
    return linears_by_source(linears, &settings, &map);
}

static void linears_come_source_by_source_in_the_order_of_the_map(void **state)
{
    const char *const expected[] = {"q", "k", "gate", "up", "e.0.w", "e.1.w", "e.2.w", "shared"};
    const struct layer_tensor *linears[TENSORS];
    struct layer_tensor tensors[TENSORS];
    (void)state;

    fill(tensors);
    assert_int_equal(collect(linears, tensors), 8);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(linears[i]->linear, expected[i]);
}

static void linears_of_one_source_go_together_whatever_their_size(void **state)
{
    const struct layer_tensor *linears[TENSORS];
    struct layer_tensor tensors[TENSORS];
    (void)state;

    fill(tensors);
    collect(linears, tensors);
    assert_int_equal(linears_together(linears, 8, 1, 0), 2);
    assert_int_equal(linears_together(linears + 2, 6, 1, 0), 2);
    assert_int_equal(linears_together(linears + 3, 5, 1, 1000), 1); // the next ones are experts
    assert_int_equal(linears_together(linears, 1, 1, 1000), 1);
}

static void as_many_experts_go_together_as_have_room_for_their_masks(void **state)
{
    const struct layer_tensor *linears[TENSORS];
    struct layer_tensor tensors[TENSORS];
    (void)state;

    fill(tensors);
    collect(linears, tensors);
    assert_int_equal(linears_together(linears + 4, 4, 1, 48), 3);
    assert_int_equal(linears_together(linears + 4, 4, 1, 47), 2);
    assert_int_equal(linears_together(linears + 4, 4, 15, 2 * 15 * 16), 2);
    assert_int_equal(linears_together(linears + 4, 4, 15, 0), 1);   // at least one
    assert_int_equal(linears_together(linears + 4, 4, 1, 1000), 3); // the next one is no expert
}

static void the_ranks_of_a_node_share_the_rows(void **state)
{
    float block[100 + 8 * 12];
    const struct layer_tensor tensor = {.offset = 100, .out = 8, .in = 12};
    size_t next = 0;
    (void)state;

    for (int rank = 0; rank < 3; rank++) {
        // The second of two nodes: the rank in the team does not matter.
        const struct team team = {.rank = 3 + rank, .size = 6, .node_rank = rank, .node_size = 3};
        const struct node_rows rows = node_rows_of(block, &team, &tensor);
        assert_int_equal(rows.first, next);
        assert_ptr_equal(rows.values, block + 100 + rows.first * 12);
        assert_int_equal(rows.width, 12);
        assert_in_range(rows.count, 2, 3);
        next += rows.count;
    }
    assert_int_equal(next, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linears_come_source_by_source_in_the_order_of_the_map),
        cmocka_unit_test(linears_of_one_source_go_together_whatever_their_size),
        cmocka_unit_test(as_many_experts_go_together_as_have_room_for_their_masks),
        cmocka_unit_test(the_ranks_of_a_node_share_the_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
