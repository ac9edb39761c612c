// main.c - coppice: the program. Every rank takes the same way through here; rank 0 does the talking.
#include "io/file/commit.h"
#include "io/file/run_paths.h"
#include "io/model/open.h"
#include "kernels/gemm.h"
#include "pipeline/cli/exit_code.h"
#include "pipeline/job/job.h"
#include "pipeline/plan/capacity.h"
#include "pipeline/plan/print.h"
#include "pipeline/report/compare.h"
#include "pipeline/report/report.h"
#include "pipeline/report/results.h"
#include "pipeline/run/bus_error.h"
#include "pipeline/run/claim.h"
#include "pipeline/run/diagnose.h"
#include "pipeline/run/launcher.h"
#include "pipeline/run/runner.h"
#include "pipeline/run/verify.h"
#include "pipeline/status/status.h"
#include "pipeline/text/json_memory.h"
#include "pipeline/text/number.h"
#include "stages/compensate/compensate.h"
#include "stages/export/export.h"
#include "stages/prune/allocation.h"
#include "stages/prune/prune.h"
#include "version.h"

#include <blis.h>
#include <errno.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct program {
    struct options options;
    struct team world;
    bool root;
    double started;
    struct settings *settings;
    struct model *model;
    struct run_record record;
};

// The job file is read by rank 0 and parsed by all.
static enum status load_job(struct program *program, struct error *err)
{
    const char *path = program->options.path;
    char *text = NULL;
    size_t size = 0;
    uint64_t length;
    enum status status = STATUS_OK;

    if (program->root && read_file(&text, &size, path, err) != STATUS_OK)
        status = err->status = STATUS_USAGE;
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    length = size;
    GOTO_IF_ERROR(team_broadcast(&program->world, &length, sizeof length, 0, err), done);
    if (!program->root)
        status = allocate(&text, length + 1, 1, "the job file", err);
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    GOTO_IF_ERROR(team_broadcast(&program->world, text, length, 0, err), done);
    status = job_parse(&program->settings, text, length, path, err);
done:
    free(text);
    return status;
}

static enum status check_readable(const char *path, const char *key, const char *job, struct error *err)
{
    struct stat info;
    RETURN_ERROR_IF(stat(path, &info) != 0, err, STATUS_USAGE, "%s: %s: %s: %s", job, key, path,
                    strerror(errno));
    return STATUS_OK;
}

static enum status check_length(const char *path, const char *key, const char *job, struct error *err)
{
    RETURN_ERROR_IF(path != NULL && strlen(path) > JOB_PATH_MAX, err, STATUS_USAGE,
                    "%s: %s: a path may have %d characters, this has %zu", job, key, JOB_PATH_MAX,
                    strlen(path));
    return STATUS_OK;
}

// What the job names must be there, and its output must not, before any work starts.
static enum status check_paths(const struct program *program, struct error *err)
{
    const struct settings *settings = program->settings;
    char sequences[PATH_SIZE], record[PATH_SIZE];
    struct stat info;

    FORWARD_IF_ERROR(check_length(settings->model, "model", program->options.path, err));
    FORWARD_IF_ERROR(check_length(settings->run, "run", program->options.path, err));
    FORWARD_IF_ERROR(check_length(settings->output, "output", program->options.path, err));
    FORWARD_IF_ERROR(check_readable(settings->model, "model", program->options.path, err));
    run_file_path(sequences, settings->run, RUN_SEQUENCES);
    run_file_path(record, settings->run, RUN_RECORD);
    // Sequences that are drawn are stored: the corpus may be gone by then.
    if (stat(sequences, &info) != 0 || stat(record, &info) != 0)
        FORWARD_IF_ERROR(check_readable(settings->corpus, "calibration.corpus", program->options.path, err));
    if (settings->perplexity != NULL)
        FORWARD_IF_ERROR(
            check_readable(settings->perplexity, "evaluate.perplexity", program->options.path, err));
    for (size_t i = 0; i < settings->num_tasks; i++)
        FORWARD_IF_ERROR(
            check_readable(settings->tasks[i].data, "evaluate.tasks", program->options.path, err));
    return STATUS_OK;
}

