// states.h: hidden states are made again from the nearest ones that are left, and kept no longer than needed.
// ranks: 1 3
#include "io/store/format.h"
#include "pipeline/run/work/states.h"
#include "stages/layer/calibrate.h"
#include "tests/support/small_model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAYERS = 6 };

static void open_model(struct small_model *small)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.layers = LAYERS;
    small_model_open(small, &shape);
}

static bool is_there(const struct small_model *small, enum run_folder folder, const char *stream,
                     size_t layer)
{
    char *path = small_path(small, folder, stream, layer);
    const bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

// Collective. A file that holds no more than its name.
static void put(const struct small_model *small, enum run_folder folder, const char *stream, size_t layer)
{
    char path[PATH_SIZE];
    if (mpi_rank() == 0) {
        run_folder_path(path, small->settings.run, folder);
        (void)mkdir(path, 0777);
        run_subfolder_path(path, small->settings.run, folder, stream);
        (void)mkdir(path, 0777);
        run_layer_path(path, small->settings.run, folder, stream, layer);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

// Collective. Whether the states that enter each layer are there, as a text: "1-3" for layers 0, 2 and not 1.
static void assert_states(const struct small_model *small, const char *stream, const char *expected)
{
    char seen[LAYERS + 1] = "";
    MPI_Barrier(MPI_COMM_WORLD);
    for (size_t l = 0; l < LAYERS; l++)
        seen[l] = is_there(small, RUN_ACTIVATIONS, stream, l) ? (char)('0' + l) : '-';
    assert_string_equal(seen, expected);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void drop(const struct small_model *small, size_t layer)
{
    char *path = small_path(small, RUN_ACTIVATIONS, "dense", layer);
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        assert_int_equal(unlink(path), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    free(path);
}

// ---- making them again -----------------------------------------------------------------------------------

static void states_come_back_with_the_bytes_that_they_had(void **state)
{
    struct small_model small;
    struct error err = {0};
    float *before[LAYERS];

    (void)state;
    open_model(&small);
    small_model_calibrate(&small, false);
    assert_states(&small, "dense", "-12345");
    for (size_t l = 1; l < LAYERS; l++)
        before[l] = small_hidden_states(&small, "dense", l);
    for (size_t l = 1; l < LAYERS; l++)
        drop(&small, l);
    // From the token ids; of what is made on the way the last two stay.
    assert_ok(states_ensure(&small.stage, &small.weights, NULL, 4, &err), err);
    assert_states(&small, "dense", "---34-");
    const size_t values = small.settings.sequences * small.settings.length * small.shape.checkpoint.hidden;
    for (size_t l = 3; l <= 4; l++) {
        float *after = small_hidden_states(&small, "dense", l);
        assert_memory_equal(after, before[l], values * sizeof *after);
        free(after);
    }
    for (size_t l = 1; l < LAYERS; l++)
        free(before[l]);
    small_model_close(&small);
}

// The file no longer says which one it is, as those of earlier versions.
static void forget_name(const char *path)
{
    uint8_t block[STORE_USER_BLOCK];
    struct store_header header;
    struct error err = {0};
    const int fd = open(path, O_RDWR);

    assert_true(read_all(fd, block, sizeof block, 0));
    assert_ok(store_header_decode(&header, block, path, &err), err);
    memset(header.name, 0, sizeof header.name);
    store_header_encode(block, &header);
    assert_true(write_all(fd, block, sizeof block, 0));
    assert_int_equal(close(fd), 0);
}

static void they_are_made_from_the_nearest_that_are_there(void **state)
{
    struct small_model small;
    struct error err = {0};

    (void)state;
    open_model(&small);
    small.settings.keep_activations = true;
    small_model_calibrate(&small, false);
    char *from = small_path(&small, RUN_ACTIVATIONS, "dense", 1),
         *to = small_path(&small, RUN_ACTIVATIONS, "dense", 3);
    float *before = small_hidden_states(&small, "dense", 4);
    const size_t values = small.settings.sequences * small.settings.length * small.shape.checkpoint.hidden;
    drop(&small, 4);
    drop(&small, 3);
    // Layer 3 now has the hidden states of layer 1 as its input: the result tells whether they were read.
    if (mpi_rank() == 0) {
        forget_name(from);
        assert_int_equal(link(from, to), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    assert_ok(states_ensure(&small.stage, &small.weights, NULL, 4, &err), err);
    float *after = small_hidden_states(&small, "dense", 4);
    assert_true(memcmp(after, before, values * sizeof *after) != 0);
    assert_states(&small, "dense", "-12345");
    free(after);
    free(before);
    free(from);
    free(to);
    small_model_close(&small);
}

static void the_first_layer_needs_none(void **state)
{
    struct small_model small;
    struct error err = {0};

    (void)state;
    open_model(&small);
    assert_ok(states_ensure(&small.stage, &small.weights, NULL, 0, &err), err);
    assert_states(&small, "dense", "------");
    small_model_close(&small);
}

// ---- letting go of them ----------------------------------------------------------------------------------

static void put_all_states(const struct small_model *small, const char *stream)
{
    for (size_t l = 1; l < LAYERS; l++)
        put(small, RUN_ACTIVATIONS, stream, l);
}

static void all_but_the_last_two_go(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    put_all_states(&small, "dense");
    states_trim(&small.stage, NULL, 2); // what enters layer 0 is no file
    assert_states(&small, "dense", "-12345");
    states_trim(&small.stage, NULL, 3);
    assert_states(&small, "dense", "--2345");
    states_trim(&small.stage, NULL, 5);
    assert_states(&small, "dense", "--2-45");
    small.settings.keep_activations = true;
    states_trim(&small.stage, NULL, 4);
    assert_states(&small, "dense", "--2-45");
    small_model_close(&small);
}

static void states_that_variants_read_stay(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    struct variant *matched = small_model_add(&small, "matched", METHOD_WANDA);
    matched->output = MATCHING_MIXED;
    put_all_states(&small, "dense");
    put_all_states(&small, "matched");
    states_trim(&small.stage, NULL, 4);
    assert_states(&small, "dense", "-12345");
    states_trim(&small.stage, matched, 4); // its own stream is read by nobody else
    assert_states(&small, "matched", "-1-345");
    small_model_close(&small);
}

static void states_made_for_a_repair_go_and_the_ends_of_the_stream_stay(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    put_all_states(&small, "dense");
    states_trim_passed(&small.stage, NULL, 2); // 3 and 4 were made from them: 1 and 2 are done with
    assert_states(&small, "dense", "---345");
    states_trim_passed(&small.stage, NULL, 4); // nobody has made layer 6's states: 4 stays
    assert_states(&small, "dense", "----45");
    small_model_close(&small);
}

// A loss of power may bring back what was removed, in the streams of the dense model and of variants alike.
static void what_comes_back_goes_at_the_end(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    small.settings.propagation = PROPAGATION_PRUNED;
    small_model_add(&small, "solved", METHOD_SPARSEGPT);
    put_all_states(&small, "dense");
    put_all_states(&small, "solved");
    for (size_t l = 1; l < 3; l++)
        put(&small, RUN_HESSIANS, "solved", l);
    put(&small, RUN_MASKS, "solved", 1);
    states_sweep(&small.stage);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_states(&small, "dense", "----45");
    assert_states(&small, "solved", "----45");
    assert_false(is_there(&small, RUN_HESSIANS, "solved", 1));
    assert_true(is_there(&small, RUN_HESSIANS, "solved", 2)); // still to be read
    small_model_close(&small);
}

static void what_the_job_keeps_stays_at_the_end(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    small.settings.keep_activations = true;
    put_all_states(&small, "dense");
    states_sweep(&small.stage);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_states(&small, "dense", "-12345");
    small_model_close(&small);
}

static void a_hessian_goes_when_every_mask_that_needs_it_is_there(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    struct variant *first = small_model_add(&small, "first", METHOD_SPARSEGPT);
    small_model_add(&small, "second", METHOD_SPARSEGPT);
    struct variant *other = small_model_add(&small, "other", METHOD_WANDA);
    put(&small, RUN_HESSIANS, "dense", 1);
    put(&small, RUN_MASKS, "first", 1);
    states_trim_hessian(&small.stage, first, 1);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_true(is_there(&small, RUN_HESSIANS, "dense", 1));
    put(&small, RUN_MASKS, "second", 1);
    states_trim_hessian(&small.stage, other, 1); // not one that read it
    MPI_Barrier(MPI_COMM_WORLD);
    assert_true(is_there(&small, RUN_HESSIANS, "dense", 1));
    MPI_Barrier(MPI_COMM_WORLD);
    states_trim_hessian(&small.stage, first, 1);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_false(is_there(&small, RUN_HESSIANS, "dense", 1));
    small_model_close(&small);
}

static void the_dense_stream_goes_when_the_last_reader_is_done(void **state)
{
    struct small_model small;

    (void)state;
    open_model(&small);
    small_model_add(&small, "matched", METHOD_WANDA)->output = MATCHING_MIXED;
    small_model_add(&small, "plain", METHOD_WANDA); // reads no states
    small.settings.keep_weights = true;
    put_all_states(&small, "dense");
    for (size_t l = 0; l < LAYERS; l++) {
        states_drop_dense(&small.stage);
        assert_states(&small, "dense", "-12345");
        put(&small, RUN_WEIGHTS, "matched", l);
    }
    small.settings.keep_activations = true;
    states_drop_dense(&small.stage);
    assert_states(&small, "dense", "-12345");
    small.settings.keep_activations = false;
    states_drop_dense(&small.stage);
    assert_states(&small, "dense", "----45");
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(states_come_back_with_the_bytes_that_they_had),
        mpi_unit_test(they_are_made_from_the_nearest_that_are_there),
        mpi_unit_test(the_first_layer_needs_none),
        mpi_unit_test(all_but_the_last_two_go),
        mpi_unit_test(states_that_variants_read_stay),
        mpi_unit_test(states_made_for_a_repair_go_and_the_ends_of_the_stream_stay),
        mpi_unit_test(what_comes_back_goes_at_the_end),
        mpi_unit_test(what_the_job_keeps_stays_at_the_end),
        mpi_unit_test(a_hessian_goes_when_every_mask_that_needs_it_is_there),
        mpi_unit_test(the_dense_stream_goes_when_the_last_reader_is_done),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
