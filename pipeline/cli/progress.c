#include "pipeline/cli/progress.h"
#include "io/text/printable.h"
#include "pipeline/cli/stop.h"
#include "pipeline/cli/terminal.h"
#include "pipeline/text/duration.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double seconds_between_redraws = 0.2;
static const double seconds_between_lines = 10, longest_silence = 30;
static const double share_between_lines = 0.05;
static const double seconds_of_rate = 60; // of a unit that lasts
// A small unit is mostly what is no work: its rate says nothing of large ones.
static const double least_share_of_rate = 0.01;
// What this start has measured counts alone from here on; before, what was known counts with it.
static const double enough_of_rate = 0.05, enough_seconds = 600;

enum { LINE_SIZE = 512, DEFAULT_COLUMNS = 80, NARROWEST_BAR = 10, WIDEST_BAR = 40 };

static double monotonic_seconds(void *data)
{
    struct timespec now;
    (void)data;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_begin_with_clock(struct progress *progress, double total_work, enum progress_mode mode,
                               FILE *out, progress_clock *clock, void *clock_data)
{
    *progress = (struct progress){.out = out, .mode = mode, .clock = clock, .clock_data = clock_data};
    pthread_mutex_init(&progress->lock, NULL);
    progress->total = total_work;
    progress->started = progress->worked_since = clock(clock_data);
    if (out == NULL)
        return;
    progress->columns = terminal_columns(out);
    if (mode == PROGRESS_AUTO)
        progress->mode = progress->columns > 0 ? PROGRESS_BAR : PROGRESS_LINES;
    if (progress->columns == 0)
        progress->columns = DEFAULT_COLUMNS;
}

static double elapsed(const struct progress *progress);
static void draw(struct progress *progress, bool now_or_never);

// Draws what is due while the program itself is busy or waits, until progress_end.
static void *beat(void *data)
{
    struct progress *progress = data;
    struct timespec until;

    pthread_mutex_lock(&progress->lock);
    while (!progress->ending) {
        draw(progress, false);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 250000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&progress->end, &progress->lock, &until);
    }
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

// Signals stay with the program's own thread. Without a thread there are still the calls of progress_beat.
static void begin_beating(struct progress *progress)
{
    sigset_t all, before;

    pthread_cond_init(&progress->end, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    progress->beats = pthread_create(&progress->beater, NULL, beat, progress) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void progress_begin(struct progress *progress, double total_work, enum progress_mode mode, FILE *out)
{
    progress_begin_with_clock(progress, total_work, mode, out, monotonic_seconds, NULL);
    if (out != NULL && progress->mode != PROGRESS_NONE)
        begin_beating(progress);
}

static double elapsed(const struct progress *progress)
{
    return progress->clock(progress->clock_data) - progress->started;
}

// Never less than it was: work that is done again after a file was found damaged was counted before.
static double share_done(struct progress *progress)
{
    const double share = progress->total > 0 ? progress->done / progress->total : 1;
    if (share > progress->shown)
        progress->shown = share < 1 ? share : 1;
    return progress->shown;
}

// Work per second since this start of the program took its first unit in hand: before, it looked at what is
// there, which may take long and is no work. Negative while it is unknown: a unit begins with what is not
// counted, such as reading its layer, so that the rate of a few moments of the first one is far too low.
static double rate(const struct progress *progress)
{
    const double seconds = progress->clock(progress->clock_data) - progress->worked_since;
    const double work = progress->done - progress->earlier;
    const bool is_measured =
        seconds >= seconds_of_rate || work >= share_between_lines * progress->total ||
        (progress->num_units > 1 && work >= least_share_of_rate * (progress->total - progress->earlier));
    return is_measured && seconds > 0 && work > 0 ? work / seconds : -1;
}

// How far the rate of this start is to be believed rather than what was known before, from 0 to 1.
static double trust(const struct progress *progress)
{
    const double seconds = progress->clock(progress->clock_data) - progress->worked_since;
    const double work = progress->done - progress->earlier;
    return fmin(1, fmax(work / (enough_of_rate * progress->expected_work), seconds / enough_seconds));
}

double progress_time_left(const struct progress *progress)
{
    const double per_second = rate(progress), left = progress->total - progress->done;
    if (left <= 0)
        return 0;
    if (!(progress->expected > 0))
        return per_second > 0 ? left / per_second : -1;
    const double known = progress->expected * left / progress->expected_work;
    const double measured = trust(progress);
    return per_second > 0 ? measured * left / per_second + (1 - measured) * known : known;
}

// "3.1T" of 3.1e12: three digits and an SI prefix.
static const char *format_amount(double amount, char *text, size_t size)
{
    static const char prefixes[] = {' ', 'k', 'M', 'G', 'T', 'P', 'E', 'Z'};
    size_t prefix = 0;

    while (amount >= 999.5 && prefix + 1 < sizeof prefixes) {
        amount /= 1000;
        prefix++;
    }
    const int decimals = amount >= 99.95 || amount == floor(amount) ? 0 : amount >= 9.995 ? 1 : 2;
    if (prefix == 0)
        snprintf(text, size, "%.*f ", decimals, amount);
    else
        snprintf(text, size, "%.*f %c", decimals, amount, prefixes[prefix]);
    return text;
}

// Writes "3.1 Tflop of 12.4 Tflop, 95 Gflop/s, ", or nothing when amounts are not shown.
static void format_amounts(const struct progress *progress, char *text, size_t size)
{
    char done[16], total[16], speed[16];

    text[0] = '\0';
    if (progress->work_name == NULL)
        return;
    format_amount(progress->done, done, sizeof done);
    format_amount(progress->total, total, sizeof total);
    const double per_second = rate(progress);
    if (per_second > 0)
        snprintf(text, size, "%s%s of %s%s, %s%s/s, ", done, progress->work_name, total, progress->work_name,
                 format_amount(per_second, speed, sizeof speed), progress->work_name);
    else
        snprintf(text, size, "%s%s of %s%s, ", done, progress->work_name, total, progress->work_name);
}

// Rounded down, so that 100 % means finished.
static double per_cent(struct progress *progress)
{
    return floor(share_done(progress) * 1000 + 1e-9) / 10;
}

static void format_status(struct progress *progress, bool with_amounts, char *text, size_t size)
{
    char amounts[128] = "", spent[24], left[24];

    if (with_amounts)
        format_amounts(progress, amounts, sizeof amounts);
    snprintf(text, size, "%5.1f %%  %s%s elapsed, %s left", per_cent(progress), amounts,
             duration_format(elapsed(progress), spent, sizeof spent),
             duration_format(progress_time_left(progress), left, sizeof left));
}

static void put(const struct progress *progress, const char *text)
{
    if (stop_was_announced()) // that line is the last one
        return;
    fwrite(text, 1, strlen(text), progress->out);
    fflush(progress->out);
}

// "unit [####    ] status", cut to the terminal's width: a wrapped line could not be redrawn in place.
static void format_bar(struct progress *progress, char *line, size_t size)
{
    char status[LINE_SIZE], bar[WIDEST_BAR + 1] = "";
    const size_t columns = progress->columns > 1 ? progress->columns - 1 : 1;

    format_status(progress, true, status, sizeof status);
    size_t used = strlen(progress->unit) + strlen(status) + strlen(" [] ");
    if (used + NARROWEST_BAR > columns) { // the amounts go first, then the bar, then what stands on the right
        format_status(progress, false, status, sizeof status);
        used = strlen(progress->unit) + strlen(status) + strlen(" [] ");
    }
    size_t width = used < columns ? columns - used : 0;
    if (width > WIDEST_BAR)
        width = WIDEST_BAR;
    if (width >= NARROWEST_BAR) {
        const size_t filled = (size_t)(share_done(progress) * (double)width);
        memset(bar, ' ', width);
        memset(bar, '#', filled);
        snprintf(line, size, "%s [%s] %s", progress->unit, bar, status);
    } else {
        snprintf(line, size, "%s %s", progress->unit, status);
    }
    if (columns < strlen(line))
        line[columns] = '\0';
}

static void draw_bar(struct progress *progress)
{
    char line[LINE_SIZE * 2], output[LINE_SIZE * 2 + 8];

    format_bar(progress, line, sizeof line);
    snprintf(output, sizeof output, "\r%s\033[K", line);
    stop_note_bar(true);
    put(progress, output);
    progress->bar_shown = true;
}

static void draw_line(struct progress *progress)
{
    char status[LINE_SIZE], output[LINE_SIZE * 2];

    format_status(progress, true, status, sizeof status);
    snprintf(output, sizeof output, "%s  %s\n", status, progress->unit);
    put(progress, output);
}

static bool is_due(const struct progress *progress, double now)
{
    if (!progress->any_drawn)
        return progress->unit[0] != '\0';
    const double since = now - progress->drawn;
    if (progress->mode == PROGRESS_BAR)
        return since >= seconds_between_redraws;
    const double gained = progress->done - progress->drawn_done;
    return since >= longest_silence || progress->stage_is_first ||
           (since >= seconds_between_lines &&
            (gained >= share_between_lines * progress->total || progress->stage_is_new));
}

static void draw(struct progress *progress, bool now_or_never)
{
    if (progress->out == NULL || progress->mode == PROGRESS_NONE)
        return;
    const double now = progress->clock(progress->clock_data);
    if (!now_or_never && !is_due(progress, now))
        return;
    if (progress->mode == PROGRESS_BAR)
        draw_bar(progress);
    else
        draw_line(progress);
    progress->any_drawn = true;
    progress->stage_is_new = progress->stage_is_first = false;
    progress->drawn = now;
    progress->drawn_done = progress->done;
}

// Without a stream there is no other thread.
static void lock(struct progress *progress)
{
    if (progress->out != NULL)
        pthread_mutex_lock(&progress->lock);
}

static void unlock(struct progress *progress)
{
    if (progress->out != NULL)
        pthread_mutex_unlock(&progress->lock);
}

// Whether the stage comes for the first time since the start; then it is remembered.
static bool is_first(struct progress *progress, const char *stage)
{
    for (size_t i = 0; i < progress->num_stages; i++)
        if (strcmp(progress->stages[i], stage) == 0)
            return false;
    if (progress->num_stages < sizeof progress->stages / sizeof *progress->stages)
        progress->stages[progress->num_stages++] = stage;
    return true;
}

void progress_unit(struct progress *progress, const char *stage, const char *variant, size_t layer,
                   size_t layers)
{
    char place[64] = "";

    lock(progress);
    if (layers != 0)
        snprintf(place, sizeof place, " layer %zu/%zu", layer + 1, layers);
    const size_t same = strlen(stage);
    if (strncmp(progress->unit, stage, same) != 0 ||
        (progress->unit[same] != ' ' && progress->unit[same] != '\0'))
        progress->stage_is_new = true;
    if (is_first(progress, stage))
        progress->stage_is_first = true;
    if (progress->num_units++ == 0 && progress->clock != NULL && // begun, and
        progress->done <= progress->earlier)                     // no other team's work is counted yet
        progress->worked_since = progress->clock(progress->clock_data);
    snprintf(progress->unit, sizeof progress->unit, "%s%s%s%s", stage, variant != NULL ? " " : "",
             variant != NULL ? variant : "", place);
    draw(progress, false);
    unlock(progress);
}

void progress_advance(struct progress *progress, double work)
{
    lock(progress);
    progress->done += work;
    draw(progress, false);
    unlock(progress);
}

void progress_skip(struct progress *progress, double work)
{
    lock(progress);
    progress->done += work;
    progress->earlier += work;
    unlock(progress);
}

void progress_expect(struct progress *progress, double seconds)
{
    lock(progress);
    progress->expected = seconds;
    progress->expected_work = progress->total - progress->done;
    unlock(progress);
}

void progress_again(struct progress *progress)
{
    lock(progress);
    progress->earlier -= progress->done;
    progress->done = 0;
    unlock(progress);
}

void progress_beat(struct progress *progress)
{
    progress_advance(progress, 0);
}

void progress_message(struct progress *progress, const char *format, ...)
{
    char message[1024], output[1100];
    va_list arguments;

    if (progress->out == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    make_printable(message);
    pthread_mutex_lock(&progress->lock);
    snprintf(output, sizeof output, "%s%s\n", progress->bar_shown || progress->beside_bar ? "\r\033[K" : "",
             message);
    put(progress, output);
    if (progress->bar_shown)
        draw_bar(progress);
    pthread_mutex_unlock(&progress->lock);
}

// Waits until the thread has drawn for the last time.
static void end_beating(struct progress *progress)
{
    if (!progress->beats)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->ending = true;
    pthread_cond_signal(&progress->end);
    pthread_mutex_unlock(&progress->lock);
    pthread_join(progress->beater, NULL);
    pthread_cond_destroy(&progress->end);
    progress->beats = false;
}

void progress_end(struct progress *progress)
{
    if (progress->out == NULL)
        return;
    end_beating(progress);
    if (progress->any_drawn) {
        draw(progress, true);
        if (progress->mode == PROGRESS_BAR)
            put(progress, "\n");
    }
    stop_note_bar(false);
    progress->out = NULL;
    pthread_mutex_destroy(&progress->lock);
}
