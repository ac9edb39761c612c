// compare.h - `coppice compare RUN...`: perplexities of several runs side by side. No MPI, no model.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// Prints a table of variants and runs on `out` (json: the same as an object) and warnings on `warnings`: runs
// of different models, or measured on different texts or at different lengths, are shown and said to be so.
// html, if not NULL, is a file to write with the table and a plot. Warnings also stand in the JSON and the
// page.
enum status compare_runs(const char *const *runs, size_t count, bool json, const char *html, FILE *out,
                         FILE *warnings, struct error *err);
