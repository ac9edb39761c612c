// stopped.h - why a start was stopped, and whether starting again makes sense.
#pragma once
#include "pipeline/run/work/context.h"

// Of rank 0; false on the others.
struct futility {
    bool of_last; // the last start of the same command, in Slurm of the same job, was stopped by the time
                  // limit or a scheduler's signal before it had committed a unit or a part of an evaluation
    bool of_this; // so was this one
};

// Reads RUN/log.jsonl, before this start is in it. Not collective: rank 0 looks.
void futility_recall(struct futility *futility, const struct run_context *context);

// Collective over the world, after STATUS_STOPPED. Sets futility->of_this, and err to why it stopped and what
// to do. STATUS_STOPPED, or STATUS_FAILED when both starts were futile: whoever starts the program again on
// exit code 75, a batch script for example, would go on for ever.
enum status stop_explain(struct futility *futility, const struct run_context *context, struct error *err);
