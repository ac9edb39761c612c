// plots.h - the plots of a report.
#pragma once
#include "kernels/error.h"
#include <jansson.h>

// Draws what is in the report (pipeline/report/data/gather.h): results against sparsity with a line for every
// series and one for every dense model, that is, row of "models" without "choice"; where the sparsity and the
// error of the best variants are; times of the ranks; channels and energies of the layers. *plots: [{"id",
// "title", "note", "svg"}], a new reference; without gnuplot there is no "svg", and *no_plots, else NULL, is
// a text that says why.
enum status report_draw(json_t **plots, const char **no_plots, const json_t *report, struct error *err);
