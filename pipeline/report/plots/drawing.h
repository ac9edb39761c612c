// drawing.h - gnuplot scripts in the making, and the names that their lines stand for. For plots.c and
// layer_plots.c.
#pragma once
#include "pipeline/report/plots/gnuplot.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { MOST_PLOTS = 200, MOST_LINES = 64, PLOT_WIDTH = 560 };

// Each plot is a script that is written through `out`.
struct drawing {
    const json_t *report;
    json_t *list; // [{"id", "title", "note", "legend": [{"name", "colour", "dash", "mark"}]}], as
                  // page/cells.c draws it
    struct plot plots[MOST_PLOTS];
    size_t count;
    FILE *out; // of the plot that is open
    size_t size;
    bool has_failed; // memory ran out
};

// Opens a plot; ended with end_plot. False when there are enough, or memory ran out.
bool begin_plot(struct drawing *d, const char *id, const char *title, const char *note);
void end_plot(struct drawing *d);

// Different names, each a line of a plot; borrowed. More than MOST_LINES are left out.
struct names {
    const char *items[MOST_LINES];
    size_t count;
};

void add_name(struct names *names, const char *name);
size_t name_index(const struct names *names, const char *name); // count when it is not there

// The look of a line: the page's legend (begin_plot's list) and gnuplot draw the same.
struct look {
    size_t colour; // of gnuplot_colour; PALE: of what is only there to compare with
    size_t dash;   // modulo the number of dashes; 0: solid
    size_t mark;   // modulo the number of marks; NO_MARK: a line alone, ONLY_FILL: an area
};
enum { PALE = 1000, NO_MARK = 1000, ONLY_FILL = 1001 };

// Adds the line to the legend of the open plot, and writes gnuplot's words for it.
void write_look(struct drawing *d, const struct look *look, const char *name);
// Ends gnuplot's list of lines, by one that draws nothing: a comma at the end is an error from gnuplot 6 on.
void end_looks(struct drawing *d);

// A colour for each method, a dash and a mark for each way to compensate. "[2] wanda-rows" is wanda's.
struct look series_look(const struct names *series, size_t index);