static enum status check_output(const struct program *program, struct error *err)
{
    const struct settings *settings = program->settings;
    for (size_t v = 0; v < settings->num_variants && settings->output != NULL; v++) {
        char path[PATH_SIZE], identity[40];
        export_path(path, sizeof path, settings, &settings->variants[v]);
        run_record_variant(identity, sizeof identity, &program->record, &settings->variants[v]);
        const enum export_state state = export_state_of(path, identity, err);
        if (state == EXPORT_UNKNOWN)
            return STATUS_FAILED;
        RETURN_ERROR_IF(state == EXPORT_FOREIGN, err, STATUS_USAGE,
                        "%s: output: %s exists and is not this run's: remove it or choose another",
                        program->options.path, path);
    }
    return STATUS_OK;
}

// Everything up to the point where work starts.
static enum status open_job(struct program *program, struct error *err)
{
    FORWARD_IF_ERROR(team_agree(&program->world, gemm_prepare(err), err));
    FORWARD_IF_ERROR(team_agree(&program->world, load_job(program, err), err));
    FORWARD_IF_ERROR(team_agree(&program->world, program->root ? check_paths(program, err) : STATUS_OK, err));
    FORWARD_IF_ERROR(
        team_agree(&program->world, model_open(&program->model, program->settings->model, err), err));
    bus_error_name(program->model->checkpoint);
    FORWARD_IF_ERROR(team_agree(&program->world, prune_check(program->model, program->settings, err), err));
    FORWARD_IF_ERROR(
        team_agree(&program->world,
                   allocation_check(program->model, program->settings, program->options.path, err), err));
    return team_agree(&program->world, compensate_check(program->model, program->settings, err), err);
}

// What `plan` warned of, for whoever did not ask it.
static enum status warn_of_limits(const struct program *program, const struct runner *runner,
                                  struct error *err)
{
    char warnings[CAPACITY_WARNINGS][CAPACITY_WARNING_SIZE];
    const size_t ranks = (size_t)program->world.node_size;
    struct capacity capacity;
    struct plan_cost cost;

    FORWARD_IF_ERROR(plan_cost(&cost, runner->plan, ranks, err));
    capacity_measure(&capacity, program->settings->run, program->settings->output);
    const size_t count = capacity_warn(warnings, &capacity, &cost, ranks, !program->record.is_first);
    for (size_t i = 0; i < count && program->options.verbosity > VERBOSITY_QUIET; i++)
        fprintf(stderr, "coppice: careful: %s\n", warnings[i]);
    return STATUS_OK;
}

static enum status run_plan(struct program *program, struct runner *runner, struct error *err)
{
    const struct options *options = &program->options;
    char reason[96];
    enum status status;

    double work = 0;
    for (size_t i = 0; i < runner->plan->num_units; i++)
        if (runner->stages & 1U << runner->plan->units[i].stage)
            work += runner->plan->units[i].work;
    progress_begin(&runner->progress, work, options->progress,
                   program->root && options->verbosity > VERBOSITY_QUIET ? stderr : NULL);
    runner->progress.work_name = "flop";
    (void)log_event(runner->log, NULL, "start", "{s:s}", "command", options->command->name);
    status = runner_run(runner, err);
    progress_end(&runner->progress);
    if (status == STATUS_STOPPED) {
        snprintf(err->message, sizeof err->message, "stopped by %s; run the same command again to go on",
                 stop_level(runner->stop) > 0 ? stop_reason(runner->stop, reason, sizeof reason)
                                              : "another rank");
    }
    (void)log_event(runner->log, NULL, status == STATUS_OK ? "done" : "end", "{s:i, s:s}", "exit_code",
                    exit_code(status), "message", status == STATUS_OK ? "" : err->message);
    FORWARD_IF_ERROR(status);
    if (runner->waiting[0] != '\0' && runner->units_done + runner->units_found == 0)
        return error_set(err, STATUS_FAILED, "nothing could be done: %s is not there yet", runner->waiting);
    if (program->root && runner->waiting[0] != '\0' && options->verbosity > VERBOSITY_QUIET)
        fprintf(stderr, "coppice: %zu units done; the next, %s, which is not there yet\n", runner->units_done,
                runner->waiting);
    return STATUS_OK;
}

