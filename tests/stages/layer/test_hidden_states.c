// Hidden states: every rank reads back what was written, and files of the wrong shape are refused.
// ranks: 1 3
#include "stages/layer/calibrate.h"
#include "stages/layer/hidden_states.h"
#include "stages/prune/prune.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <stdlib.h>
#include <string.h>

static void the_first_layer_gets_the_rows_of_the_embedding(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t values = shape.length * shape.checkpoint.hidden;
    struct small_model small;
    struct hidden_states states;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    float *expected = small_hidden_states(&small, "dense", 0);
    float *found = calloc(values, sizeof *found);
    assert_non_null(found);
    assert_ok(hidden_states_open(&states, &small.stage, "dense", 0, &err), err);
    for (size_t s = 0; s < shape.sequences; s++) {
        assert_ok(hidden_states_read(&states, &small.stage, s, found, &err), err);
        assert_memory_equal(found, expected + s * values, values * sizeof *found);
    }
    hidden_states_close(&states);
    free(found);
    free(expected);
    small_model_close(&small);
}

// Sequence s is filled with s + 1/2, s + 1/2 + 1/64, ...
static float value_of(size_t sequence, size_t k)
{
    return (float)sequence + 0.5F + (float)k / 64;
}

static void write_stream(const struct small_model *small, size_t layer)
{
    const size_t values = small->settings.length * small->shape.checkpoint.hidden;
    const size_t sequences = small->settings.sequences;
    float *buffer = calloc(values, sizeof *buffer);
    struct store_writer *writer;
    struct error err = {0};

    assert_non_null(buffer);
    assert_ok(hidden_states_create(&writer, &small->stage, "other", layer, &err), err);
    for (size_t wave = 0; wave < sequences; wave += (size_t)small->team.size) {
        const size_t s = wave + (size_t)small->team.rank;
        for (size_t k = 0; k < values; k++)
            buffer[k] = value_of(s, k);
        assert_ok(hidden_states_write(writer, s < sequences ? s : 0, s < sequences, buffer, &err), err);
    }
    assert_ok(store_commit(writer, &err), err);
    free(buffer);
}

static void every_rank_reads_every_sequence_that_the_ranks_wrote(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t values = shape.length * shape.checkpoint.hidden;
    struct small_model small;
    struct hidden_states states;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    write_stream(&small, 1);
    float *found = calloc(values, sizeof *found);
    assert_non_null(found);
    assert_ok(hidden_states_open(&states, &small.stage, "other", 1, &err), err);
    for (size_t s = 0; s < shape.sequences; s++) {
        assert_ok(hidden_states_read(&states, &small.stage, s, found, &err), err);
        for (size_t k = 0; k < values; k++)
            assert_true(found[k] == value_of(s, k));
    }
    hidden_states_close(&states);
    free(found);
    small_model_close(&small);
}

static void states_of_another_shape_are_damaged(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct hidden_states states;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    write_stream(&small, 1);
    small.settings.length++;
    assert_int_equal(hidden_states_open(&states, &small.stage, "other", 1, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "does not have the job's shape [5, 13, 20]");
    err = (struct error){0};
    assert_int_equal(hidden_states_open(&states, &small.stage, "other", 0, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "/tokens does not have the job's shape [5, 13]");
    small.settings.length--;
    small_model_close(&small);
}

// The naive layer with the variant's mask over its linears.
static void prune_naively(struct naive_layer *layer, const struct small_model *small,
                          const struct variant *variant, size_t index)
{
    for (size_t i = 0; i < layer->num_linears; i++) {
        struct naive_linear *linear = &layer->linears[i];
        uint8_t *mask = small_mask(small, variant, index, linear->name);
        for (size_t k = 0; k < linear->out * linear->in; k++)
            linear->weight[k] *= mask[k];
        free(mask);
    }
}

static void propagation_goes_through_the_pruned_layer(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t values = shape.length * shape.checkpoint.hidden;
    struct small_model small;
    struct naive_pass pass;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    assert_ok(prune_layer(&small.stage, &small.weights, &variant, 1, 0, &err), err);
    assert_ok(propagate_layer(&small.stage, &small.weights, "half", 0, variant, &err), err);

    naive_pass_run(&pass, &small, "half", 0);
    prune_naively(&pass.layer, &small, variant, 0);
    naive_pass_again(&pass, &small, "half", 0);
    float *found = small_hidden_states(&small, "half", 1);
    for (size_t s = 0; s < shape.sequences; s++)
        for (size_t k = 0; k < values; k++) // rounding: see test_calibrate.c
            assert_close((double)found[s * values + k], pass.traces[s].hidden[k], 1.2e-5);
    free(found);
    naive_pass_free(&pass);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(the_first_layer_gets_the_rows_of_the_embedding),
        mpi_unit_test(every_rank_reads_every_sequence_that_the_ranks_wrote),
        mpi_unit_test(states_of_another_shape_are_damaged),
        mpi_unit_test(propagation_goes_through_the_pruned_layer),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
