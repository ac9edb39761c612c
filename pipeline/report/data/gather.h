// gather.h - what a run directory holds, as one JSON object. No MPI, no model; works while the run goes on,
// with what is there.
#pragma once
#include "kernels/error.h"
#include <jansson.h>

// The report of a run. Damaged files are skipped and named under "missing". New reference.
//   "run"          the directory's name
//   "model"        what the model is called: its id on the Hub, or its folder without what is above it
//   "provenance"   run.json without its seal: job, fingerprints, versions, start
//   "starts", "times"  see times.h
//   "models"       [{variant, series, choice, target, sparsity, kept, weights, perplexity, perplexity_stderr,
//                  ratio, ratio_stderr, length, windows, texts, tasks, accuracy, accuracy_stderr, published,
//                  alignment, seconds, rank_seconds, peak_memory, ...}], dense first; ratio: to the dense
//                  perplexity; errors: uncertainty.h; accuracy: mean over the tasks when all were measured;
//                  texts: {NAME: {perplexity, ...}} where there are names, the first one's as above;
//                  published: see published.h; time and memory: see times.h
//   "linears"      [{variant, layer, linear, weights, kept, sparsity, energy_before, energy_pruned,
//                  energy_compensated}], and what stages/layer/linear_record.h adds
//   "channels"     [{stream, layer, linear, tokens, channels, outliers, max_abs, max_abs_channel,
//                  second_moment: {min, p05, median, p95, p99, max}}]
//   "diagnostics"  {VARIANT: results/VARIANT/diagnostics.json}
//   "missing"      ["what could not be read, and why"]
enum status report_gather(json_t **report, const char *run, struct error *err);

// A channel whose second moment is larger than this many times the linear's median one is counted as an
// outlier: its root mean square is more than six times the usual.
#define REPORT_OUTLIER 36.0
// Linear interpolation between order statistics (R's type 7): p in [0, 1]. NAN when count is 0. Public for
// tests.
double report_quantile(const double *sorted, size_t count, double p);
