// main.c - coppice: the program. All ranks take the same path through it; only rank 0 prints.
#include "io/file/hdf5_file.h"
#include "io/file/interrupt.h"
#include "io/file/json_memory.h"
#include "io/launched.h"
#include "io/store/store.h"
#include "kernels/bf16_gemm.h"
#include "kernels/gemm.h"
#include "kernels/threads.h"
#include "pipeline/cli/exit_code.h"
#include "pipeline/cli/options.h"
#include "pipeline/cli/set_blame.h"
#include "pipeline/cli/standard_descriptors.h"
#include "pipeline/cli/stop.h"
#include "pipeline/cli/terminal.h"
#include "pipeline/doctor/doctor.h"
#include "pipeline/plan/stages.h"
#include "pipeline/report/compare.h"
#include "pipeline/report/report.h"
#include "pipeline/report/results.h"
#include "pipeline/report/variant_table.h"
#include "pipeline/run/admit/argument.h"
#include "pipeline/run/committed/verify.h"
#include "pipeline/run/diagnose.h"
#include "pipeline/run/plan_command.h"
#include "pipeline/run/process/bus_error.h"
#include "pipeline/run/process/compute_choice.h"
#include "pipeline/run/process/kernel_choice.h"
#include "pipeline/run/process/launcher.h"
#include "pipeline/run/process/mpi_room.h"
#include "pipeline/run/start.h"
#include "pipeline/status/status.h"
#include "pipeline/text/say.h"

#include <errno.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct program {
    struct options options;
    struct team world;
    bool root;
    double started;
    struct kernel_survey survey;
};

static bool measures(enum command_id command)
{
    return command == COMMAND_RUN || command == COMMAND_EVALUATE;
}

// The first calls of the BLAS: its kernels, its threads, its memory. run: the run directory, if there is one.
static enum status prepare_products(const struct program *program, const char *run, struct error *err)
{
    const struct options *options = &program->options;
    char notice[256], library[BLAS_NAME_SIZE];

    blas_name(library, sizeof library);
    FORWARD_IF_ERROR(
        kernel_agree(notice, sizeof notice, &program->survey, options->kernel, run, &program->world, err));
    if (program->root && options->verbosity > VERBOSITY_QUIET && notice[0] != '\0')
        say(stderr, "careful: %s", notice);
    if (program->root && options->verbosity > VERBOSITY_NORMAL)
        fprintf(stderr, "coppice: matrix products by %s, kernels %s\n", library, blas_kernel_name());
    if (options->threads > 0)
        threads_set((size_t)options->threads);
    return team_agree(&program->world, gemm_prepare(err), err);
}

// What the job's linears are multiplied by, where it is not the BLAS's float32.
static enum status agree_on_compute(const struct program *program, const struct settings *settings,
                                    struct error *err)
{
    const enum verbosity verbosity = program->options.verbosity;
    char notice[320], name[BF16_UNIT_NAME_SIZE];

    // Once more, as the number of threads is known now.
    FORWARD_IF_ERROR(team_agree(&program->world, compute_prepare(settings->compute, err), err));
    FORWARD_IF_ERROR(compute_agree(notice, sizeof notice, settings, &program->world, err));
    if (program->root && verbosity > VERBOSITY_QUIET && notice[0] != '\0')
        say(stderr, "careful: %s", notice);
    compute_name(name, sizeof name, settings->compute);
    if (program->root && verbosity > VERBOSITY_NORMAL && settings->compute != COMPUTE_FLOAT32)
        fprintf(stderr, "coppice: linears in bfloat16 by %s\n", name);
    return STATUS_OK;
}

// What a signal handler prints. There may be a bar by then, which is cleared.
static const char *hurried_line(void)
{
#define HURRIED_LINE \
    "coppice: stopped by signal SIGTERM, mpirun's for Ctrl-C; run the same command again to go on\n"
    return terminal_columns(stderr) > 0 ? "\r\033[K" HURRIED_LINE : HURRIED_LINE;
#undef HURRIED_LINE
}

