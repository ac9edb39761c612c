#include "pipeline/run/hooks.h"

// Seconds that the unit in hand may still take after the first signal, without --max-time.
static const double default_grace = 20;

double stop_grace(double max_time, double margin)
{
    return max_time > 0 ? margin / 2 : default_grace;
}

bool hooks_are_stopped(const struct run_hooks *hooks)
{
    return stop_level(hooks->stop) > 0 || alarm_heard(hooks->alarm);
}

static bool should_stop(void *context, double fraction)
{
    const struct run_hooks *hooks = context;
    const int level = stop_level(hooks->stop);
    progress_beat(&hooks->journal->progress);
    if (alarm_heard(hooks->alarm))
        return true;
    if (level != 1)
        return level > 1;
    // Told once: finish the unit when that is soon done, drop it otherwise.
    const double elapsed = stop_clock() - hooks->unit_started;
    return fraction <= 0 ? elapsed > hooks->grace : elapsed / fraction * (1 - fraction) > hooks->grace;
}

static void advance(void *context, double work)
{
    struct run_hooks *hooks = context;
    // Only the first team reports; the others are taken to be as far with their shares.
    progress_advance(&hooks->journal->progress, work * hooks->all_of_own);
}

static void skip(void *context, double work)
{
    struct run_hooks *hooks = context;
    progress_skip(&hooks->journal->progress, work * hooks->all_of_own);
}

static void notice(void *context, const char *text)
{
    struct run_hooks *hooks = context;
    progress_message(&hooks->journal->progress, "%s", text);
    (void)log_event(hooks->journal->log, NULL, "notice", "{s:s}", "message", text);
}

static void kept(void *context)
{
    const struct run_hooks *hooks = context;
    (void)log_event(hooks->journal->log, NULL, "part", NULL);
}

struct stage_hooks stage_hooks_of(struct run_hooks *hooks)
{
    return (struct stage_hooks){hooks, should_stop, advance, skip, notice, kept};
}
