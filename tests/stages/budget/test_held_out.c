// The text that a budget is judged by: nothing that the calibration has seen, drawn once and always the same.
// ranks: 1 3
#include "stages/budget/held_out.h"
#include "stages/layer/sequences.h"
#include "tests/support/random.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- what has been seen, tried out pair by pair
// -------------------------------------------------------------

static bool have_common_run(const int32_t *a, const int32_t *b, size_t length, size_t run)
{
    for (size_t i = 0; i + run <= length; i++)
        for (size_t j = 0; j + run <= length; j++)
            if (memcmp(a + i, b + j, run * sizeof *a) == 0)
                return true;
    return false;
}

static void check_kept(size_t length, size_t run)
{
    enum { SEEN = 3, CANDIDATES = 40, MOST = 80 };
    int32_t seen[SEEN * MOST], candidates[CANDIDATES * MOST];
    uint8_t kept[CANDIDATES];
    struct random_state random = random_seed(length);
    struct error err = {0};
    size_t count = 0;

    for (size_t i = 0; i < SEEN * length; i++)
        seen[i] = (int32_t)random_below(&random, 50000);
    for (size_t c = 0; c < CANDIDATES; c++) {
        // A run of the seen text, of every length about the limit, at any place.
        const size_t shared = run - 2 + c % 5, from = random_below(&random, length - shared + 1);
        const size_t at = random_below(&random, length - shared + 1), s = random_below(&random, SEEN);
        for (size_t i = 0; i < length; i++)
            candidates[c * length + i] = (int32_t)(50000 + random_below(&random, 50000));
        memcpy(candidates + c * length + at, seen + s * length + from, shared * sizeof *seen);
    }
    assert_ok(held_out_keep(kept, candidates, CANDIDATES, seen, SEEN, length, &err), err);
    for (size_t c = 0; c < CANDIDATES; c++) {
        bool common = false;
        for (size_t s = 0; s < SEEN; s++)
            common = common || have_common_run(candidates + c * length, seen + s * length, length, run);
        assert_int_equal(kept[c], !common);
        count += kept[c];
    }
    assert_in_range(count, 1, CANDIDATES - 1);
}

static void sequences_with_a_run_in_common_are_left_out(void **state)
{
    (void)state;
    check_kept(80, 32);
    check_kept(64, 32);
    check_kept(63, 32);
    check_kept(21, 11);
    check_kept(20, 10);
}

// ---- the file
// -----------------------------------------------------------------------------------------------

static struct settings *with_budget(struct small_model *small)
{
    static struct variant attempt; // the job has a search
    small->settings.attempts = &attempt;
    small->settings.num_attempts = 1;
    return &small->settings;
}

static void close_model(struct small_model *small)
{
    small->settings.attempts = NULL;
    small->settings.num_attempts = 0;
    small_model_close(small);
}

static void held_out_path(char path[PATH_SIZE], const struct small_model *small)
{
    run_file_path(path, small->settings.run, RUN_HELD_OUT);
}

// Draws and commits; returns whether there was anything to do.
static bool draw(const struct small_model *small, bool again)
{
    struct held_out_draft draft;
    struct error err = {0};

    assert_ok(held_out_draw(&draft, &small->stage, again, &err), err);
    const bool needed = draft.needed;
    assert_ok(held_out_commit(&draft, &small->stage, &err), err);
    held_out_draft_free(&draft);
    return needed;
}

// Documents of letters that no merge joins, each of its own.
static void write_corpus(size_t documents, size_t length)
{
    struct random_state random = random_seed(7);
    char line[512];
    FILE *file;

    if (mpi_rank() == 0) {
        file = fopen(in_directory("corpus.jsonl"), "wb");
        assert_non_null(file);
        for (size_t d = 0; d < documents; d++) {
            for (size_t i = 0; i < length; i++)
                line[i] = (char)('A' + random_below(&random, 26));
            line[length] = '\0';
            fprintf(file, "{\"text\": \"%s\"}\n", line);
        }
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void what_is_drawn_has_nothing_of_the_calibration(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct sequences_draft calibration;
    struct evaluation_windows windows, again;
    struct error err = {0};
    char path[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    with_budget(&small);
    write_corpus(9, 40); // of which the calibration takes 5
    small.settings.corpus = (char *)in_directory("corpus.jsonl");
    assert_ok(sequences_draw(&calibration, &small.stage, true, &err), err);
    assert_true(draw(&small, false));
    assert_ok(held_out_read(&windows, &small.stage, &err), err);
    assert_in_range(windows.count, 8, BUDGET_SEQUENCES);
    assert_int_equal(windows.length, shape.length);
    for (size_t w = 0; w < windows.count && mpi_rank() == 0; w++)
        for (size_t s = 0; s < shape.sequences; s++)
            assert_false(have_common_run(windows.ids + w * shape.length, calibration.ids + s * shape.length,
                                         shape.length, shape.length / 2));

    // A second start finds them; what is drawn again is the same.
    assert_false(draw(&small, false));
    assert_true(draw(&small, true));
    assert_ok(held_out_read(&again, &small.stage, &err), err);
    assert_int_equal(again.count, windows.count);
    assert_memory_equal(again.ids, windows.ids, windows.count * windows.length * sizeof *windows.ids);
    held_out_path(path, &small);
    assert_true(store_exists(path));
    evaluation_windows_free(&windows);
    evaluation_windows_free(&again);
    sequences_draft_free(&calibration);
    small.settings.corpus = NULL;
    close_model(&small);
}

static void a_corpus_that_is_all_calibrated_with_is_refused(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct held_out_draft draft;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    with_budget(&small);
    write_corpus(1, 14); // any two slices of 12 have 6 in common
    small.settings.corpus = (char *)in_directory("corpus.jsonl");
    assert_int_equal(held_out_draw(&draft, &small.stage, false, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "prune.budget: has no sequence of 12 tokens left beside the 5"));
    small.settings.corpus = NULL;
    close_model(&small);
}

static void a_job_without_a_budget_draws_nothing(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    char path[PATH_SIZE];
    (void)state;

    small_model_open(&small, &shape);
    assert_false(draw(&small, false));
    held_out_path(path, &small);
    assert_false(store_exists(path));
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(sequences_with_a_run_in_common_are_left_out),
        mpi_unit_test(what_is_drawn_has_nothing_of_the_calibration),
        mpi_unit_test(a_corpus_that_is_all_calibrated_with_is_refused),
        mpi_unit_test(a_job_without_a_budget_draws_nothing),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
