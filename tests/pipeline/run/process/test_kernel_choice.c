// The choice of BLIS's kernels: measured once, kept for this kind of processor, recorded by the run, the same
// on all ranks.
// ranks: 1 3
#include "io/file/sealed_json.h"
#include "pipeline/run/process/kernel_choice.h"
#include "tests/support/mpi_test.h"
#include "tests/support/temporary_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Each rank has a cache of its own here: what is tested is one process.
static void use_cache(char *folder, size_t size)
{
    snprintf(folder, size, "%s/rank-%d", mpi_test_directory(), mpi_rank());
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
    unsetenv("COPPICE_KERNEL");
    unsetenv("BLIS_ARCH_TYPE");
}

// The one file in the cache.
static void cache_file(char *path, size_t size, const char *folder)
{
    char directory[512];
    snprintf(directory, sizeof directory, "%s/coppice", folder);
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    path[0] = '\0';
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strncmp(entry->d_name, "kernel-", 7) == 0) {
            assert_string_equal(path, "");
            snprintf(path, size, "%s/%s", directory, entry->d_name);
        }
    closedir(entries);
    assert_string_not_equal(path, "");
}

static void what_was_measured_is_kept(void **state)
{
    char folder[256], path[1024];
    struct kernel_survey survey, again;
    struct error err = {0};
    (void)state;

    use_cache(folder, sizeof folder);
    kernel_survey(&survey, NULL);
    assert_string_not_equal(survey.own, "");
    assert_true(survey.gain == 1 || survey.gain >= BLAS_KERNEL_WORTHWHILE);
    assert_int_equal(survey.gain == 1, strcmp(survey.own, survey.best) == 0);
    assert_true(strcmp(survey.best, survey.own) == 0 || blas_kernel_fits(survey.best));

    // Another answer in the file is believed: nothing was measured again.
    cache_file(path, sizeof path, folder);
    json_t *json = json_pack("{s:s, s:s, s:f}", "own", "zen", "best", BLAS_KERNEL_PORTABLE, "gain", 7.5);
    assert_ok(sealed_json_write(path, json, &err), err);
    json_decref(json);
    kernel_survey(&again, NULL);
    assert_string_equal(again.own, "zen");
    assert_string_equal(again.best, BLAS_KERNEL_PORTABLE);
    assert_true(again.gain == 7.5);

    // A damaged one is not.
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20, SEEK_SET), 0);
    fputc('x', file);
    fclose(file);
    kernel_survey(&again, NULL);
    assert_string_equal(again.own, survey.own);

    // A named pipe, which nobody writes to, is not waited for.
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    kernel_survey(&again, NULL);
    assert_string_equal(again.own, survey.own);
}

static void nothing_is_measured_when_the_user_decides(void **state)
{
    char folder[256];
    struct kernel_survey survey;
    (void)state;

    use_cache(folder, sizeof folder);
    kernel_survey(&survey, "haswell");
    assert_string_equal(survey.own, "");
    setenv("BLIS_ARCH_TYPE", "3", 1);
    kernel_survey(&survey, NULL);
    unsetenv("BLIS_ARCH_TYPE");
    assert_string_equal(survey.own, "");
    setenv("COPPICE_KERNEL", "haswell", 1);
    kernel_survey(&survey, NULL);
    unsetenv("COPPICE_KERNEL");
    assert_string_equal(survey.own, "");
    assert_int_equal(count_entries(folder), 0);
}

static void a_cache_that_cannot_be_written_is_done_without(void **state)
{
    struct kernel_survey survey;
    (void)state;

    setenv("XDG_CACHE_HOME", "/proc/no/such/place", 1);
    kernel_survey(&survey, NULL);
    assert_string_not_equal(survey.own, "");
}

// A file of this rank's own.
static const char *rank_folder(void)
{
    static char folder[256];
    snprintf(folder, sizeof folder, "%s/run-%d", mpi_test_directory(), mpi_rank());
    (void)mkdir(folder, 0700);
    return folder;
}

static void an_older_run_keeps_the_choice_of_blis(void **state)
{
    char path[512], name[BLAS_KERNEL_NAME_SIZE] = "x", library[BLAS_NAME_SIZE] = "x";
    struct error err = {0};
    (void)state;

    kernel_recorded(name, sizeof name, library, rank_folder(), "zen");
    assert_string_equal(name, ""); // no run yet
    assert_string_equal(library, "");
    snprintf(path, sizeof path, "%s/run.json", rank_folder());
    json_t *json = json_pack("{s:{s:s}}", "versions", "blis", "0.9.0");
    assert_ok(sealed_json_write(path, json, &err), err);
    kernel_recorded(name, sizeof name, library, rank_folder(), "zen");
    assert_string_equal(name, "zen");
    json_object_set_new(json_object_get(json, "versions"), "blis_kernel", json_string("haswell"));
    assert_ok(sealed_json_write(path, json, &err), err);
    kernel_recorded(name, sizeof name, library, rank_folder(), "zen");
    assert_string_equal(name, "haswell");
    assert_string_equal(library, "BLIS 0.9.0");
    json_decref(json);
    json = json_pack("{s:{s:s, s:s}}", "versions", "blas", "OpenBLAS 0.3.21", "blas_kernel", "Zen");
    assert_ok(sealed_json_write(path, json, &err), err);
    kernel_recorded(name, sizeof name, library, rank_folder(), "zen");
    assert_string_equal(name, "Zen");
    assert_string_equal(library, "OpenBLAS 0.3.21");
    json_decref(json);
}