// Where the last line is written past mpirun, `direct`, all that goes to the same terminal is: a bar that
// mpirun still has to pass on would be shown after that line.
static void go_direct(int direct)
{
    if (direct >= 0 && isatty(direct) && terminal_columns(stderr) > 0 && !launched_with_changed_output()) {
        signal(SIGTTOU, SIG_IGN); // of a terminal that stops background programs that write
        (void)dup2(direct, STDERR_FILENO);
    }
}

static enum status work(const struct program *program, struct error *err)
{
    const struct options *options = &program->options;
    const struct ignored_keys ignored = {options->ignored_keys, options->num_ignored_keys};
    const struct job_sets sets = {options->sets, options->num_sets};
    struct opened_job job = {0};
    struct stop stop = {0};
    enum status status;
    int direct = -1;

    RETURN_ERROR_IF(options->teams > program->world.size, err, STATUS_USAGE,
                    "--teams %d: a team has at least one rank, and there are %d", options->teams,
                    program->world.size);
    GOTO_IF_ERROR(job_open(&job, options->path, &sets, &ignored, &program->world, err), done);
    GOTO_IF_ERROR(prepare_products(program, job.settings->run, err), done);
    GOTO_IF_ERROR(agree_on_compute(program, job.settings, err), done);
    status =
        stop_install(&stop, options->stop_signal, program->started, options->max_time, options->margin, err);
    GOTO_IF_ERROR(team_agree(&program->world, status, err), done);
    if (program->root && launched_is_cut_off())
        direct = launched_error_stream();
    go_direct(direct);
    if (launched_by_mpirun())
        stop_hurry(program->root ? hurried_line() : NULL, direct >= 0 ? direct : STDERR_FILENO);
    stop_watch(&stop, program->root);
    interrupt_set(stop_is_told, &stop);
    GOTO_IF_ERROR(
        job_start(&job, options, &stop, &program->world, stages_of_command(options->command->name), err),
        done);
    if (program->root && measures(options->command->id))
        status = results_print(job.settings, options->json, stdout, err);
    status = team_agree(&program->world, status, err);
done:
    interrupt_set(NULL, NULL);
    stop_uninstall(&stop);
    if (direct >= 0)
        close(direct);
    job_close(&job);
    return status;
}

static enum status run_command(const struct program *program, struct error *err)
{
    const struct options *options = &program->options;
    FILE *out = program->root ? stdout : NULL;

    switch (options->command->id) {
    case COMMAND_DIAGNOSE:
        FORWARD_IF_ERROR(prepare_products(program, options->path, err));
        return diagnose_run(options, &program->world, out, program->root ? stderr : NULL, err);
    case COMMAND_DOCTOR:
        FORWARD_IF_ERROR(prepare_products(program, NULL, err));
        return doctor_run(options, &program->world, out, err);
    case COMMAND_VERIFY:
        return verify_run(options->path, &program->world, options->json, out, err);
    default:
        return work(program, err);
    }
}

static enum status run_with_mpi(struct program *program, int *argc, char ***argv, struct error *err)
{
    // A reader that goes away, mpirun when it is killed for one, is a failed write, and no end of the work.
    signal(SIGPIPE, SIG_IGN);
    launcher_watch();
    const size_t started = launched_world(); // a rank that is alone is given variables by MPI_Init
    const bool is_first = launched_as_first();
    if (program->options.command->options & TAKES_KERNEL)
        kernel_survey(&program->survey, program->options.kernel);
    store_before_mpi();
    mpi_room_start(argc, argv);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); // we report errors ourselves
    enum status status = team_create(&program->world, MPI_COMM_WORLD, 1, err);
    // Of ranks that are each alone, one speaks.
    program->root = program->world.rank == 0 && (program->world.size > 1 || is_first || started == 1);
    bus_error_watch(program->world.rank);
    if (status == STATUS_OK) {
        status = launcher_check(started, program->world.size, err);
        if (status == STATUS_OK)
            status = run_command(program, err);
        if (status == STATUS_OK) // a JSON value, written or printed, may have lost a part on any rank
            status = team_agree(&program->world, json_memory_check("a result", err), err);
        team_free(&program->world);
    }
    return status;
}

