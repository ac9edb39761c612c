// plan_command.h - `coppice plan JOB`: the checks of a start, then what would run and what it costs.
#pragma once
#include "pipeline/cli/options.h"

// This process alone, without MPI: on a login node MPI may not start at all. out NULL prints nothing.
enum status plan_command(const struct options *options, FILE *out, struct error *err);
