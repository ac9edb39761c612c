// progress.h - how far the program is, for people: a bar on a terminal, plain lines in a log. Rank 0,
// standard error.
//
// Work can be counted in any unit that takes about the same time everywhere, such as floating-point
// operations; the caller says how much there is in all. The time left is estimated from the rate since this
// start took its first unit in hand, as soon as that and 1 % of what was left are done, or 5 % of all work,
// or after a minute. Where an earlier start has measured how long the rest takes, that is said first, and
// gives way to this start's own rate. What is due is drawn by a thread of its own, so that a log hears of a
// program that is busy or waits for other ranks; the functions below are for one thread at a time.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum progress_mode {
    PROGRESS_AUTO = 0, // a bar on a terminal, lines otherwise
    PROGRESS_BAR,      // one line redrawn in place, at most 5 times a second
    PROGRESS_LINES, // a line when a stage begins for the first time; otherwise at least 10 s apart, at every
                    // 5 %, at every change of stage, or every 30 s; a last one
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
    double total, done, earlier;    // earlier: the part of done that an earlier start did
    double started, drawn;          // seconds of the clock; drawn: the last line or redraw
    double worked_since;            // when the first unit was taken in hand
    size_t num_units;               // that were
    double expected, expected_work; // seconds that this much work takes by what was known before; 0: unknown
    double drawn_done;
    double shown; // the largest share of the work that was shown: it never goes back
    bool any_drawn, bar_shown;
    bool beside_bar; // may be set after progress_begin: another rank has a bar, which a message
                     // has to clear
    bool stage_is_new, stage_is_first; // since the last line
    const char *stages[32];            // those that have begun since the start
    size_t num_stages;
    char unit[256]; // "calibrate wanda-0.5 layer 3/32"
    // The thread that draws, and what guards all of the above from it.
    pthread_t beater;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool beats, ending;
};

// With out NULL (other ranks, --quiet) every call is silent. Nothing here fails: a line that cannot be
// written is lost.
void progress_begin(struct progress *progress, double total_work, enum progress_mode mode, FILE *out);
// The same with another clock: tests have their own.
void progress_begin_with_clock(struct progress *progress, double total_work, enum progress_mode mode,
                               FILE *out, progress_clock *clock, void *clock_data);

// Sets the unit that is shown. stage must stay valid. variant NULL: no variant. layer counts from 0 and is
// shown from 1; layers 0: no layer.
void progress_unit(struct progress *progress, const char *stage, const char *variant, size_t layer,
                   size_t layers);

// Adds work that was done just now, or work of an earlier start, which counts as done but not in the rate.
void progress_advance(struct progress *progress, double work);
void progress_skip(struct progress *progress, double work);

// Seconds that all work which is left now takes, from what earlier starts measured; 0: nobody knows.
void progress_expect(struct progress *progress, double seconds);

// All work is counted from the beginning, because some of it is to be done again: what this start has done so
// far still counts in the rate, and the share that is shown does not go back.
void progress_again(struct progress *progress);

// Says only that the program lives: draws what is due. To be called often.
void progress_beat(struct progress *progress);

// Prints a line without tearing the bar; the newline is added.
void progress_message(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Prints the last line. Afterwards every call is silent. May be called twice.
void progress_end(struct progress *progress);

// Seconds left; negative while they cannot be estimated. Public for tests.
double progress_time_left(const struct progress *progress);
