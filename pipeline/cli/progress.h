// progress.h - how far the program is, for people: a bar on a terminal, plain lines in a log. Rank 0,
// standard error.
//
// Work can be counted in any unit that takes about the same time everywhere, such as floating-point
// operations; the caller says how much there is in all. The time left is estimated from the rate since this
// start.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum progress_mode {
    PROGRESS_AUTO = 0, // a bar on a terminal, lines otherwise
    PROGRESS_BAR,      // one line redrawn in place, at most 5 times a second
    PROGRESS_LINES, // a line at the first unit, then at least 10 s apart, at every 5 %, at every new stage or
                    // every 30 s; a last one
    PROGRESS_NONE   // messages only
};

// Seconds from any fixed point, never going back.
typedef double progress_clock(void *data);

// Read its fields freely; change them through the functions below.
struct progress {
    FILE *out; // NULL: silent
    enum progress_mode mode;
    progress_clock *clock;
    void *clock_data;
    const char *work_name; // may be set after progress_begin: "flop" gives "1.2 Tflop/s"; NULL: no amounts,
                           // per cent only
    size_t columns;        // width of the terminal
    double total, done, earlier; // earlier: the part of done that an earlier start did
    double started, drawn;       // seconds of the clock; drawn: the last line or redraw
    double drawn_done;
    bool any_drawn, bar_shown;
    bool stage_is_new; // since the last line
    char unit[256];    // "calibrate wanda-0.5 layer 3/32"
};

// With out NULL (other ranks, --quiet) every call is silent. Nothing here fails: a line that cannot be
// written is lost.
void progress_begin(struct progress *progress, double total_work, enum progress_mode mode, FILE *out);
// The same with another clock: tests have their own.
void progress_begin_with_clock(struct progress *progress, double total_work, enum progress_mode mode,
                               FILE *out, progress_clock *clock, void *clock_data);

// Sets the unit that is shown. variant NULL: no variant. layer counts from 0 and is shown from 1; layers 0:
// no layer.
void progress_unit(struct progress *progress, const char *stage, const char *variant, size_t layer,
                   size_t layers);

// Adds work that was done just now, or work of an earlier start, which counts as done but not in the rate.
void progress_advance(struct progress *progress, double work);
void progress_skip(struct progress *progress, double work);

// Says only that the program lives: draws what is due. To be called often.
void progress_beat(struct progress *progress);

// Prints a line without tearing the bar; the newline is added.
void progress_message(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Prints the last line. Afterwards every call is silent. May be called twice.
void progress_end(struct progress *progress);

// Seconds left; negative while they cannot be estimated. Public for tests.
double progress_time_left(const struct progress *progress);
