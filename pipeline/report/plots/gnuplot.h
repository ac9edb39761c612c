// gnuplot.h - plots as SVG, drawn by the program gnuplot if there is one on PATH.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

struct plot {
    char *script;           // gnuplot commands that draw one plot; the terminal and the look are set already
    unsigned width, height; // pixels
    char *svg;              // the result: one <svg> element to stand inside an HTML page; NULL before
};

// Colours of lines that are legible on white and on black; index modulo their number.
const char *gnuplot_colour(size_t index);

// Draws all plots in one start of gnuplot. Text, axes and grid take the colour of the page's text. *found:
// gnuplot is there; when it is not, nothing is drawn and the status is STATUS_OK. STATUS_FAILED with
// gnuplot's own words when it fails. Texts in scripts stand in single quotes (gnuplot_quote). svg is freed by
// the caller.
enum status gnuplot_draw(struct plot *plots, size_t count, bool *found, struct error *err);

// 'text' in single quotes, in which gnuplot expands nothing; control characters become blanks. Returns out.
const char *gnuplot_quote(char *out, size_t size, const char *text);
