// Hidden states: every rank reads back what was written, and files of the wrong shape are refused.
// ranks: 1 3
#include "stages/layer/calibrate.h"
#include "stages/layer/hidden_states.h"
#include "stages/prune/prune.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    struct hidden_output output;
    struct error err = {0};

    assert_non_null(buffer);
    assert_ok(hidden_states_create(&output, &small->stage, "other", layer, &err), err);
    for (size_t wave = 0; wave < sequences; wave += (size_t)small->team.size) {
        const size_t s = wave + (size_t)small->team.rank;
        for (size_t k = 0; k < values; k++)
            buffer[k] = value_of(s, k);
        assert_ok(hidden_states_write(&output, s < sequences ? s : 0, s < sequences, buffer, &err), err);
    }
    assert_ok(hidden_states_commit(&output, &err), err);
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

// This rank's sequences of the stream are these values.
static void assert_own_sequences(const struct small_model *small, size_t layer)
{
    const size_t values = small->settings.length * small->shape.checkpoint.hidden;
    float *found = calloc(values, sizeof *found);
    struct hidden_states states;
    struct error err = {0};

    assert_non_null(found);
    assert_ok(hidden_states_open(&states, &small->stage, "other", layer, &err), err);
    for (size_t s = (size_t)small->team.rank; s < small->settings.sequences; s += (size_t)small->team.size) {
        assert_ok(hidden_states_read(&states, &small->stage, s, found, &err), err);
        for (size_t k = 0; k < values; k++)
            assert_true(found[k] == value_of(s, k));
    }
    hidden_states_close(&states);
    free(found);
}

static bool is_stored(const struct small_model *small, size_t layer)
{
    char *path = small_path(small, RUN_ACTIVATIONS, "other", layer);
    const bool stored = access(path, F_OK) == 0;
    free(path);
    MPI_Barrier(MPI_COMM_WORLD);
    return stored;
}

static void states_stay_in_memory_between_two_writings(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct carried_states carried = {.count = CARRIED_STREAMS};
    struct small_model small;
    struct hidden_states states;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.stage.carried = &carried;
    small.settings.states_every = 1000000;
    write_stream(&small, 1);
    assert_false(is_stored(&small, 1));
    assert_own_sequences(&small, 1);
    assert_int_not_equal(hidden_states_open(&states, &small.stage, "other", 2, &err), STATUS_OK);
    err = (struct error){0};

    // Those of the next layer take their place, in the store as well when it is time.
    small.settings.states_every = 0;
    write_stream(&small, 2);
    assert_true(is_stored(&small, 2));
    assert_null(carried_find(&carried, "other", 1));
    assert_non_null(carried_find(&carried, "other", 2));
    assert_own_sequences(&small, 2);
    carried_free(&carried);
    small.stage.carried = NULL;
    assert_own_sequences(&small, 2); // from the store
    small_model_close(&small);
}

static void what_others_read_always_goes_to_the_store(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct carried_states carried = {.stores_dense = true, .count = CARRIED_STREAMS};
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small.stage.carried = &carried;
    small.settings.states_every = 1000000;
    small_model_calibrate(&small, false);
    char *path = small_path(&small, RUN_ACTIVATIONS, "dense", 1);
    assert_int_equal(access(path, F_OK), 0);
    free(path);
    write_stream(&small, 1);
    assert_false(is_stored(&small, 1));
    small.settings.keep_activations = true;
    write_stream(&small, 2);
    assert_true(is_stored(&small, 2));
    carried_free(&carried);
    small_model_close(&small);
}

static void what_is_in_memory_alone_can_be_written(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct carried_states carried = {.count = CARRIED_STREAMS};
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.stage.carried = &carried;
    small.settings.states_every = 1000000;
    write_stream(&small, 1);
    assert_ok(hidden_states_store(&small.stage, &err), err);
    carried_free(&carried);
    small.stage.carried = NULL;
    assert_own_sequences(&small, 1);
    assert_ok(hidden_states_store(&small.stage, &err), err); // nothing
    small_model_close(&small);
}

// A layer that is given up in the middle leaves neither the old states nor the new ones.
static void states_that_were_half_overwritten_are_gone(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct carried_states carried = {.count = CARRIED_STREAMS};
    struct small_model small;
    struct hidden_output output;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.stage.carried = &carried;
    small.settings.states_every = 1000000;
    write_stream(&small, 1);
    assert_ok(hidden_states_create(&output, &small.stage, "other", 2, &err), err);
    hidden_states_abandon(&output);
    assert_null(carried_find(&carried, "other", 1));
    assert_null(carried_find(&carried, "other", 2));
    carried_free(&carried);
    small_model_close(&small);
}

static void a_third_stream_takes_the_place_of_the_one_longest_out_of_use(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct carried_states carried = {.count = CARRIED_STREAMS};
    struct carried_stream *stream;
    struct small_model small;
    struct error err = {0};
    bool due;
    (void)state;

    small_model_open(&small, &shape);
    small.stage.carried = &carried;
    small.settings.states_every = 1000000;
    static const char *const names[] = {"dense", "first", "dense", "second"};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(carried_take(&stream, &due, &small.stage, names[i], &err), err);
        assert_false(due);
        carried_keep(stream, i + 1, false);
    }
    assert_non_null(carried_find(&carried, "dense", 3));
    assert_non_null(carried_find(&carried, "second", 4));
    assert_null(carried_find(&carried, "first", 2));
    assert_null(carried_find(NULL, "dense", 3));
    carried.count = 1; // where a job has one at a time
    assert_ok(carried_take(&stream, &due, &small.stage, "third", &err), err);
    assert_true(stream == &carried.streams[0]);
    carried_free(&carried);
    small_model_close(&small);
}

// The dense model's states of each layer, passed on in memory alone, are those that files pass on.
static void propagation_in_memory_gives_the_same_bits(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct carried_states carried = {.count = CARRIED_STREAMS};
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.layers = 4;
    small_model_open(&small, &shape);
    const size_t values = shape.length * shape.checkpoint.hidden;
    small_model_calibrate(&small, false);
    float *expected = small_hidden_states(&small, "dense", 3);
    small.stage.carried = &carried;
    small.settings.states_every = 1000000;
    for (size_t layer = 0; layer < 3; layer++)
        assert_ok(propagate_layer(&small.stage, &small.weights, "other", layer, NULL, &err), err);
    assert_false(is_stored(&small, 1) || is_stored(&small, 3));
    const struct carried_stream *found = carried_find(&carried, "other", 3);
    assert_non_null(found);
    for (size_t s = (size_t)small.team.rank; s < shape.sequences; s += (size_t)small.team.size)
        assert_memory_equal(carried_sequence(found, &small.stage, s), expected + s * values,
                            values * sizeof *expected);
    free(expected);
    carried_free(&carried);
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
        mpi_unit_test(states_stay_in_memory_between_two_writings),
        mpi_unit_test(what_others_read_always_goes_to_the_store),
        mpi_unit_test(what_is_in_memory_alone_can_be_written),
        mpi_unit_test(states_that_were_half_overwritten_are_gone),
        mpi_unit_test(a_third_stream_takes_the_place_of_the_one_longest_out_of_use),
        mpi_unit_test(propagation_in_memory_gives_the_same_bits),
        mpi_unit_test(states_of_another_shape_are_damaged),
        mpi_unit_test(propagation_goes_through_the_pruned_layer),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
