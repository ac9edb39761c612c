// diagnose.h - `coppice diagnose JOB|RUN`: diagnostics of the dense model and of every variant whose weights
// are complete, into RUN/results/VARIANT/diagnostics.json (sealed), and a table of their means.
#pragma once
#include "stages/team/team.h"
#include <stdio.h>

// Collective. path: a job file, whose run directory is meant, or a run directory. What is there already is
// not measured again; variants whose weights are not complete are left out and named on standard error (out
// and errors: NULL on ranks that must not print).
enum status diagnose_run(const char *path, const struct team *world, bool json, FILE *out, FILE *errors,
                         struct error *err);