// Commands that need no MPI: on a login node it may not start at all.
static bool only_looks(enum command_id command)
{
    return command == COMMAND_PLAN || command == COMMAND_STATUS || command == COMMAND_REPORT ||
           command == COMMAND_COMPARE || command == COMMAND_RESULTS;
}

static enum status look(const struct options *options, bool first, struct error *err)
{
    switch (options->command->id) {
    case COMMAND_PLAN:
        return plan_command(options, first ? stdout : NULL, err);
    case COMMAND_COMPARE:
        return !first ? STATUS_OK
                      : compare_runs(options->paths, options->num_paths, options->json, options->html, stdout,
                                     stderr, err);
    case COMMAND_REPORT:
        return !first ? STATUS_OK : report_run(options->path, options->json, options->html, stdout, err);
    case COMMAND_RESULTS:
        return !first ? STATUS_OK
                      : variant_table_print(options->paths, options->num_paths, options->json, stdout, stderr,
                                            err);
    default:
        return !first ? STATUS_OK : status_print(options->path, options->json, stdout, err);
    }
}

// Prints what went wrong, if anything did. Returns the exit code.
static int finish(bool speaks, enum status status, const struct error *err)
{
    if (status != STATUS_OK && speaks && !(status == STATUS_STOPPED && stop_was_announced()))
        say(stderr, "%s", err->message);
    const bool lost = ferror(stdout) != 0; // an earlier write, whose reason is forgotten
    if ((fflush(stdout) != 0 || lost) && status == STATUS_OK && speaks) {
        fprintf(stderr, "coppice: standard output: %s\n", lost ? "writing failed" : strerror(errno));
        return EXIT_FAILED;
    }
    return exit_code(status);
}

// The end of a rank that will not start MPI. All ranks have mostly the same to say, which the first one does:
// another one waits a moment, in which the launcher ends it if the first has failed, too. If not, it is this
// one alone.
static int refuse(bool first, bool speaks, enum status status, const struct error *err)
{
    const struct timespec pause = {1, 0};

    if (!first && speaks)
        nanosleep(&pause, NULL);
    const int code = finish(speaks, status, err);
    launched_abort(code);
    return code;
}

int main(int argc, char **argv)
{
    struct program program = {.started = stop_clock()};
    struct error err = {0};
    const bool first = launched_as_first();

    standard_descriptors_hold();
    hdf5_set_variables();
    json_memory_watch();
    signal(SIGXFSZ, SIG_IGN); // a file that grows beyond a limit: write fails, and the message has a path
    enum status status = options_parse(&program.options, argc, argv, first ? stdout : NULL, &err);

    if (status == STATUS_OK && !program.options.done)
        status = argument_check(&program.options, &err);
    if (program.options.done)
        return finish(first, status, &err);
    if (status != STATUS_OK)
        return refuse(first, first || launched_to_end_together(), status, &err);
    if (only_looks(program.options.command->id)) {
        status = look(&program.options, first, &err);
        if (status == STATUS_OK)
            status = json_memory_check("the output", &err);
        set_blame(&err, &program.options);
        return finish(first, status, &err);
    }
    status = mpi_room_check(&err);
    if (status != STATUS_OK)
        return refuse(first, true, status, &err);
    status = run_with_mpi(&program, &argc, &argv, &err);
    set_blame(&err, &program.options);
    const int code = finish(program.root, status, &err);
    MPI_Finalize();
    return code;
}
