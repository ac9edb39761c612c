// html.h - the page of one run.
#pragma once
#include "pipeline/report/page/cells.h"

// The page, self-contained. plots: [{"id", "title", "note", "svg"}] of report_draw
// (pipeline/report/plots/plots.h), empty without gnuplot, and then no_plots says why.
void report_write_html(const json_t *report, const json_t *plots, const char *no_plots, FILE *out);

// Pieces that a page of several runs has as well.
//
// A table of all variants: what was asked for and what was found, what it took.
void write_models(const struct page *page);
// What the run's model, text and evaluation were.
void write_measured_on(const struct page *page);
// The job as the run has it on record, as a table.
void write_settings(const struct page *page);
