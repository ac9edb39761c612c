// diagnose.h - `coppice diagnose JOB|RUN`: measures the dense model and every variant whose weights are
// complete, writes RUN/results/VARIANT/diagnostics.json (sealed), and prints a table of their means.
#pragma once
#include "pipeline/cli/options.h"
#include "stages/team/team.h"
#include <stdio.h>

// Collective. The path of the options: a run directory, or a job file that names one. What was measured
// before is not measured again. Variants whose weights are not complete are left out and named on `errors`.
// out and errors are NULL on ranks that must not print.
enum status diagnose_run(const struct options *options, const struct team *world, FILE *out, FILE *errors,
                         struct error *err);
