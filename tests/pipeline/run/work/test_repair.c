// repair.h: committed files that are damaged are found and removed, and no others.
// ranks: 1 3
#include "io/file/sealed_json.h"
#include "pipeline/run/committed/committed_file.h"
#include "pipeline/run/work/repair.h"
#include "pipeline/run/work/states.h"
#include "stages/evaluate/perplexity.h"
#include "tests/support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAYERS = 4 };

struct fixture {
    struct small_model small;
    struct plan plan;
    struct text_settings text;
    struct options options;
    struct stop stop;
    struct run_context context;
    struct journal journal;
};

// Statistics of all layers are there, and nothing else; the log is open.
static void open_fixture(struct fixture *f)
{
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};

    memset(f, 0, sizeof *f);
    shape.checkpoint.layers = LAYERS;
    small_model_open(&f->small, &shape);
    f->text = (struct text_settings){.data = f->small.settings.model, .is_plain = true}; // it is not read
    f->small.settings.texts = &f->text;
    f->small.settings.num_texts = 1;
    small_model_add(&f->small, "one", METHOD_WANDA);
    small_model_calibrate(&f->small, false);
    assert_ok(plan_create(&f->plan, f->small.model, &f->small.settings, &err), err);
    assert_ok(stop_install(&f->stop, SIGUSR1, stop_clock(), 0, 0, &err), err);
    assert_ok(journal_open(&f->journal, &f->small.team, f->small.settings.run, &err), err);
    f->context = (struct run_context){.options = &f->options,
                                      .settings = &f->small.settings,
                                      .model = f->small.model,
                                      .plan = &f->plan,
                                      .stop = &f->stop,
                                      .world = &f->small.team,
                                      .stages = (1U << STAGE_COUNT) - 1};
}

static void close_fixture(struct fixture *f)
{
    journal_close(&f->journal);
    stop_uninstall(&f->stop);
    plan_free(&f->plan);
    f->small.settings.texts = NULL;
    f->small.settings.num_texts = 0;
    small_model_close(&f->small);
}

// Collective. Changes one byte in the middle.
static void damage(const char *path)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        const long middle = ftell(file) / 2;
        assert_int_equal(fseek(file, middle, SEEK_SET), 0);
        const int byte = fgetc(file);
        assert_int_equal(fseek(file, middle, SEEK_SET), 0);
        assert_int_equal(fputc(byte ^ 0x10, file), byte ^ 0x10);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void damage_statistics(const struct fixture *f, size_t layer)
{
    char *path = small_path(&f->small, RUN_STATISTICS, "dense", layer);
    damage(path);
    free(path);
}

// Collective. Whether the statistics of each layer are there: "01-3" when those of layer 2 are not.
static void assert_statistics(const struct fixture *f, const char *expected)
{
    char seen[LAYERS + 1] = "";
    MPI_Barrier(MPI_COMM_WORLD);
    for (size_t l = 0; l < LAYERS; l++) {
        char *path = small_path(&f->small, RUN_STATISTICS, "dense", l);
        seen[l] = access(path, F_OK) == 0 ? (char)('0' + l) : '-';
        free(path);
    }
    assert_string_equal(seen, expected);
    MPI_Barrier(MPI_COMM_WORLD);
}

// ---- one file --------------------------------------------------------------------------------------------

static void a_file_is_whole_or_damaged_whatever_its_kind(void **state)
{
    struct fixture f;
    struct error err = {0};
    json_t *json = json_pack("{s:s}", "some", "thing with enough text to have a middle");

    (void)state;
    open_fixture(&f);
    char *statistics = small_path(&f.small, RUN_STATISTICS, "dense", 0);
    const char *sealed = in_directory("sealed.json");
    if (mpi_rank() == 0)
        assert_ok(sealed_json_write(sealed, json, &err), err);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_ok(committed_file_check(statistics, &err), err);
    assert_ok(committed_file_check(sealed, &err), err);
    damage(statistics);
    damage(sealed);
    assert_int_equal(committed_file_check(statistics, NULL), STATUS_DAMAGED);
    assert_int_equal(committed_file_check(sealed, NULL), STATUS_DAMAGED);
    free(statistics);
    json_decref(json);
    close_fixture(&f);
}

// ---- what an earlier start left --------------------------------------------------------------------------

