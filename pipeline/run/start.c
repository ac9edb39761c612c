#include "pipeline/run/start.h"

#include "pipeline/cli/exit_code.h"
#include "pipeline/plan/warnings/job_warnings.h"
#include "pipeline/record/results/measures.h"
#include "pipeline/run/claim/claim_wait.h"
#include "pipeline/run/claim/world_fence.h"
#include "pipeline/run/prepare.h"
#include "pipeline/run/work/finished.h"
#include "pipeline/run/work/run.h"
#include "pipeline/run/work/stopped.h"
#include "pipeline/text/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// They take turns on the cores that there are, and the last piece of every product waits for its turn.
static void warn_of_threads(struct warnings *warnings, size_t ranks, size_t threads)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (threads > 1 && cores > 0 && ranks * threads > (size_t)cores)
        warnings_add(warnings,
                     "%zu rank%s of %zu threads on %ld core%s: threads that share a core only take turns; "
                     "take fewer",
                     ranks, ranks == 1 ? "" : "s", threads, cores, cores == 1 ? "" : "s");
}

// Rank 0. The warnings that `plan` would have printed, and that of this start.
static enum status warn(const struct run_context *context, struct error *err)
{
    const size_t ranks = (size_t)context->world->node_size;
    struct warnings warnings;
    struct plan_cost cost;

    FORWARD_IF_ERROR(plan_cost(&cost, context->plan, ranks, err));
    if (context->options->verbosity <= VERBOSITY_QUIET)
        return STATUS_OK;
    job_warnings(&warnings, context->plan, &cost, ranks, !context->record->is_first);
    warn_of_threads(&warnings, ranks, (size_t)context->options->threads);
    for (size_t i = 0; i < warnings.count; i++)
        say(stderr, "careful: %s", warnings.lines[i]);
    const enum status status = warnings_check(&warnings, err);
    warnings_free(&warnings);
    return status;
}

static void begin_progress(struct journal *journal, const struct run_context *context)
{
    const struct options *options = context->options;
    struct progress *progress = &journal->progress;
    const bool speaks = context->world->rank == 0 && options->verbosity > VERBOSITY_QUIET;
    double work = 0;

    for (size_t i = 0; i < context->plan->num_units; i++)
        if (context->stages & 1U << context->plan->units[i].stage)
            work += context->plan->units[i].work;
    progress_begin(progress, work, options->progress, speaks ? stderr : NULL);
    progress->work_name = "flop";
    journal->is_quiet = options->verbosity <= VERBOSITY_QUIET;
}

// Collective over the world: rank 0 tells which unit its team could not go on with. An error where nothing
// was done.
static enum status tell_waiting(struct run_outcome *outcome, const struct run_context *context,
                                struct error *err)
{
    uint8_t nothing = outcome->units_done + outcome->units_found == 0;

    FORWARD_IF_ERROR(team_broadcast(context->world, outcome->waiting, sizeof outcome->waiting, 0, err));
    FORWARD_IF_ERROR(team_broadcast(context->world, &nothing, sizeof nothing, 0, err));
    if (outcome->waiting[0] == '\0')
        return STATUS_OK;
    RETURN_ERROR_IF(nothing, err, STATUS_FAILED, "nothing could be done: %s, which is not there yet",
                    outcome->waiting);
    if (context->world->rank == 0 && context->options->verbosity > VERBOSITY_QUIET)
        fprintf(stderr, "coppice: %zu units done; now %s, which is not there yet\n", outcome->units_done,
                outcome->waiting);
    return STATUS_OK;
}

static void log_end(const struct journal *journal, enum status status, const struct futility *futility,
                    const struct error *err)
{
    (void)log_event(journal->log, NULL, status == STATUS_OK ? "done" : "end", "{s:i, s:s, s:b}", "exit_code",
                    exit_code(status), "message", status == STATUS_OK ? "" : err->message, "futile",
                    futility->of_this);
}

static enum status run_and_tell(const struct run_context *context, const struct test_data *data,
                                struct journal *journal, struct error *err)
{
    struct run_outcome outcome = {0};
    const char *command = context->options->command->name;
    struct futility futility;

    futility_recall(&futility, context);
    begin_progress(journal, context);
    (void)log_event(journal->log, NULL, "start", "{s:s}", "command", command);
    enum status status = journal_share_bar(journal, context->world, err);
    if (status == STATUS_OK)
        status = run_carry_out(&outcome, context, data, journal, err);
    if (status == STATUS_OK)
        status = finished_check(context, err);
    progress_end(&journal->progress);
    if (status == STATUS_STOPPED)
        status = stop_explain(&futility, context, err);
    log_end(journal, status, &futility, err);
    FORWARD_IF_ERROR(status);
    return tell_waiting(&outcome, context, err);
}

