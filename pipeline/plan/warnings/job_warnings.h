// job_warnings.h - what `plan` and the start of a run tell with the same words: what the machine has too
// little of, what the model's files contradict, and what a job may not mean as it says it.
#pragma once
#include "pipeline/plan/cost.h"
#include "pipeline/plan/warnings/warnings.h"

// Of a plan, and of its cost for this many ranks on a node; is_started: some of it is done already, so that
// disks are not looked at. Looks into the texts' first bytes. Freed with warnings_free.
void job_warnings(struct warnings *warnings, const struct plan *plan, const struct plan_cost *cost,
                  size_t ranks_per_node, bool is_started);
