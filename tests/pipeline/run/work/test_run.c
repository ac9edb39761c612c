// run.h: a plan is carried out once, goes on where it stopped, and makes again what is damaged.
// ranks: 1 3
#include "pipeline/run/work/finished.h"
#include "pipeline/run/work/run.h"
#include "tests/support/small_model.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAYERS = 4 };
#define CALIBRATION (1U << STAGE_SEQUENCES | 1U << STAGE_CALIBRATE)
#define MASKS (1U << STAGE_SCORE)

// Two variants of dense propagation: statistics are one chain, then the masks are one for each layer.
struct fixture {
    struct small_model small;
    struct plan plan;
    struct options options;
    struct stop stop;
    struct run_record record;
    struct run_context context;
    struct journal journal;
    struct test_data data;
};

static void open_fixture(struct fixture *f)
{
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};

    memset(f, 0, sizeof *f);
    shape.checkpoint.layers = LAYERS;
    small_model_open(&f->small, &shape);
    small_model_add(&f->small, "wanda", METHOD_WANDA);
    small_model_add(&f->small, "ria", METHOD_RIA);
    assert_ok(plan_create(&f->plan, f->small.model, &f->small.settings, &err), err);
    assert_ok(stop_install(&f->stop, SIGUSR1, stop_clock(), 0, 0, &err), err);
    assert_ok(journal_open(&f->journal, &f->small.team, f->small.settings.run, &err), err);
    f->context = (struct run_context){.options = &f->options,
                                      .settings = &f->small.settings,
                                      .model = f->small.model,
                                      .plan = &f->plan,
                                      .record = &f->record,
                                      .stop = &f->stop,
                                      .world = &f->small.team};
}

static void close_fixture(struct fixture *f)
{
    journal_close(&f->journal);
    stop_uninstall(&f->stop);
    plan_free(&f->plan);
    small_model_close(&f->small);
}

static enum status carry_out(struct fixture *f, unsigned stages, struct run_outcome *outcome,
                             struct error *err)
{
    *outcome = (struct run_outcome){0};
    *err = (struct error){0};
    f->context.stages = stages;
    const enum status status = run_carry_out(outcome, &f->context, &f->data, &f->journal, err);
    MPI_Barrier(MPI_COMM_WORLD);
    return status;
}

// Units of the teams' first ranks, summed over the world: each team counts its own.
static size_t units_of_all(size_t of_this_team, const struct fixture *f)
{
    const size_t ranks = (size_t)mpi_size();
    unsigned long long mine = of_this_team, all = 0;
    // Statistics are one team of all ranks; masks have a team for each rank, or as many as --teams says.
    MPI_Allreduce(&mine, &all, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, MPI_COMM_WORLD);
    return f->options.teams == (int)ranks ? (size_t)all : of_this_team;
}