static void tell_notice(const char *notice, const struct run_context *context, const struct journal *journal)
{
    if (notice[0] == '\0')
        return;
    if (context->options->verbosity > VERBOSITY_QUIET)
        say(stderr, "%s", notice);
    (void)log_event(journal->log, NULL, "notice", "{s:s}", "message", notice);
}

// Collective over the world: told to stop while inputs were read. It is in the log, so that who starts again
// on 75 and gets no further is told so.
static enum status stop_before_units(const struct run_context *context, struct error *err)
{
    struct journal journal = {.log = NULL};
    struct futility futility;

    futility_recall(&futility, context);
    FORWARD_IF_ERROR(journal_open(&journal, context->world, context->settings->run, err));
    (void)log_event(journal.log, NULL, "start", "{s:s}", "command", context->options->command->name);
    const enum status status = stop_explain(&futility, context, err);
    log_end(&journal, status, &futility, err);
    journal_close(&journal);
    return status;
}

// Collective over the world; rank 0 holds the claim, and lets go of the run directory as soon as it is open.
// settings: the context's, which learn what all files are made from.
static enum status open_and_run(const struct run_context *context, struct settings *settings,
                                struct admission *admission, struct claim *claim, struct error *err)
{
    const bool root = context->world->rank == 0;
    struct journal journal = {.log = NULL};
    char numerics[NUMERICS_NOTICE_SIZE], notices[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE];
    enum status status;

    FORWARD_IF_ERROR(world_fence_set(claim, context->world, err));
    status = admission_check(admission, context, false, err);
    stop_unwatch();
    if (status == STATUS_STOPPED)
        return stop_before_units(context, err);
    FORWARD_IF_ERROR(status);
    settings->made_from = admission->record.made_from;
    measures_set(settings, admission->record.json);
    if (root)
        status = warn(context, err);
    FORWARD_IF_ERROR(team_agree(context->world, status, err));
    FORWARD_IF_ERROR(run_prepare(admission, numerics, notices, context, err));
    GOTO_IF_ERROR(journal_open(&journal, context->world, context->settings->run, err), done);
    if (root)
        claim_share(claim);
    GOTO_IF_ERROR(world_fence_set(claim, context->world, err), done);
    if (root) {
        tell_notice(context->model_notice, context, &journal);
        tell_notice(numerics, context, &journal);
        for (int i = 0; i < SEQUENCES_NOTICES; i++)
            tell_notice(notices[i], context, &journal);
    }
    status = run_and_tell(context, &admission->data, &journal, err);
done:
    journal_close(&journal);
    return status;
}

static enum status plan_job(struct plan *plan, uint8_t **chosen, const struct opened_job *job,
                            const struct options *options, struct error *err)
{
    FORWARD_IF_ERROR(plan_create(plan, job->model, job->settings, err));
    FORWARD_IF_ERROR(allocate(chosen, plan->num_units, 1, "the plan", err));
    return plan_choose(*chosen, plan, options->variants, options->num_variants, err);
}

enum status job_start(const struct opened_job *job, const struct options *options, const struct stop *stop,
                      const struct team *world, unsigned stages, struct error *err)
{
    struct plan plan = {0};
    struct admission admission = {0};
    struct claim *claim = NULL;
    uint8_t *chosen = NULL; // of the plan's units
    const struct run_context context = {.options = options,
                                        .settings = job->settings,
                                        .model = job->model,
                                        .model_notice = job->notice,
                                        .plan = &plan,
                                        .record = &admission.record,
                                        .stop = stop,
                                        .world = world,
                                        .stages = stages};
    enum status status = plan_job(&plan, &chosen, job, options, err);

    GOTO_IF_ERROR(team_agree(world, status, err), done);
    if (world->rank == 0)
        status = claim_wait(&claim, chosen, &context, err);
    GOTO_IF_ERROR(team_agree(world, status, err), done);
    // Rank 0 has looked at what the variants share.
    GOTO_IF_ERROR(team_broadcast(world, chosen, plan.num_units, 0, err), done);
    plan_keep(&plan, chosen);
    status = open_and_run(&context, job->settings, &admission, claim, err);
    status = world_fence_blame(status, world, err);
done:
    claim_release(claim);
    fence_clear();
    admission_free(&admission);
    plan_free(&plan);
    free(chosen);
    return status;
}
