// plan_print.h - `coppice plan JOB` for people and for machines.
#pragma once
#include "pipeline/plan/machine.h"
#include "pipeline/plan/plan.h"
#include <stdio.h>

// Prints what would run, what it costs and how long it takes on `machine`; out NULL prints nothing. As JSON:
// {"run", "propagation", "variants": [...], "machine", "stages": {...}, "memory", "disk", "work", "seconds",
// ...}.
enum status plan_print(const struct plan *plan, const struct machine *machine, bool json, FILE *out,
                       struct error *err);