static bool is_there(const struct fixture *f, enum run_folder folder, const char *stream, size_t layer)
{
    char *path = small_path(&f->small, folder, stream, layer);
    const bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static void assert_all_masks(const struct fixture *f, bool there)
{
    for (size_t layer = 0; layer < LAYERS; layer++) {
        assert_int_equal(is_there(f, RUN_MASKS, "wanda", layer), there);
        assert_int_equal(is_there(f, RUN_MASKS, "ria", layer), there);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

// ---- carrying out ----------------------------------------------------------------------------------------

static void every_unit_is_done_once_and_found_the_next_time(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;

    (void)state;
    open_fixture(&f);
    f.options.teams = 1;
    assert_ok(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), err);
    assert_int_equal(outcome.units_done, LAYERS + 2 * LAYERS);
    assert_int_equal(outcome.units_found, 1); // the sequences
    assert_string_equal(outcome.waiting, "");
    assert_all_masks(&f, true);
    assert_int_equal(small_log_lines(&f.small, "\"event\":\"begin\""), 3 * LAYERS);
    assert_int_equal(small_log_lines(&f.small, "\"event\":\"unit\""), 3 * LAYERS);
    assert_ok(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), err);
    assert_int_equal(outcome.units_done, 0);
    assert_int_equal(outcome.units_found, 1 + 3 * LAYERS);
    assert_int_equal(small_log_lines(&f.small, "\"event\":\"begin\""), 3 * LAYERS);
    close_fixture(&f);
}

static void teams_share_the_chains_and_each_logs_its_own(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;

    (void)state;
    open_fixture(&f);
    f.options.teams = mpi_size();
    assert_ok(carry_out(&f, CALIBRATION, &outcome, &err), err);
    assert_ok(carry_out(&f, MASKS, &outcome, &err), err);
    assert_int_equal(units_of_all(outcome.units_done, &f), 2 * LAYERS);
    assert_all_masks(&f, true);
    assert_int_equal(small_log_lines(&f.small, "\"stage\":\"score\""), 2 * 2 * LAYERS); // begin and unit
    for (int team = 0; team < mpi_size(); team++) {
        char part[32];
        size_t layers = 0; // whose number is the team's, counted round
        for (size_t layer = 0; layer < LAYERS; layer++)
            layers += (int)layer % mpi_size() == team;
        snprintf(part, sizeof part, "\"team\":%d,", team);
        assert_int_equal(small_log_lines(&f.small, part), 2 * 2 * layers + (team == 0 ? 2 * LAYERS : 0));
    }
    close_fixture(&f);
}

static void the_bytes_do_not_depend_on_the_teams(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;
    unsigned char *first[LAYERS];
    size_t sizes[LAYERS];

    (void)state;
    open_fixture(&f);
    f.options.teams = 1;
    assert_ok(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), err);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        char *path = small_path(&f.small, RUN_MASKS, "ria", layer);
        first[layer] = slurp(path, &sizes[layer]);
        MPI_Barrier(MPI_COMM_WORLD);
        if (mpi_rank() == 0)
            assert_int_equal(unlink(path), 0);
        free(path);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    f.options.teams = mpi_size();
    assert_ok(carry_out(&f, MASKS, &outcome, &err), err);
    assert_int_equal(units_of_all(outcome.units_done, &f), LAYERS);
    assert_int_equal(units_of_all(outcome.units_found, &f), LAYERS);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        char *path = small_path(&f.small, RUN_MASKS, "ria", layer);
        size_t size;
        unsigned char *again = slurp(path, &size);
        assert_int_equal(size, sizes[layer]);
        assert_memory_equal(again, first[layer], size);
        free(again);
        free(path);
        free(first[layer]);
    }
    close_fixture(&f);
}

// ---- not carrying out ------------------------------------------------------------------------------------

static void a_chain_that_waits_is_left_and_the_others_go_on(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;
    char *missing;

    (void)state;
    open_fixture(&f);
    f.options.teams = 1;
    assert_ok(carry_out(&f, MASKS, &outcome, &err), err);
    assert_int_equal(outcome.units_done + outcome.units_found, 0);
    assert_all_masks(&f, false);

    assert_ok(carry_out(&f, CALIBRATION, &outcome, &err), err);
    missing = small_path(&f.small, RUN_STATISTICS, "dense", 2);
    if (mpi_rank() == 0)
        assert_int_equal(unlink(missing), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_ok(carry_out(&f, MASKS, &outcome, &err), err);
    assert_int_equal(outcome.units_done, 2 * (LAYERS - 1));
    assert_false(is_there(&f, RUN_MASKS, "wanda", 2));
    assert_true(is_there(&f, RUN_MASKS, "wanda", 3));
    if (mpi_rank() == 0) {
        assert_non_null(strstr(outcome.waiting, "score waits for "));
        assert_non_null(strstr(outcome.waiting, missing));
    }
    free(missing);
    close_fixture(&f);
}

static void a_program_that_is_told_to_stop_begins_nothing(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;

    (void)state;
    open_fixture(&f);
    if (mpi_rank() == mpi_size() - 1)
        assert_int_equal(raise(SIGUSR1), 0); // one rank is enough
    assert_int_equal(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), STATUS_STOPPED);
    assert_int_equal(outcome.units_done, 0);
    assert_false(is_there(&f, RUN_STATISTICS, "dense", 0));
    close_fixture(&f);
}

// ---- the end ---------------------------------------------------------------------------------------------

