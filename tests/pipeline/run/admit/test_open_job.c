// open_job.h: a job that cannot work is refused before any work, alone and on every rank with the same words.
// ranks: 1 3
#include "io/file/run_paths.h"
#include "pipeline/run/admit/open_job.h"
#include "tests/support/small_model.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A model and a job that fits it; the job is a file that only rank 0 sees.
struct fixture {
    struct small_model small;
    char job[PATH_SIZE], corpus[PATH_SIZE];
};

// Collective.
static void write_job(const struct fixture *f, const char *model, const char *run, const char *rest)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        FILE *file = fopen(f->job, "w");
        assert_non_null(file);
        fprintf(file, "model: %s\nrun: %s\ncalibration: {corpus: %s, sequences: 2, length: 8}\n%s", model,
                run, f->corpus, rest);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void open_fixture(struct fixture *f)
{
    const struct small_model_shape shape = small_model_shape();

    small_model_open(&f->small, &shape);
    snprintf(f->job, sizeof f->job, "%s", in_directory("job.yaml"));
    snprintf(f->corpus, sizeof f->corpus, "%s", in_directory("corpus.txt"));
    if (mpi_rank() == 0) {
        FILE *corpus = fopen(f->corpus, "w");
        assert_non_null(corpus);
        assert_int_equal(fclose(corpus), 0);
    }
    write_job(f, f->small.settings.model, in_directory("new"), "prune: {sparsity: 0.5}\n");
}

static void close_fixture(struct fixture *f)
{
    small_model_close(&f->small);
}

static enum status open_and_close(const struct fixture *f, const struct team *team, struct error *err)
{
    struct opened_job job = {0};
    *err = (struct error){0};
    const enum status status = job_open(&job, f->job, NULL, NULL, team, err);
    if (status == STATUS_OK) {
        assert_string_equal(job.settings->model, f->small.settings.model);
        assert_int_equal(job.model->config.num_hidden_layers, 2);
    }
    job_close(&job);
    assert_null(job.settings);
    assert_null(job.model);
    return status;
}

static void assert_opens(const struct fixture *f)
{
    struct error err;
    assert_ok(open_and_close(f, &f->small.team, &err), err);
    assert_ok(open_and_close(f, NULL, &err), err);
    MPI_Barrier(MPI_COMM_WORLD);
}

