#include "pipeline/run/work/repair.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "pipeline/plan/unit_input.h"
#include "pipeline/run/committed/committed_file.h"
#include "pipeline/run/work/states.h"
#include "stages/stage.h"

#include <stdlib.h>
#include <unistd.h>

// Returns 1 when the file was there, did not match its checksum, and was removed. One that cannot be read
// now, because memory ran out or a disk fails, stays.
static size_t remove_if_damaged(const char *path)
{
    if (!store_exists(path) || committed_file_check(path, NULL) != STATUS_DAMAGED)
        return 0;
    (void)unlink(path);
    return 1;
}

size_t repair_inputs(const struct unit *const *units, size_t count, const struct settings *settings,
                     size_t layers)
{
    char path[PATH_SIZE];
    size_t removed = 0;

    for (size_t k = 0; k < count; k++) {
        for (size_t i = 0; unit_input(path, units[k], settings, layers, i); i++)
            removed += remove_if_damaged(path);
        for (size_t i = 0; i < layers; i++) {
            states_path(path, settings, hidden_stream(settings, units[k]->variant), i);
            removed += remove_if_damaged(path);
            states_path(path, settings, DENSE_NAME, i);
            removed += remove_if_damaged(path);
        }
    }
    return removed;
}

// damaged[num_units] <- 1 for each file that is damaged, over all ranks.
static enum status find_damaged(uint64_t *damaged, const struct run_context *context, struct error *err)
{
    const struct plan *plan = context->plan;
    const size_t ranks = (size_t)context->world->size;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    for (size_t i = (size_t)context->world->rank; i < plan->num_units && status == STATUS_OK; i += ranks) {
        const struct unit *unit = &plan->units[i];
        if (stop_level(context->stop) > 0)
            break;
        if (!(context->stages & 1U << unit->stage) || stage_row(unit->stage)->proof == PROOF_FOLDER)
            continue;
        unit_path(path, unit, context->settings);
        if (store_exists(path))
            status = committed_file_check(path, err);
        damaged[i] = status == STATUS_DAMAGED;
        if (damaged[i])
            status = STATUS_OK;
    }
    FORWARD_IF_ERROR(team_agree(context->world, status, err));
    return team_sum_u64(context->world, damaged, plan->num_units, err);
}

static void remove_damaged(const char *path, struct journal *journal)
{
    (void)unlink(path);
    progress_message(&journal->progress, "%s is damaged; it will be made again", path);
    (void)log_event(journal->log, NULL, "damaged", "{s:s}", "file", path);
}

enum status repair_found(const struct run_context *context, struct journal *journal, struct error *err)
{
    const struct plan *plan = context->plan;
    char path[PATH_SIZE];
    uint64_t *damaged = NULL;
    enum status status = allocate(&damaged, plan->num_units, sizeof *damaged, "a look at what is done", err);

    GOTO_IF_ERROR(team_agree(context->world, status, err), done);
    GOTO_IF_ERROR(find_damaged(damaged, context, err), done);
    for (size_t i = 0; i < plan->num_units && status == STATUS_OK; i++) {
        if (damaged[i] == 0)
            continue;
        unit_path(path, &plan->units[i], context->settings);
        if (context->options->strict)
            status = error_set(err, STATUS_DAMAGED, "%s is damaged; without --strict it would be made again",
                               path);
        else if (context->world->rank == 0)
            remove_damaged(path, journal);
    }
    team_barrier(context->world);
done:
    free(damaged);
    return status;
}
