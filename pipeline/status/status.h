// status.h - `coppice status RUN`: what is done, who works on what, how long is left. Needs no MPI and no
// model, so that it runs on a login node, also while programs work in the run directory. Changes nothing.
//
// Sources: the committed files (what is done), RUN/lock and RUN/results/VARIANT/lock (who works),
// RUN/log.jsonl (what their teams have in hand, and how fast each stage was), RUN/plan.json (work of every
// unit).
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdio.h>

enum status status_print(const char *run, bool json, FILE *out, struct error *err);