// Tries again until `--wait` is over: what a dead host holds is free after a minute.
static enum status claim_patiently(struct claim **claim, const struct program *program, const char **names,
                                   size_t count, const struct stop *stop, bool *stole, struct error *err)
{
    const double until = stop_clock() + program->options.wait;
    const struct timespec pause = {0, 500000000};
    bool told = false;
    for (;;) {
        const enum status status = claim_take(claim, program->settings->run, names, count,
                                              program->options.num_variants == 0, stole, err);
        if (status == STATUS_OK || stop_clock() >= until)
            return status;
        RETURN_ERROR_IF(stop_level(stop) > 0, err, STATUS_STOPPED, "told to stop while %s was in use",
                        program->settings->run);
        if (!told && program->options.verbosity > VERBOSITY_QUIET)
            fprintf(stderr, "coppice: waiting: %s\n", err->message);
        told = true;
        *err = (struct error){0};
        nanosleep(&pause, NULL);
    }
}

// Rank 0: the right to write, and a run directory without leftovers.
static enum status take_claim(struct claim **claim, const struct program *program,
                              const struct runner *runner, struct error *err)
{
    const char *run = program->settings->run;
    const char **names = NULL;
    bool stole = false;
    size_t removed = 0;
    enum status status =
        allocate(&names, program->settings->num_variants + 1, sizeof *names, "the locks", err);

    if (status == STATUS_OK)
        status = claim_patiently(claim, program, names, plan_names(runner->plan, names), runner->stop, &stole,
                                 err);
    if (status == STATUS_OK)
        status = claim_clean(*claim, &removed, err);
    if (status == STATUS_OK && stole && program->options.verbosity > VERBOSITY_QUIET)
        fprintf(stderr, "coppice: %s was left by a program that is gone; going on with it\n", run);
    free(names);
    return status;
}

static enum status with_claim(struct program *program, struct runner *runner, struct error *err)
{
    struct claim *claim = NULL;
    enum status status = program->root ? take_claim(&claim, program, runner, err) : STATUS_OK;

    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    GOTO_IF_ERROR(run_record_open(&program->record, &program->world, program->model, program->settings,
                                  program->options.strict, err),
                  done);
    if (program->root)
        status = check_output(program, err);
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    if (program->root)
        status = warn_of_limits(program, runner, err);
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    GOTO_IF_ERROR(runner_prepare(runner, err), done);
    if (program->root)
        status = log_open(&runner->log, program->settings->run, program->world.size, err);
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    log_process(runner->process);
    GOTO_IF_ERROR(team_broadcast(&program->world, runner->process, sizeof runner->process, 0, err), done);
    if (program->root)
        claim_share(claim);
    status = run_plan(program, runner, err);
done:
    log_close(runner->log);
    claim_release(claim);
    return status;
}

static enum status command_stages(struct program *program, struct error *err)
{
    const struct options *options = &program->options;
    struct runner runner = {0};
    struct plan plan = {0};
    struct stop stop = {0};
    enum status status;

    FORWARD_IF_ERROR(open_job(program, err));
    status =
        stop_install(&stop, options->stop_signal, program->started, options->max_time, options->margin, err);
    FORWARD_IF_ERROR(team_agree(&program->world, status, err));
    status = plan_create(&plan, program->model, program->settings, err);
    if (status == STATUS_OK && options->num_variants > 0)
        status = plan_select(&plan, options->variants, options->num_variants, err);
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    runner.options = options;
    runner.settings = program->settings;
    runner.model = program->model;
    runner.record = &program->record;
    runner.plan = &plan;
    runner.stop = &stop;
    runner.world = &program->world;
    runner.stages = stages_of_command(options->command->name);
    GOTO_IF_ERROR(with_claim(program, &runner, err), done);
    if (program->root && (options->command->id == COMMAND_RUN || options->command->id == COMMAND_EVALUATE))
        status = results_print(program->settings, options->json, stdout, err);
    status = team_agree(&program->world, status, err);
done:
    plan_free(&plan);
    stop_uninstall(&stop);
    return status;
}

static enum status run_command(struct program *program, struct error *err)
{
    switch (program->options.command->id) {
    case COMMAND_DIAGNOSE:
        return diagnose_run(program->options.path, &program->world, program->options.json,
                            program->root ? stdout : NULL, program->root ? stderr : NULL, err);
    case COMMAND_VERIFY:
        return verify_run(program->options.path, &program->world, program->options.json,
                          program->root ? stdout : NULL, err);
    default:
        return command_stages(program, err);
    }
}

// Which rank a launcher made of this process, before MPI is asked: only the first one speaks.
static bool launched_as_first(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank != NULL)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

