// results.h - the table of perplexities that ends a run, and the same as JSON.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"
#include <stdbool.h>
#include <stdio.h>

// Prints what RUN/results holds for the dense model and every variant of the job. STATUS_FAILED,
// after that, names a result that is there and cannot be read.
enum status results_print(const struct settings *settings, bool json, FILE *out, struct error *err);
