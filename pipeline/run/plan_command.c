#include "pipeline/run/plan_command.h"

#include "io/launched.h"
#include "kernels/threads.h"
#include "pipeline/plan/costs/machine.h"
#include "pipeline/plan/measure.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/print.h"
#include "pipeline/run/admit/admission.h"
#include "pipeline/run/admit/open_job.h"
#include "pipeline/text/say.h"

static enum status machine_of(struct machine *machine, const struct options *options, struct error *err)
{
    machine_default(machine, launched_ranks());
    if (options->nodes > 0)
        machine->nodes = (size_t)options->nodes;
    if (options->ranks_per_node > 0)
        machine->ranks_per_node = (size_t)options->ranks_per_node;
    machine->threads = options->threads > 0 ? (size_t)options->threads : threads_count();
    return options->machine != NULL ? machine_parse(machine, options->machine, err) : STATUS_OK;
}

// What `run` would refuse, and tell of the sequences. Where there is little memory a plan still says how much
// the run needs.
static enum status look_whether_it_starts(struct warnings *told, const struct opened_job *job,
                                          const struct plan *plan, const struct options *options,
                                          struct error *err)
{
    struct team alone;
    struct admission admission = {0};
    struct error why = {0};
    const struct run_context context = {.options = options,
                                        .settings = job->settings,
                                        .model = job->model,
                                        .model_notice = job->notice,
                                        .plan = plan,
                                        .record = &admission.record,
                                        .world = &alone,
                                        .stages = stages_of_command("run")};

    team_alone(&alone);
    const enum status status = admission_check(&admission, &context, true, &why);
    if (status == STATUS_OK) {
        char notices[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE];
        sequences_notice(notices, &admission.sequences, job->settings);
        for (int i = 0; i < SEQUENCES_NOTICES; i++)
            if (notices[i][0] != '\0')
                warnings_add(told, "%s", notices[i]);
    }
    admission_free(&admission);
    return status == STATUS_OK || status == STATUS_MEMORY ? STATUS_OK
                                                          : error_set(err, status, "%s", why.message);
}

enum status plan_command(const struct options *options, FILE *out, struct error *err)
{
    const struct ignored_keys ignored = {options->ignored_keys, options->num_ignored_keys};
    const struct job_sets sets = {options->sets, options->num_sets};
    struct opened_job job = {0};
    struct machine machine;
    struct plan plan = {0};
    struct warnings told = {0};
    enum status status;

    GOTO_IF_ERROR(machine_of(&machine, options, err), done);
    threads_set(machine.threads); // each has a workspace
    GOTO_IF_ERROR(job_open(&job, options->path, &sets, &ignored, NULL, err), done);
    if (job.notice[0] != '\0' && options->verbosity > VERBOSITY_QUIET)
        say(stderr, "%s", job.notice);
    GOTO_IF_ERROR(plan_create(&plan, job.model, job.settings, err), done);
    GOTO_IF_ERROR(look_whether_it_starts(&told, &job, &plan, options, err), done);
    // Other rates that the command line gives stand over measured ones.
    if (machine.measured && out != NULL)
        GOTO_IF_ERROR(machine_measure(&machine, &plan, err), done);
    threads_set(machine.threads);
    if (machine.measured)
        GOTO_IF_ERROR(machine_parse(&machine, options->machine, err), done);
    GOTO_IF_ERROR(warnings_check(&told, err), done);
    status = plan_print(&plan, &machine, &told, options->json, out, err);
done:
    warnings_free(&told);
    plan_free(&plan);
    job_close(&job);
    return status;
}
