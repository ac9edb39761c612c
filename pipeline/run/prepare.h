// prepare.h - reads and checks the inputs of a run before any of its files is written.
#pragma once
#include "pipeline/run/context.h"
#include "pipeline/run/test_data.h"
#include "stages/layer/sequences.h"

// Collective over the world. Reads and checks the inputs, then commits run.json, plan.json and sequences.h5:
// a start that is refused leaves nothing behind. Programs that share a run directory must not do this at the
// same time. record is the context's. data: freed by the caller, also after an error. notice: on rank 0 a
// line for the user, or "".
enum status run_prepare(struct test_data *data, char notice[SEQUENCES_NOTICE_SIZE],
                        const struct run_context *context, struct run_record *record, struct error *err);
