// stop.h - requests to stop: SIGTERM, SIGINT, a chosen signal, or the time limit.
//
// Each rank sees its own signals and its own clock: agree over the ranks (the largest level) before acting.
#pragma once
#include "kernels/error.h"
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

// Seconds of CLOCK_MONOTONIC. main calls it first of all, for `started`.
double stop_clock(void);

// Owned by main; one at a time; zeroed before the first stop_install.
struct stop {
    double (*clock)(void); // stop_clock; tests put their own here after stop_install
    double first, second;  // when level 1 and 2 begin on that clock; infinite without --max-time
    int stop_signal;
    bool replaced[3]; // of SIGTERM, SIGINT, stop_signal
    struct sigaction before[3];
};

// From now on SIGTERM, SIGINT and stop_signal raise the level instead of ending the program. An ignored
// SIGINT (a background job of a shell) stays ignored unless it is the stop_signal. max_time 0: no limit;
// otherwise level 1 begins `margin` seconds before started + max_time and level 2 at half the margin.
// Replaces an earlier stop_install.
enum status stop_install(struct stop *stop, int stop_signal, double started, double max_time, double margin,
                         struct error *err);
// For a program that will not be given time after SIGTERM: a first SIGTERM then counts for two signals, and
// writes `line` (NULL: nothing; it stays the caller's) to the descriptor `stream` at once. After
// stop_install; ends with stop_uninstall.
void stop_hurry(const char *line, int stream);
// Whether the terminal's line has a progress bar, which that line then takes the place of.
void stop_note_bar(bool shown);
// While inputs are read nothing is lost by ending, and libraries that read do not ask whether they shall.
// From stop_watch on, a program that has not ended in order a second after the first signal, or five after
// the time limit, ends at once with EXIT_STOPPED and writes "coppice: stopped by ..." (speaks) to standard
// error; until stop_unwatch. Both after stop_install.
void stop_watch(const struct stop *stop, bool speaks);
void stop_unwatch(void);
// Whether the line was written.
bool stop_was_announced(void);
// Restores what was before, unless a signal has come: later ones are then without effect.
void stop_uninstall(struct stop *stop);

// 0: go on. 1: stop at the next safe point, the unit in hand may be finished. 2: sooner, drop the unit in
// hand. Cheap, never goes down.
int stop_level(const struct stop *stop);
// Whether the level is above 0, for interrupt_set (io/file/interrupt.h); stop: a struct stop.
bool stop_is_told(const void *stop);

// Why, for messages: "signal SIGTERM", "the time limit (--max-time)"; "" at level 0. Returns text.
const char *stop_reason(const struct stop *stop, char *text, size_t size);

// "USR1", "SIGUSR1", "usr1" or a number. False for an unknown one and for those that must keep their meaning.
bool stop_signal_from_name(const char *name, int *signal_number);
// "SIGUSR1"; NULL: not one of those. Public for tests.
const char *stop_signal_name(int signal_number);
const char *stop_signal_list(void); // "HUP, INT, ...", for messages
