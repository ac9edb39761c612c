#include "pipeline/run/work/stopped.h"

#include "io/launched.h"
#include "pipeline/record/history.h"
#include "pipeline/record/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_SIZE = 96 };

void futility_recall(struct futility *futility, const struct run_context *context)
{
    const char *job = launched_in_job();
    struct history history;

    *futility = (struct futility){0};
    if (context->world->rank != 0 || history_read(&history, context->settings->run, NULL) != STATUS_OK)
        return;
    futility->of_last =
        history_ends_futile(&history, context->options->command->name, job != NULL ? job : "");
    history_free(&history);
}

// Whether the last start in the log, which is this one, has committed nothing so far.
static bool nothing_committed(const struct run_context *context)
{
    struct history history;
    bool nothing = false;
    char process[LOG_PROCESS_SIZE];

    if (history_read(&history, context->settings->run, NULL) != STATUS_OK)
        return false;
    log_process(process);
    for (size_t i = history.num_starts; i-- > 0;)
        if (strcmp(history.starts[i].process, process) == 0) {
            nothing = history.starts[i].committed == 0;
            break;
        }
    history_free(&history);
    return nothing;
}

// What a person does, Ctrl-C or kill, says nothing of whether there was enough time.
static bool is_by_scheduler(const struct stop *stop, const char *reason)
{
    static const int of_people[] = {SIGINT, SIGTERM};
    char text[REASON_SIZE];
    for (size_t i = 0; i < sizeof of_people / sizeof *of_people; i++) {
        snprintf(text, sizeof text, "signal %s", stop_signal_name(of_people[i]));
        if (strcmp(reason, text) == 0)
            return stop->stop_signal == of_people[i];
    }
    return true;
}

// Collective over the world: what stopped it, as the first rank says that was told. A time limit reaches the
// ranks one after the other.
static enum status find_reason(char reason[REASON_SIZE], const struct run_context *context, struct error *err)
{
    const struct team *world = context->world;
    const bool told = stop_level(context->stop) > 0;
    double first = told ? (double)(world->size - world->rank) : 0;

    FORWARD_IF_ERROR(team_max_f64(world, &first, 1, err));
    snprintf(reason, REASON_SIZE, "a signal");
    if (told)
        (void)stop_reason(context->stop, reason, REASON_SIZE);
    return first > 0 ? team_broadcast(world, reason, REASON_SIZE, world->size - (int)first, err) : STATUS_OK;
}

enum status stop_explain(struct futility *futility, const struct run_context *context, struct error *err)
{
    char reason[REASON_SIZE];
    uint8_t twice = 0;

    FORWARD_IF_ERROR(find_reason(reason, context, err));
    if (context->world->rank == 0) {
        futility->of_this = is_by_scheduler(context->stop, reason) && nothing_committed(context);
        twice = futility->of_this && futility->of_last;
    }
    FORWARD_IF_ERROR(team_broadcast(context->world, &twice, sizeof twice, 0, err));
    RETURN_ERROR_IF(
        twice != 0, err, STATUS_FAILED,
        "stopped by %s before anything was finished, as the last time: starting again would get no "
        "further. Give it more time, or more ranks",
        reason);
    return error_set(err, STATUS_STOPPED, "stopped by %s; run the same command again to go on", reason);
}
