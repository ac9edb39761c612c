#include "pipeline/run/repair.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "pipeline/run/states.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status check_file(const char *path, struct error *err)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL && strcmp(dot, ".json") == 0 ? sealed_json_read(NULL, path, err)
                                                    : store_verify(path, err);
}

// 1 when the file was there, did not match its checksum, and was removed. One that cannot be read now, for
// want of memory or by a failing disk, stays.
static size_t remove_if_damaged(const char *path)
{
    if (!store_exists(path) || check_file(path, NULL) != STATUS_DAMAGED)
        return 0;
    (void)unlink(path);
    return 1;
}

enum status repair_inputs(struct runner *runner, struct error *err)
{
    const struct settings *settings = runner->settings;
    const size_t layers = runner->model->config.num_hidden_layers;
    char path[PATH_SIZE];
    size_t removed = 0;

    for (size_t k = 0; k < runner->num_units; k++) {
        const struct unit *unit = runner->units[k];
        for (size_t i = 0; unit_input(path, unit, settings, layers, i); i++)
            removed += remove_if_damaged(path);
        for (size_t i = 0; i < layers; i++) {
            states_path(path, runner, hidden_stream(settings, unit->variant), i);
            removed += remove_if_damaged(path);
            states_path(path, runner, "dense", i);
            removed += remove_if_damaged(path);
        }
    }
    if (removed == 0)
        return STATUS_DAMAGED; // nothing to mend: the error stands
    progress_message(&runner->progress, "%s; made again", err->message);
    (void)log_event(runner->log, NULL, "damaged", "{s:s}", "message", err->message);
    return STATUS_OK;
}

enum status repair_found(struct runner *runner, struct error *err)
{
    const struct plan *plan = runner->plan;
    const int rank = runner->world->rank, size = runner->world->size;
    char path[PATH_SIZE];
    uint64_t *damaged = NULL;
    enum status status = allocate(&damaged, plan->num_units, sizeof *damaged, "a look at what is done", err);

    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    for (size_t i = (size_t)rank; i < plan->num_units && stop_level(runner->stop) == 0 && status == STATUS_OK;
         i += (size_t)size) {
        const struct unit *unit = &plan->units[i];
        if (!(runner->stages & 1U << unit->stage) || stage_row(unit->stage)->proof == PROOF_FOLDER)
            continue;
        unit_path(path, unit, runner->settings);
        if (store_exists(path))
            status = check_file(path, err);
        damaged[i] = status == STATUS_DAMAGED;
        if (damaged[i])
            status = STATUS_OK;
    }
    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    GOTO_IF_ERROR(team_sum_u64(runner->world, damaged, plan->num_units, err), done);
    for (size_t i = 0; i < plan->num_units && status == STATUS_OK; i++) {
        if (damaged[i] == 0)
            continue;
        unit_path(path, &plan->units[i], runner->settings);
        if (runner->options->strict) {
            status = error_set(err, STATUS_DAMAGED, "%s is damaged; without --strict it would be made again",
                               path);
        } else if (rank == 0) {
            (void)unlink(path);
            progress_message(&runner->progress, "%s is damaged; it is made again", path);
            (void)log_event(runner->log, NULL, "damaged", "{s:s}", "file", path);
        }
    }
    team_barrier(runner->world);
done:
    free(damaged);
    return status;
}
