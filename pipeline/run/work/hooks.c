#include "pipeline/run/work/hooks.h"

#include "io/file/fence.h"

#include <string.h>
#include <time.h>

// Seconds that the unit in hand may still take after the first signal, without --max-time.
static const double default_grace = 20;
static const double seconds_between_reports = 0.5;

double stop_grace(double max_time, double margin)
{
    return max_time > 0 ? margin / 2 : default_grace;
}

bool hooks_are_stopped(const struct run_hooks *hooks)
{
    return stop_level(hooks->stop) > 0 || fence_is_lost() || alarm_heard(hooks->alarm);
}

// ---- headway
// -----------------------------------------------------------------------------------------------

// What the other teams have done counts here as well.
static void hear(struct run_hooks *hooks, int *finished)
{
    struct progress *progress = &hooks->journal->progress;
    double sums[REPORT_AMOUNTS];

    *finished = reports_hear(hooks->reports, sums);
    const double earlier = sums[HEADWAY_EARLIER] - hooks->others[HEADWAY_EARLIER];
    const double done = sums[HEADWAY_DONE] - hooks->others[HEADWAY_DONE];
    memcpy(hooks->others, sums, sizeof sums);
    if (earlier > 0)
        progress_skip(progress, earlier);
    if (done > earlier)
        progress_advance(progress, done - earlier);
}

static void exchange(struct run_hooks *hooks)
{
    int finished;

    if (hooks->hears) {
        hear(hooks, &finished);
    } else if (hooks->tells && stop_clock() - hooks->told > seconds_between_reports) {
        reports_tell(hooks->reports, hooks->own);
        hooks->told = stop_clock();
    }
}

static void count(struct run_hooks *hooks, double work, bool earlier)
{
    struct progress *progress = &hooks->journal->progress;

    hooks->own[HEADWAY_DONE] += work;
    if (earlier) {
        hooks->own[HEADWAY_EARLIER] += work;
        progress_skip(progress, work);
    } else {
        progress_advance(progress, work);
    }
    exchange(hooks);
}

void hooks_begin_phase(struct run_hooks *hooks, const struct team *team)
{
    const bool shared = team->count > 1;

    hooks->hears = shared && team->world_rank == 0;
    hooks->tells = shared && team->rank == 0 && team->world_rank != 0 && !team_is_idle(team);
    hooks->told = 0;
    memset(hooks->own, 0, sizeof hooks->own);
    memset(hooks->others, 0, sizeof hooks->others);
    if (hooks->hears)
        reports_reset(hooks->reports);
}

void hooks_end_phase(struct run_hooks *hooks, const struct team *team)
{
    const struct timespec pause = {0, 5000000};
    int finished = 0;

    if (hooks->tells)
        reports_tell_last(hooks->reports, hooks->own);
    while (hooks->hears) {
        hear(hooks, &finished);
        if (finished == team->count - 1)
            break;
        nanosleep(&pause, NULL);
    }
    hooks->hears = hooks->tells = false;
}

void hooks_begin_unit(struct run_hooks *hooks, double work, double ahead)
{
    hooks->unit_left = work;
    hooks->unit_ahead = ahead;
    hooks->unit_counted = hooks->unit_skipped = 0;
}

void hooks_end_unit(struct run_hooks *hooks)
{
    count(hooks, hooks->unit_left, false);
    hooks->unit_left = 0;
}

void hooks_found_unit(struct run_hooks *hooks, double work)
{
    count(hooks, work, true);
}

// ---- what the stages call
// ----------------------------------------------------------------------------------

static bool should_stop(void *context, double fraction)
{
    struct run_hooks *hooks = context;
    const int level = stop_level(hooks->stop);
    exchange(hooks);
    progress_beat(&hooks->journal->progress);
    if (fence_is_lost() || alarm_heard(hooks->alarm))
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
    const double counts = work < hooks->unit_left ? work : hooks->unit_left;
    hooks->unit_counted += work;
    hooks->unit_left -= counts;
    count(hooks, counts, false);
}

static void skip(void *context, double work)
{
    struct run_hooks *hooks = context;
    const double ahead = work < hooks->unit_ahead ? work : hooks->unit_ahead;
    const double rest = work - ahead, counts = rest < hooks->unit_left ? rest : hooks->unit_left;
    hooks->unit_ahead -= ahead;
    hooks->unit_left -= counts;
    hooks->unit_skipped += ahead + counts;
    count(hooks, counts, true);
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
