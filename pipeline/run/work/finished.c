#include "pipeline/run/work/finished.h"

#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "pipeline/plan/unit.h"
#include "stages/budget/trials.h"

#include <math.h>

// A search that found nothing has left everything that there is to be left, and no model.
static enum status check_budgets(const struct run_context *context, struct error *err)
{
    const struct settings *settings = context->settings;
    struct budget_result result;

    for (size_t i = 0; i < context->plan->num_units; i++) {
        const struct variant *variant = context->plan->units[i].variant;
        if (context->plan->units[i].stage != STAGE_ATTEMPT || variant == NULL ||
            !budget_is_broken(settings, variant) ||
            budget_result_read(&result, settings, variant, NULL) != STATUS_OK)
            continue;
        return error_set(
            err, STATUS_FAILED,
            "%s: prune.budget: no model is within %g times the dense model's perplexity: already "
            "a sparsity of %g has %.4f times it on the held-out text. Nothing is made of this "
            "variant; give a larger budget, or compensate.output: least_squares",
            variant_base(variant)->name, variant->budget, result.sparsity,
            exp(result.mean_nll - result.dense));
    }
    return STATUS_OK;
}

static enum status check(const struct run_context *context, struct error *err)
{
    const struct settings *settings = context->settings;
    char path[PATH_SIZE];

    run_file_path(path, settings->run, RUN_RECORD);
    RETURN_ERROR_IF(!store_exists(path), err, STATUS_FAILED,
                    "%s is gone: the run directory was removed or moved away while the program ran", path);
    if (context->stages != stages_of_command("run"))
        return STATUS_OK;
    for (size_t i = 0; i < context->plan->num_units; i++) {
        const struct unit *unit = &context->plan->units[i];
        struct error why = {0};
        if (unit_look(unit, settings, context->record, &why))
            continue;
        // A record that there was no memory for is no record.
        FORWARD_IF_ERROR(json_memory_check("what is there at the end", err));
        RETURN_ERROR_IF(why.status != STATUS_OK, err, why.status, "%s", why.message);
        unit_path(path, unit, settings);
        return error_set(err, STATUS_FAILED,
                         "%s is not there at the end: was the run directory changed meanwhile? Run the same "
                         "command again",
                         path);
    }
    return check_budgets(context, err);
}

enum status finished_check(const struct run_context *context, struct error *err)
{
    enum status status = STATUS_OK;
    if (context->world->rank == 0)
        status = check(context, err);
    return team_agree(context->world, status, err);
}
