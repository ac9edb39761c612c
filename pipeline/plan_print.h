// plan_print.h - `coppice plan JOB` for people and for machines.
#pragma once
#include "pipeline/plan.h"
#include <stdio.h>

// Prints what would run and what it costs on `ranks` ranks of one node; out NULL prints nothing.
enum status plan_print(const struct plan *plan, size_t ranks, bool json, FILE *out, struct error *err);
