// Which alignments of a layer are measured, and by all ranks the same. The numbers themselves:
// tests/kernels/pruning/test_diagnostics.c.
// ranks: 1 3
#include "kernels/pruning/diagnostics.h"
#include "stages/diagnose.h"
#include "tests/support/naive.h"
#include "tests/support/small_model.h"

#include <stdlib.h>
#include <string.h>

static json_t *diagnose(struct small_model *small)
{
    json_t *result;
    struct error err = {0};
    assert_ok(diagnose_layer(&result, &small->stage, &small->weights, NULL, 1, &err), err);
    return result;
}

static struct matrix_view view_of(const struct small_matrix *matrix)
{
    return (struct matrix_view){matrix->values, matrix->out, matrix->in, matrix->in};
}

static void linears_that_meet_are_compared(void **state)
{
    // One head for each query head's key, so that v and o meet.
    static const char *const pairs[] = {"v-o", "o-gate", "o-up", "gate-down", "up-down"};
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.kv_heads = 2;
    small_model_open(&small, &shape);
    json_t *result = diagnose(&small);
    const json_t *adjacent = json_object_get(result, "adjacent");
    assert_int_equal(json_integer_value(json_object_get(result, "layer")), 1);
    assert_int_equal(json_array_size(adjacent), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *row = json_array_get(adjacent, i);
        char pair[32];
        snprintf(pair, sizeof pair, "%s-%s", json_string_value(json_object_get(row, "from")),
                 json_string_value(json_object_get(row, "to")));
        assert_string_equal(pair, pairs[i]);
        assert_int_equal(json_integer_value(json_object_get(row, "k")), 5); // a quarter of 20
        const double overlap = json_real_value(json_object_get(row, "overlap"));
        assert_true(overlap > 0 && overlap < 1);
    }
    const json_t *heads = json_object_get(result, "heads");
    assert_int_equal(json_array_size(json_object_get(heads, "query_key")), 2);
    assert_int_equal(json_array_size(json_object_get(heads, "value_output")), 2);
    assert_int_equal(json_array_size(json_object_get(result, "commutators")), 6); // of q, k, v, o
    json_decref(result);
    small_model_close(&small);
}

static void a_commutator_is_that_of_the_checkpoints_weights(void **state)
{
    const struct small_model_shape shape = small_model_shape(); // k and v are not square: q and o alone
    struct small_model small;
    double expected;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    json_t *result = diagnose(&small);
    const struct small_matrix q = small_dense_weight(&small, 1, "self_attn.q_proj");
    const struct small_matrix o = small_dense_weight(&small, 1, "self_attn.o_proj");
    const struct matrix_view a = view_of(&q), b = view_of(&o);
    assert_ok(commutator_magnitude(&expected, &a, &b, &err), err);
    assert_int_equal(json_array_size(json_object_get(result, "commutators")), 1);
    const json_t *row = json_array_get(json_object_get(result, "commutators"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "a")), "q");
    assert_string_equal(json_string_value(json_object_get(row, "b")), "o");
    assert_true(json_real_value(json_object_get(row, "magnitude")) == expected);
    free(q.values);
    free(o.values);
    json_decref(result);
    small_model_close(&small);
}

static void one_rank_and_all_find_the_same_numbers(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    small_model_open(&small, &shape);
    small_model_open_alone(&alone, &small);
    json_t *together = diagnose(&small), *by_one = diagnose(&alone);
    assert_true(json_equal(together, by_one));
    json_decref(together);
    json_decref(by_one);
    small_model_close(&alone);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(linears_that_meet_are_compared),
        mpi_unit_test(a_commutator_is_that_of_the_checkpoints_weights),
        mpi_unit_test(one_rank_and_all_find_the_same_numbers),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
