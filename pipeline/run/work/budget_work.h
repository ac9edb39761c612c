// budget_work.h - the search for the sparsest model within a budget (stages/budget/trials.h): measures what
// it tries, and makes the best attempt the variant.
#pragma once
#include "pipeline/cli/progress.h"
#include "pipeline/plan/unit.h"
#include "stages/layer/layer_weights.h"

// Collective over the team. A unit of STAGE_ATTEMPT: the dense model's perplexity on the held-out text, that
// of an attempt, or, of a variant, the end of its search: then the files of the attempt that is chosen become
// the variant's, and those of the others go.
enum status budget_work(const struct stage *stage, struct layer_weights *weights, const struct unit *unit,
                        struct progress *progress, struct error *err);

// Of the world, at the end of a run: removes files of attempts that were removed before, and that a loss of
// power has brought back.
void budget_sweep(const struct stage *stage);
