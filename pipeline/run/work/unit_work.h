// unit_work.h - carries out a unit: calls the stage's function with what it reads, and tidies up after it.
#pragma once
#include "pipeline/run/work/journal.h"
#include "pipeline/run/work/team_share.h"
#include "pipeline/run/work/test_data.h"

// Everything that the stages of a team work with, except the unit.
struct unit_context {
    const struct stage *stage;
    struct layer_weights *weights;
    const struct test_data *data;
    const struct run_record *record;
    struct progress *progress; // results are told here
};

// Collective over the team. Carries out the units of the batch and commits them.
enum status unit_carry_out(const struct unit_context *context, const struct unit_batch *batch,
                           struct error *err);