static void damaged_files_are_removed_and_logged_and_others_stay(void **state)
{
    struct fixture f;
    struct error err = {0};

    (void)state;
    open_fixture(&f);
    damage_statistics(&f, 1);
    damage_statistics(&f, 3);
    assert_ok(repair_found(&f.context, &f.journal, &err), err);
    assert_statistics(&f, "0-2-");
    assert_int_equal(small_log_lines(&f.small, "\"damaged\""), 2);
    assert_int_equal(small_log_lines(&f.small, "layer-001.h5"), 1);
    assert_int_equal(small_log_lines(&f.small, "layer-003.h5"), 1);
    assert_ok(repair_found(&f.context, &f.journal, &err), err); // the rest is whole
    assert_statistics(&f, "0-2-");
    close_fixture(&f);
}

static void strict_leaves_the_file_and_names_it(void **state)
{
    struct fixture f;
    struct error err = {0};

    (void)state;
    open_fixture(&f);
    f.options.strict = true;
    damage_statistics(&f, 2);
    assert_int_equal(repair_found(&f.context, &f.journal, &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "layer-002.h5 is damaged; without --strict");
    assert_statistics(&f, "0123");
    close_fixture(&f);
}

static void files_of_other_commands_are_not_looked_at(void **state)
{
    struct fixture f;
    struct error err = {0};

    (void)state;
    open_fixture(&f);
    f.context.stages = 1U << STAGE_SCORE | 1U << STAGE_EVALUATE;
    damage_statistics(&f, 0);
    assert_ok(repair_found(&f.context, &f.journal, &err), err);
    assert_statistics(&f, "0123");
    close_fixture(&f);
}

static void a_program_that_is_told_to_stop_looks_no_further(void **state)
{
    struct fixture f;
    struct error err = {0};

    (void)state;
    open_fixture(&f);
    damage_statistics(&f, 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_ok(repair_found(&f.context, &f.journal, &err), err);
    assert_statistics(&f, "0123");
    close_fixture(&f);
}

// ---- what a unit read ------------------------------------------------------------------------------------

static const struct unit *mask_of(const struct fixture *f, long layer)
{
    for (size_t i = 0; i < f->plan.num_units; i++)
        if (f->plan.units[i].stage == STAGE_SCORE && f->plan.units[i].layer == layer)
            return &f->plan.units[i];
    fail_msg("no mask");
    return NULL;
}

// Collective; by rank 0 alone, as one of them is the first to find it.
static size_t removed_for(const struct fixture *f, const struct unit *const *units, size_t count)
{
    size_t removed = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        removed = repair_inputs(units, count, &f->small.settings, LAYERS);
    MPI_Bcast(&removed, sizeof removed, MPI_BYTE, 0, MPI_COMM_WORLD);
    return removed;
}

static void what_the_units_in_hand_read_is_removed_when_damaged(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    const struct unit *const units[] = {mask_of(&f, 1), mask_of(&f, 2)};
    assert_int_equal(removed_for(&f, units, 2), 0);
    damage_statistics(&f, 0); // another mask's
    damage_statistics(&f, 2);
    assert_int_equal(removed_for(&f, units, 1), 0);
    assert_int_equal(removed_for(&f, units, 0), 0);
    assert_statistics(&f, "0123");
    assert_int_equal(removed_for(&f, units, 2), 1);
    assert_statistics(&f, "01-3");
    close_fixture(&f);
}

static void hidden_states_of_all_layers_count_as_read(void **state)
{
    struct fixture f;
    char path[PATH_SIZE];

    (void)state;
    open_fixture(&f);
    const struct unit *const units[] = {mask_of(&f, 1)};
    for (size_t l = 1; l < LAYERS; l++) {
        states_path(path, &f.small.settings, "dense", l);
        assert_int_equal(access(path, F_OK), 0);
    }
    damage(path); // of the last layer
    assert_int_equal(removed_for(&f, units, 1), 1);
    assert_int_equal(access(path, F_OK), -1);
    assert_statistics(&f, "0123");
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(a_file_is_whole_or_damaged_whatever_its_kind),
        mpi_unit_test(damaged_files_are_removed_and_logged_and_others_stay),
        mpi_unit_test(strict_leaves_the_file_and_names_it),
        mpi_unit_test(files_of_other_commands_are_not_looked_at),
        mpi_unit_test(a_program_that_is_told_to_stop_looks_no_further),
        mpi_unit_test(what_the_units_in_hand_read_is_removed_when_damaged),
        mpi_unit_test(hidden_states_of_all_layers_count_as_read),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
