// result_work.h - measures a model and commits the result.
#pragma once
#include "pipeline/cli/progress.h"
#include "pipeline/plan/unit.h"
#include "pipeline/run/work/test_data.h"

// Collective over the team. Units of STAGE_EVALUATE and STAGE_TASKS. With a variant's last result, weights
// that the job does not keep are removed.
enum status evaluate_model(const struct stage *stage, struct layer_weights *weights,
                           const struct test_data *data, const struct unit *unit, struct progress *progress,
                           struct error *err);
enum status evaluate_on_task(const struct stage *stage, struct layer_weights *weights,
                             const struct test_data *data, const struct unit *unit, struct progress *progress,
                             struct error *err);

// Of the world, at the end of a run: removes of a result that is there what was removed with it, and what a
// loss of power has brought back.
void result_sweep(const struct stage *stage, const struct unit *unit, const struct run_record *record);
