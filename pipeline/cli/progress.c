#include "pipeline/cli/progress.h"
#include "pipeline/cli/stop.h"
#include "pipeline/text/duration.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double seconds_between_redraws = 0.2;
static const double seconds_between_lines = 10, longest_silence = 30;
static const double share_between_lines = 0.05;

enum { LINE_SIZE = 512, DEFAULT_COLUMNS = 80, NARROWEST_BAR = 10, WIDEST_BAR = 40 };

static double monotonic_seconds(void *data)
{
    struct timespec now;
    (void)data;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool is_terminal(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

static size_t terminal_columns(FILE *out)
{
    struct winsize window;
    if (ioctl(fileno(out), TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        return window.ws_col;
    return DEFAULT_COLUMNS;
}

void progress_begin_with_clock(struct progress *progress, double total_work, enum progress_mode mode,
                               FILE *out, progress_clock *clock, void *clock_data)
{
    *progress = (struct progress){.out = out, .mode = mode, .clock = clock, .clock_data = clock_data};
    progress->total = total_work;
    progress->started = clock(clock_data);
    if (out == NULL)
        return;
    if (mode == PROGRESS_AUTO)
        progress->mode = is_terminal(out) ? PROGRESS_BAR : PROGRESS_LINES;
    progress->columns = terminal_columns(out);
}

void progress_begin(struct progress *progress, double total_work, enum progress_mode mode, FILE *out)
{
    progress_begin_with_clock(progress, total_work, mode, out, monotonic_seconds, NULL);
}

static double elapsed(const struct progress *progress)
{
    return progress->clock(progress->clock_data) - progress->started;
}

static double share_done(const struct progress *progress)
{
    if (!(progress->total > 0))
        return 1;
    const double share = progress->done / progress->total;
    return share < 1 ? share : 1;
}

// Work per second since this start of the program; negative while it is unknown.
static double rate(const struct progress *progress)
{
    const double seconds = elapsed(progress), work = progress->done - progress->earlier;
    return seconds > 0 && work > 0 ? work / seconds : -1;
}

double progress_time_left(const struct progress *progress)
{
    const double per_second = rate(progress), left = progress->total - progress->done;
    if (left <= 0)
        return 0;
    return per_second > 0 ? left / per_second : -1;
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
static double per_cent(const struct progress *progress)
{
    return floor(share_done(progress) * 1000 + 1e-9) / 10;
}

static void format_status(const struct progress *progress, bool with_amounts, char *text, size_t size)
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
static void format_bar(const struct progress *progress, char *line, size_t size)
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
    put(progress, output);
    progress->bar_shown = true;
}

static void draw_line(const struct progress *progress)
{
    char status[LINE_SIZE], output[LINE_SIZE * 2];

    format_status(progress, true, status, sizeof status);
    snprintf(output, sizeof output, "%s  %s\n", status, progress->unit);
    put(progress, output);
}

static bool is_due(const struct progress *progress, double now)
{
    if (!progress->any_drawn)
        return true;
    const double since = now - progress->drawn;
    if (progress->mode == PROGRESS_BAR)
        return since >= seconds_between_redraws;
    const double gained = progress->done - progress->drawn_done;
    return since >= longest_silence ||
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
    progress->stage_is_new = false;
    progress->drawn = now;
    progress->drawn_done = progress->done;
}

void progress_unit(struct progress *progress, const char *stage, const char *variant, size_t layer,
                   size_t layers)
{
    char place[64] = "";

    if (layers != 0)
        snprintf(place, sizeof place, " layer %zu/%zu", layer + 1, layers);
    const size_t same = strlen(stage);
    if (strncmp(progress->unit, stage, same) != 0 ||
        (progress->unit[same] != ' ' && progress->unit[same] != '\0'))
        progress->stage_is_new = true;
    snprintf(progress->unit, sizeof progress->unit, "%s%s%s%s", stage, variant != NULL ? " " : "",
             variant != NULL ? variant : "", place);
    draw(progress, false);
}

void progress_advance(struct progress *progress, double work)
{
    progress->done += work;
    draw(progress, false);
}

void progress_skip(struct progress *progress, double work)
{
    progress->done += work;
    progress->earlier += work;
}

void progress_beat(struct progress *progress)
{
    draw(progress, false);
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
    snprintf(output, sizeof output, "%s%s\n", progress->bar_shown ? "\r\033[K" : "", message);
    put(progress, output);
    if (progress->bar_shown)
        draw_bar(progress);
}

void progress_end(struct progress *progress)
{
    if (progress->out == NULL)
        return;
    if (progress->any_drawn) {
        draw(progress, true);
        if (progress->mode == PROGRESS_BAR)
            put(progress, "\n");
    }
    progress->out = NULL;
}
