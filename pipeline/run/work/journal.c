#include "pipeline/run/work/journal.h"

#include "io/file/process_identity.h"

#include <jansson.h>
#include <sys/resource.h>

enum status journal_open(struct journal *journal, const struct team *world, const char *run,
                         struct error *err)
{
    enum status status = STATUS_OK;

    if (world->rank == 0)
        status = log_open(&journal->log, run, world->size, err);
    FORWARD_IF_ERROR(team_agree(world, status, err));
    log_process(journal->process);
    return team_broadcast(world, journal->process, sizeof journal->process, 0, err);
}

void journal_close(struct journal *journal)
{
    log_close(journal->log);
    journal->log = NULL;
}

enum status journal_share_bar(struct journal *journal, const struct team *world, struct error *err)
{
    const struct progress *progress = &journal->progress;
    uint8_t bar = progress->out != NULL && progress->mode == PROGRESS_BAR;

    FORWARD_IF_ERROR(team_broadcast(world, &bar, sizeof bar, 0, err));
    journal->has_bar = bar != 0;
    return STATUS_OK;
}

void journal_join_team(struct journal *journal, const struct team *team, const char *run)
{
    if (team->rank != 0 || team->world_rank == 0 || team_is_idle(team) || journal->log != NULL)
        return;
    progress_begin(&journal->progress, 0, PROGRESS_NONE, journal->is_quiet ? NULL : stderr);
    journal->progress.beside_bar = journal->has_bar;
    if (log_open(&journal->log, run, team->world_size, NULL) == STATUS_OK)
        log_set_process(journal->log, journal->process);
}

void journal_leave_team(struct journal *journal, const struct team *team)
{
    if (team->world_rank == 0)
        return;
    progress_end(&journal->progress);
    journal_close(journal);
}

void journal_unit(const struct journal *journal, const struct team *team, const struct settings *settings,
                  const struct unit *unit, const char *event, const struct unit_spent *spent)
{
    struct process_identity self;
    struct rusage usage = {0};

    if (journal->log == NULL)
        return;
    json_t *skipped = spent->skipped > 0 ? json_real(spent->skipped) : NULL;
    process_identity_self(&self);
    (void)getrusage(RUSAGE_SELF, &usage);
    // The log is a witness, not a ledger: a run does not end because a line could not be written.
    (void)log_event(
        journal->log, NULL, event, "{s:s, s:s?, s:I, s:f, s:f, s:o*, s:i, s:i, s:i, s:s, s:I, s:s*}", "stage",
        stage_name(unit->stage), "variant", unit->variant != NULL ? unit->variant->name : NULL, "layer",
        (json_int_t)unit->layer, "seconds", spent->seconds, "work", spent->work, "skipped", skipped, "team",
        team->index, "first_rank", team->world_rank, "team_ranks", team->size, "node", self.host,
        "peak_memory", (json_int_t)usage.ru_maxrss * 1024, "task", unit_task_name(unit, settings));
}
