// run.h - carries out a plan: phase after phase, each with its teams; makes again what turns out to be
// damaged.
#pragma once
#include "pipeline/run/work/chains.h"
#include "pipeline/run/work/context.h"

// Collective over the world. Carries out every unit of the plan that is of context->stages and not done.
// data: as run_prepare left it. STATUS_STOPPED when told to stop.
enum status run_carry_out(struct run_outcome *outcome, const struct run_context *context,
                          const struct test_data *data, struct journal *journal, struct error *err);