// All ranks together and each alone are told the same.
static void assert_refuses(const struct fixture *f, enum status status, const char *part)
{
    struct error together, alone;
    assert_int_equal(open_and_close(f, &f->small.team, &together), status);
    assert_error(together, status, part);
    assert_int_equal(open_and_close(f, NULL, &alone), status);
    assert_string_equal(alone.message, together.message);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void a_good_job_is_opened(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    assert_opens(&f);
    assert_int_equal(access(in_directory("new"), F_OK), -1); // nothing is written
    close_fixture(&f);
}

static void a_file_that_is_no_job_is_refused(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    write_job(&f, f.small.settings.model, in_directory("new"), "prune: {sparsty: 0.5}\n");
    assert_refuses(&f, STATUS_USAGE, "sparsty");
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        assert_int_equal(unlink(f.job), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_refuses(&f, STATUS_USAGE, "job.yaml");
    close_fixture(&f);
}

// The other ranks get what rank 0 read; their own path is not looked at.
static void only_the_first_rank_reads_the_file(void **state)
{
    struct fixture f;
    struct error err;
    (void)state;
    open_fixture(&f);
    if (mpi_rank() != 0)
        snprintf(f.job, sizeof f.job, "/nowhere/job.yaml");
    assert_ok(open_and_close(&f, &f.small.team, &err), err);
    close_fixture(&f);
}

static void what_the_job_names_must_be_there(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    write_job(&f, "/nowhere/model", in_directory("new"), "prune: {sparsity: 0.5}\n");
    assert_refuses(&f, STATUS_USAGE, "model: /nowhere/model: No such file");
    write_job(&f, f.small.settings.model, in_directory("new"),
              "prune: {sparsity: 0.5}\nevaluate: {perplexity: /nowhere/text}\n");
    assert_refuses(&f, STATUS_USAGE, "evaluate.perplexity: /nowhere/text: No such file");
    write_job(&f, f.small.settings.model, in_directory("new"),
              "prune: {sparsity: 0.5}\nevaluate: {tasks: [/nowhere/boolq.jsonl]}\n");
    assert_refuses(&f, STATUS_USAGE, "evaluate.tasks: /nowhere/boolq.jsonl: No such file");
    close_fixture(&f);
}

static void a_corpus_may_be_gone_when_its_sequences_are_drawn_and_on_record(void **state)
{
    struct fixture f;
    char record[PATH_SIZE];

    (void)state;
    open_fixture(&f);
    const char *run = f.small.settings.run; // has sequences.h5
    if (mpi_rank() == 0)
        assert_int_equal(unlink(f.corpus), 0);
    write_job(&f, f.small.settings.model, run, "prune: {sparsity: 0.5}\n");
    assert_refuses(&f, STATUS_USAGE, "calibration.corpus: ");
    run_file_path(record, run, RUN_RECORD);
    if (mpi_rank() == 0) {
        FILE *file = fopen(record, "w");
        assert_non_null(file);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    assert_opens(&f);
    close_fixture(&f);
}

static void model_run_and_output_are_three_places(void **state)
{
    static const struct {
        const char *run, *output, *words;
    } cases[] = {
        {"new", "new/out", "output: "},
        {"new", "new", "output: "},
        {"new", "link/out", "is the run directory, or lies in it"},
        {"new", "elsewhere/../new/a/b", "is the run directory, or lies in it"},
        {"out/new", "out", "output: the run directory, "},
        {"link/../out/new", "out", "lies in it"},
        {"new", "model", "output: "},
        {"new", "link/../model/.", "is the model"},
        {"model/.", "out", "model: "},
    };
    struct fixture f;
    char run[PATH_SIZE], rest[2 * PATH_SIZE];
    (void)state;

    open_fixture(&f);
    if (mpi_rank() == 0) {
        assert_int_equal(mkdir(in_directory("new"), 0777), 0);
        assert_int_equal(symlink("new", in_directory("link")), 0);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(run, sizeof run, "%s", in_directory(cases[i].run));
        snprintf(rest, sizeof rest, "output: %s\nprune: {sparsity: 0.5}\n", in_directory(cases[i].output));
        write_job(&f, f.small.settings.model, run, rest);
        assert_refuses(&f, STATUS_USAGE, cases[i].words);
    }
    snprintf(run, sizeof run, "%s", in_directory("new"));
    snprintf(rest, sizeof rest, "output: %s\nprune: {sparsity: 0.5}\n", in_directory("news"));
    write_job(&f, f.small.settings.model, run, rest);
    assert_opens(&f);
    close_fixture(&f);
}

static void a_path_must_leave_room_for_the_names_below_it(void **state)
{
    struct fixture f;
    char run[JOB_PATH_MAX + 2];

    (void)state;
    open_fixture(&f);
    for (size_t i = 0; i < sizeof run; i++)
        run[i] = i % 200 == 0 ? '/' : 'r'; // no name is too long for a file system
    run[JOB_PATH_MAX + 1] = '\0';
    write_job(&f, f.small.settings.model, run, "prune: {sparsity: 0.5}\n");
    assert_refuses(&f, STATUS_USAGE, "run: a path may have 3500 characters, this has 3501");
    run[JOB_PATH_MAX] = '\0';
    write_job(&f, f.small.settings.model, run, "prune: {sparsity: 0.5}\n");
    assert_opens(&f);
    close_fixture(&f);
}

// Hidden size 20, intermediate size 36.
static void methods_must_fit_the_model(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    write_job(&f, f.small.settings.model, in_directory("new"), "prune: {pattern: \"2:8\"}\n");
    assert_refuses(&f, STATUS_USAGE, "2:8");
    write_job(&f, f.small.settings.model, in_directory("new"), "prune: {pattern: \"2:4\"}\n");
    assert_opens(&f);
    close_fixture(&f);
}

// Collective. Puts a key into the model's config.json.
static void add_config_key(const struct fixture *f, const char *key)
{
    char path[PATH_SIZE];

    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        path_format(path, sizeof path, "%s/config.json", f->small.settings.model);
        json_t *config = json_load_file(path, 0, NULL);
        assert_non_null(config);
        assert_int_equal(json_object_set_new(config, key, json_real(0.5)), 0);
        assert_int_equal(json_dump_file(config, path, 0), 0);
        json_decref(config);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void unknown_keys_of_the_model_must_be_ignored_by_name(void **state)
{
    const char *const names[] = {"logit_shift", "query_shift"};
    const struct ignored_keys ignored = {names, 2};
    struct opened_job job = {0};
    struct fixture f;
    struct error err = {0};
    (void)state;
    open_fixture(&f);
    add_config_key(&f, "logit_shift");
    assert_refuses(&f, STATUS_INPUT, "config.json: logit_shift: is not known");
    write_job(&f, f.small.settings.model, in_directory("new"),
              "prune: {sparsity: 0.5}\nignore_config_keys: [logit_shift]\n");
    assert_opens(&f);
    add_config_key(&f, "query_shift");
    assert_refuses(&f, STATUS_INPUT, "config.json: query_shift: is not known");
    assert_ok(job_open(&job, f.job, NULL, &ignored, &f.small.team, &err), err);
    assert_int_equal(job.settings->num_ignored_keys, 2); // each once
    job_close(&job);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(a_good_job_is_opened),
        mpi_unit_test(a_file_that_is_no_job_is_refused),
        mpi_unit_test(only_the_first_rank_reads_the_file),
        mpi_unit_test(what_the_job_names_must_be_there),
        mpi_unit_test(a_corpus_may_be_gone_when_its_sequences_are_drawn_and_on_record),
        mpi_unit_test(model_run_and_output_are_three_places),
        mpi_unit_test(a_path_must_leave_room_for_the_names_below_it),
        mpi_unit_test(methods_must_fit_the_model),
        mpi_unit_test(unknown_keys_of_the_model_must_be_ignored_by_name),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
