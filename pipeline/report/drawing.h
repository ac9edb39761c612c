// drawing.h - gnuplot scripts in the making, and the names that their lines stand for. For plots.c and
// layer_plots.c.
#pragma once
#include "pipeline/report/gnuplot.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { MOST_PLOTS = 200, MOST_LINES = 64 };

// Each plot is a script that is written through `out`.
struct drawing {
    const json_t *report;
    json_t *list; // [{"id", "title", "note"}]
    struct plot plots[MOST_PLOTS];
    size_t count;
    FILE *out; // of the plot that is open
    size_t size;
};

// Opens a plot; ended with end_plot. False when there are enough, or memory ran out: the page then does
// without.
bool begin_plot(struct drawing *d, const char *id, const char *title, const char *note);
void end_plot(struct drawing *d);

// Different names, each a line of a plot; borrowed. More than MOST_LINES are left out.
struct names {
    const char *items[MOST_LINES];
    size_t count;
};

void add_name(struct names *names, const char *name);
size_t name_index(const struct names *names, const char *name); // count when it is not there

// gnuplot's words for the look of a series: a colour for each method, a dash and a mark for each way to
// compensate.
void series_look(char *look, size_t size, const struct names *series, size_t index);