static void an_unknown_name_is_refused_on_all_ranks(void **state)
{
    struct kernel_survey survey;
    struct team world;
    struct error err = {0};
    char notice[256];
    (void)state;

    assert_ok(team_create(&world, MPI_COMM_WORLD, 1, &err), err);
    kernel_survey(&survey, "cray1");
    assert_int_equal(kernel_agree(notice, sizeof notice, &survey, "cray1", NULL, &world, &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "cray1"));
    team_free(&world);
}

// From here on BLIS has its kernels. The portable ones fit every processor, and are never the
// best where there are others, so that only run.json can have asked for them.
static void a_run_keeps_the_kernels_that_it_began_with(void **state)
{
    struct kernel_survey survey = {.own = "zen", .best = "zen2", .gain = 2};
    struct team world;
    struct error err = {0};
    char notice[256] = "";
    (void)state;

    unsetenv("COPPICE_KERNEL");
    unsetenv("BLIS_ARCH_TYPE");
    assert_ok(team_create(&world, MPI_COMM_WORLD, 1, &err), err);
    if (mpi_rank() == 0) {
        json_t *json =
            json_pack("{s:{s:s, s:s}}", "versions", "coppice", "0", "blis_kernel", BLAS_KERNEL_PORTABLE);
        assert_ok(sealed_json_write(in_directory("run.json"), json, &err), err);
        json_decref(json);
    }
    team_barrier(&world);
    assert_ok(kernel_agree(notice, sizeof notice, &survey, NULL, mpi_test_directory(), &world, &err), err);
    assert_string_equal(blas_kernel_name(), BLAS_KERNEL_PORTABLE);
    if (blas_kernel_fits("haswell"))
        assert_non_null(strstr(notice, "--kernel")); // never in silence
    else
        assert_string_equal(notice, "");
    team_free(&world);
}

// Its kernels are unknown here, and another library's bits are its own.
static void a_run_of_another_library_goes_on_with_a_warning(void **state)
{
    const struct kernel_survey survey = {.own = "generic", .best = "generic", .gain = 1};
    struct team world;
    struct error err = {0};
    char notice[256] = "";
    (void)state;

    assert_ok(team_create(&world, MPI_COMM_WORLD, 1, &err), err);
    if (mpi_rank() == 0) {
        json_t *json = json_pack("{s:{s:s, s:s}}", "versions", "blas", "AnotherBLAS 7", "blas_kernel", "Zen");
        assert_ok(sealed_json_write(in_directory("run.json"), json, &err), err);
        json_decref(json);
    }
    team_barrier(&world);
    assert_ok(kernel_agree(notice, sizeof notice, &survey, NULL, mpi_test_directory(), &world, &err), err);
    assert_non_null(strstr(notice, "began with AnotherBLAS 7, kernels Zen, and goes on with BLIS "));
    team_free(&world);
}

// BLIS has more sets of kernels than can be asked for: its own choice for a processor may be any of them.
// BLIS took its kernels in the test before, so this looks at the variable that would tell it.
static void the_own_choice_of_blis_is_taken_whatever_its_name(void **state)
{
    const struct kernel_survey survey = {.own = "cortexa57", .best = "cortexa57", .gain = 1};
    struct team world;
    struct error err = {0};
    char notice[256];
    (void)state;

    unsetenv("COPPICE_KERNEL");
    unsetenv("BLIS_ARCH_TYPE");
    assert_ok(team_create(&world, MPI_COMM_WORLD, 1, &err), err);
    assert_ok(kernel_agree(notice, sizeof notice, &survey, NULL, NULL, &world, &err), err);
    assert_null(getenv("BLIS_ARCH_TYPE"));
    team_free(&world);
}

static void an_empty_variable_asks_for_nothing(void **state)
{
    char folder[256];
    struct kernel_survey survey;
    (void)state;

    use_cache(folder, sizeof folder);
    setenv("COPPICE_KERNEL", "", 1);
    kernel_survey(&survey, NULL);
    unsetenv("COPPICE_KERNEL");
    assert_string_not_equal(survey.own, "");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(what_was_measured_is_kept),
        mpi_unit_test(nothing_is_measured_when_the_user_decides),
        mpi_unit_test(an_empty_variable_asks_for_nothing),
        mpi_unit_test(a_cache_that_cannot_be_written_is_done_without),
        mpi_unit_test(an_older_run_keeps_the_choice_of_blis),
        mpi_unit_test(an_unknown_name_is_refused_on_all_ranks),
        mpi_unit_test(a_run_keeps_the_kernels_that_it_began_with),
        mpi_unit_test(a_run_of_another_library_goes_on_with_a_warning),
        mpi_unit_test(the_own_choice_of_blis_is_taken_whatever_its_name),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
