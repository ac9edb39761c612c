// doctor.h - `coppice doctor`: what this installation is, whether it works here, and what would slow it down.
#pragma once
#include "pipeline/cli/options.h"
#include "stages/team/team.h"

// Collective over the world, after the first products (gemm_prepare). Looks at the programs and libraries,
// the machine and the folder options->path (NULL: the current one), and prunes a tiny model there on all
// ranks. out: rank 0's; NULL elsewhere. STATUS_FAILED when something does not work; what, is among the
// findings printed.
enum status doctor_run(const struct options *options, const struct team *world, FILE *out, struct error *err);
