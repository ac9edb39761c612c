// result_work.h - measures a model and commits the result.
#pragma once
#include "pipeline/cli/progress.h"
#include "pipeline/plan/unit.h"
#include "pipeline/run/test_data.h"

// Collective over the team. Units of STAGE_EVALUATE and STAGE_TASKS. With a variant's last result, weights
// that the job does not keep are removed.
enum status evaluate_model(const struct stage *stage, struct layer_weights *weights,
                           const struct test_data *data, const struct unit *unit, struct progress *progress,
                           struct error *err);
enum status evaluate_on_task(const struct stage *stage, struct layer_weights *weights,
                             const struct test_data *data, const struct unit *unit, struct progress *progress,
                             struct error *err);
