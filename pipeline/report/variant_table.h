// variant_table.h - `coppice results RUN...` and RUN/results.csv: one flat table, a row for each variant.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

// Rows of a report (pipeline/report/data/gather.h), appended to `rows`: flat objects {COLUMN: text, number or
// null}, the dense model first. Columns, in their order:
//   run, model, variant, method, sparsity_asked, pattern, and the variant's other keys as in the job file
//   (energy, alpha, ...); the job's keys with their section (calibration.sequences, prune.propagation, ...)
//   sparsity, kept, weights; perplexity, perplexity_stderr, times_dense, times_dense_stderr, windows, length;
//   published, published_length, published_difference
//   of each task TASK.acc, TASK.acc_stderr, TASK.acc_norm, TASK.acc_norm_stderr; accuracy, accuracy_stderr:
//   the mean over all tasks; STAGE.seconds, rank_seconds, peak_memory (bytes)
// A list is one text, its items apart by blanks.
void variant_table_add(json_t *rows, const json_t *report);

// What the first line of such a table begins with.
#define VARIANT_TABLE_MARK "run,model,variant,"

// As comma-separated values: a line of names, then a line a row. A column that any row has is a column; what
// a row lacks is empty. Numbers stay numbers. A text that a spreadsheet would take for a formula gets a ' in
// front; control characters become blanks.
void variant_table_write_csv(const json_t *rows, FILE *out);

// All rows of several runs on `out`, as CSV or (json) as a JSON array of objects with the same names; what
// could not be read is named on `warnings`.
enum status variant_table_print(const char *const *runs, size_t count, bool json, FILE *out, FILE *warnings,
                                struct error *err);