static void assert_unfinished(const struct fixture *f, const char *path, const char *words)
{
    struct error err = {0};
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        assert_int_equal(unlink(path), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_equal(finished_check(&f->context, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, path);
    assert_error(err, STATUS_FAILED, words);
}

static void a_run_that_lost_a_file_is_not_finished(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err = {0};
    char record[PATH_SIZE];

    (void)state;
    open_fixture(&f);
    f.small.settings.keep_weights = true;
    free(f.small.settings.output);
    f.small.settings.output = NULL; // the fixture's record is empty, and tells no exports apart
    plan_free(&f.plan);
    assert_ok(plan_create(&f.plan, f.small.model, &f.small.settings, &err), err);
    run_file_path(record, f.small.settings.run, RUN_RECORD);
    if (mpi_rank() == 0)
        write_text(f.small.settings.run, "run.json", "{}");
    assert_ok(carry_out(&f, stages_of_command("run"), &outcome, &err), err);
    assert_ok(finished_check(&f.context, &err), err);
    char *mask = small_path(&f.small, RUN_MASKS, "ria", 2);
    assert_unfinished(&f, mask, "is not there at the end");

    // A command of one stage may leave units that wait, but not without a run directory
    f.context.stages = MASKS;
    assert_ok(finished_check(&f.context, &err), err);
    assert_unfinished(&f, record, "moved away");
    free(mask);
    close_fixture(&f);
}

// ---- damage that a unit finds ----------------------------------------------------------------------------

static void damage(const char *path)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        struct stat info;
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fstat(fileno(file), &info), 0);
        assert_int_equal(ftruncate(fileno(file), info.st_size / 2), 0);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void what_a_unit_finds_damaged_is_made_again(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;
    size_t size, size_again;

    (void)state;
    open_fixture(&f);
    f.options.no_check = true; // so that the mask is what finds it
    f.options.teams = mpi_size();
    assert_ok(carry_out(&f, CALIBRATION, &outcome, &err), err);
    char *path = small_path(&f.small, RUN_STATISTICS, "dense", 1);
    unsigned char *before = slurp(path, &size);
    damage(path);
    assert_ok(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), err);
    unsigned char *after = slurp(path, &size_again);
    assert_int_equal(size_again, size);
    assert_memory_equal(after, before, size);
    assert_all_masks(&f, true);
    assert_string_equal(err.message, ""); // all is well again
    assert_int_equal(small_log_lines(&f.small, "\"event\":\"damaged\""), 1);
    assert_int_equal(small_log_lines(&f.small, "\"message\":\""),
                     1); // by the unit, not by the look at its start
    free(before);
    free(after);
    free(path);
    close_fixture(&f);
}

static void what_an_earlier_start_left_damaged_is_found_before_any_unit(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;

    (void)state;
    open_fixture(&f);
    f.options.teams = 1;
    assert_ok(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), err);
    char *path = small_path(&f.small, RUN_STATISTICS, "dense", 3);
    damage(path); // no unit would read it
    assert_ok(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), err);
    assert_int_equal(outcome.units_done, 1);
    assert_int_equal(small_log_lines(&f.small, "\"file\":\""), 1);
    free(path);
    close_fixture(&f);
}

static void strict_makes_nothing_again(void **state)
{
    struct fixture f;
    struct run_outcome outcome;
    struct error err;

    (void)state;
    open_fixture(&f);
    f.options.no_check = true;
    f.options.strict = true;
    assert_ok(carry_out(&f, CALIBRATION, &outcome, &err), err);
    char *path = small_path(&f.small, RUN_STATISTICS, "dense", 0);
    damage(path);
    assert_int_equal(carry_out(&f, CALIBRATION | MASKS, &outcome, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, path);
    assert_true(is_there(&f, RUN_STATISTICS, "dense", 0));
    free(path);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(every_unit_is_done_once_and_found_the_next_time),
        mpi_unit_test(teams_share_the_chains_and_each_logs_its_own),
        mpi_unit_test(the_bytes_do_not_depend_on_the_teams),
        mpi_unit_test(a_chain_that_waits_is_left_and_the_others_go_on),
        mpi_unit_test(a_program_that_is_told_to_stop_begins_nothing),
        mpi_unit_test(what_a_unit_finds_damaged_is_made_again),
        mpi_unit_test(what_an_earlier_start_left_damaged_is_found_before_any_unit),
        mpi_unit_test(strict_makes_nothing_again),
        mpi_unit_test(a_run_that_lost_a_file_is_not_finished),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
