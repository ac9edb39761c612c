// print.h - `coppice plan JOB`, for people and for machines.
//
// In: a plan and the machine it is for. Out: text or JSON, with the units that are done already and warnings
// of what this machine has too little of.
#pragma once
#include "pipeline/plan/costs/machine.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/warnings/warnings.h"
#include <stdio.h>

// Prints what would run, what it costs and how long it takes on `machine`; out NULL prints nothing. As JSON:
// {"run", "propagation", "variants": [...], "machine", "stages": {...}, "commands": [...], "memory", "disk",
// "work", "seconds", ...}. "commands" are those that carry the stages out, in the order in which they wait
// for one another: {"name", "stages", "units", "dense_units", "seconds", "useful_nodes"}.
// told: warnings more, which come last.
enum status plan_print(const struct plan *plan, const struct machine *machine, const struct warnings *told,
                       bool json, FILE *out, struct error *err);
