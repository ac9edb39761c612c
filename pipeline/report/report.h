// report.h - `coppice report RUN`: the results of a run, as RUN/report.json, RUN/report.csv and
// RUN/report.html. The three hold the same numbers. No MPI, no model; works while the run goes on, with what
// is there.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

// Gathers, draws and writes all three files; says on `out` where they are (json: prints the report itself).
// Damaged files are skipped and named in the report under "missing".
enum status report_run(const char *run, bool json, FILE *out, struct error *err);

// The report as JSON (data.c). New reference.
//   "run"          the directory's name
//   "provenance"   run.json without its seal: job, fingerprints, versions, start
//   "starts"       [{time, seconds, ranks, command, process, exit_code, ...}] from the log
//   "models"       [{variant, series, sparsity, kept, weights, perplexity, ratio, length, windows, tasks,
//                  published, alignment, ...}], dense first; published: see published.h
//   "linears"      [{variant, layer, linear, weights, kept, sparsity, energy_before, energy_pruned,
//                  energy_compensated}], and what stages/layer/linear_record.h adds
//   "channels"     [{stream, layer, linear, tokens, channels, outliers, max_abs, max_abs_channel,
//                  second_moment: {min, p05, median, p95, p99, max}}]
//   "times"        [{process, rank, seconds: {STAGE: seconds}}]
//   "diagnostics"  {VARIANT: results/VARIANT/diagnostics.json}
//   "missing"      ["what could not be read, and why"]
enum status report_gather(json_t **report, const char *run, struct error *err);

// One number a line: table,variant,process,rank,layer,linear,quantity,value. Texts are quoted where need be.
void report_write_csv(const json_t *report, FILE *out);

// The page, self-contained. plots: [{"id", "title", "note", "svg"}], NULL or empty without gnuplot, and then
// no_plots says why.
void report_write_html(const json_t *report, const json_t *plots, const char *no_plots, FILE *out);
// The plots of a report. *plots is a new reference; *no_plots is NULL or a constant text.
enum status report_draw(json_t **plots, const char **no_plots, const json_t *report, struct error *err);

// Mean of "acc" over the tasks of a row of "models"; false when there is none.
bool report_accuracy(double *value, const json_t *model);

// A channel whose second moment is larger than this many times the linear's median one is counted as an
// outlier: its root mean square is more than six times the usual.
#define REPORT_OUTLIER 36.0
// Linear interpolation between order statistics (R's type 7): p in [0, 1]. NAN when count is 0. Public for
// tests.
double report_quantile(const double *sorted, size_t count, double p);
