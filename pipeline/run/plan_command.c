#include "pipeline/run/plan_command.h"

#include "pipeline/plan/machine.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/print.h"
#include "pipeline/run/launched.h"
#include "pipeline/run/open_job.h"

static enum status machine_of(struct machine *machine, const struct options *options, struct error *err)
{
    machine_default(machine, launched_ranks());
    if (options->nodes > 0)
        machine->nodes = (size_t)options->nodes;
    if (options->ranks_per_node > 0)
        machine->ranks_per_node = (size_t)options->ranks_per_node;
    if (options->threads > 0)
        machine->threads = (size_t)options->threads;
    return options->machine != NULL ? machine_parse(machine, options->machine, err) : STATUS_OK;
}

enum status plan_command(const struct options *options, FILE *out, struct error *err)
{
    const struct ignored_keys ignored = {options->ignored_keys, options->num_ignored_keys};
    const struct job_sets sets = {options->sets, options->num_sets};
    struct opened_job job = {0};
    struct machine machine;
    struct plan plan = {0};
    enum status status;

    GOTO_IF_ERROR(machine_of(&machine, options, err), done);
    GOTO_IF_ERROR(job_open(&job, options->path, &sets, &ignored, NULL, err), done);
    if (job.notice[0] != '\0' && options->verbosity > VERBOSITY_QUIET)
        fprintf(stderr, "coppice: %s\n", job.notice);
    GOTO_IF_ERROR(plan_create(&plan, job.model, job.settings, err), done);
    status = plan_print(&plan, &machine, options->json, out, err);
done:
    plan_free(&plan);
    job_close(&job);
    return status;
}