// How many ranks a launcher started.
static size_t launched_ranks(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "PMI_SIZE"};
    uint64_t ranks;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *size = getenv(names[i]);
        if (size != NULL && whole_parse(size, &ranks) && ranks > 0)
            return (size_t)ranks;
    }
    return 1;
}

// Every rank on its own, without MPI.
static enum status make_plan(struct program *program, struct error *err)
{
    const struct options *options = &program->options;
    struct machine machine;
    struct plan plan;
    char *text = NULL;
    size_t size = 0;
    enum status status;

    machine_default(&machine, launched_ranks());
    if (options->nodes > 0)
        machine.nodes = (size_t)options->nodes;
    if (options->ranks_per_node > 0)
        machine.ranks_per_node = (size_t)options->ranks_per_node;
    if (options->threads > 0)
        machine.threads = (size_t)options->threads;
    if (options->machine != NULL)
        FORWARD_IF_ERROR(machine_parse(&machine, options->machine, err));
    if (read_file(&text, &size, options->path, err) != STATUS_OK)
        return err->status = STATUS_USAGE;
    status = job_parse(&program->settings, text, size, options->path, err);
    free(text);
    FORWARD_IF_ERROR(status);
    FORWARD_IF_ERROR(check_paths(program, err));
    FORWARD_IF_ERROR(model_open(&program->model, program->settings->model, err));
    FORWARD_IF_ERROR(prune_check(program->model, program->settings, err));
    FORWARD_IF_ERROR(compensate_check(program->model, program->settings, err));
    FORWARD_IF_ERROR(allocation_check(program->model, program->settings, options->path, err));
    FORWARD_IF_ERROR(plan_create(&plan, program->model, program->settings, err));
    status = plan_print(&plan, &machine, options->json, program->root ? stdout : NULL, err);
    plan_free(&plan);
    return status;
}

static void program_free(struct program *program)
{
    bus_error_name(NULL);
    run_record_free(&program->record);
    model_close(program->model);
    settings_free(program->settings);
}

static int finish(bool speaks, enum status status, const struct error *err)
{
    if (status != STATUS_OK && speaks)
        fprintf(stderr, "coppice: %s\n", err->message);
    if (fflush(stdout) != 0 && status == STATUS_OK && speaks) {
        fprintf(stderr, "coppice: standard output: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return exit_code(status);
}

static bool only_looks(enum command_id command)
{
    return command == COMMAND_STATUS || command == COMMAND_REPORT || command == COMMAND_COMPARE;
}

static enum status look(const struct options *options, struct error *err)
{
    if (options->command->id == COMMAND_COMPARE)
        return compare_runs(options->paths, options->num_paths, options->json, options->html, stdout, stderr,
                            err);
    if (options->command->id == COMMAND_REPORT)
        return report_run(options->path, options->json, stdout, err);
    return status_print(options->path, options->json, stdout, err);
}

int main(int argc, char **argv)
{
    struct program program = {.started = stop_clock()};
    struct error err = {0};
    const bool first = launched_as_first();

    json_memory_watch();
    signal(SIGXFSZ, SIG_IGN); // a file that grows beyond a limit is an error of the call, with a path
    enum status status = options_parse(&program.options, argc, argv, first ? stdout : NULL, &err);

    if (status != STATUS_OK || program.options.done)
        return finish(first, status, &err);
    // On a login node MPI may not start at all: planning a run and looking at one need none.
    program.root = first;
    if (only_looks(program.options.command->id)) {
        status = first ? look(&program.options, &err) : STATUS_OK;
        return finish(first, status, &err);
    }
    if (program.options.command->id == COMMAND_PLAN) {
        status = make_plan(&program, &err);
        program_free(&program);
        return finish(first, status, &err);
    }

    launcher_watch();
    store_before_mpi();
    MPI_Init(&argc, &argv);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); // errors are ours to tell
    if (program.options.threads > 0)
        bli_thread_set_num_threads(program.options.threads);
    status = team_create(&program.world, MPI_COMM_WORLD, 1, &err);
    program.root = program.world.rank == 0;
    bus_error_watch(program.world.rank);
    if (status == STATUS_OK) {
        status = run_command(&program, &err);
        program_free(&program);
        team_free(&program.world);
    }
    int code = finish(program.root, status, &err);
    MPI_Finalize();
    return code;
}
