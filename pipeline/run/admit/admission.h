// admission.h - whether a job may start: what `run` refuses, beside what job_open finds, and `plan` as well.
#pragma once
#include "pipeline/run/work/context.h"
#include "pipeline/run/work/test_data.h"
#include "stages/budget/held_out.h"
#include "stages/layer/sequences.h"

// What was read for it, and is not to be read again. Zeroed before.
struct admission {
    struct run_record record;
    struct sequences_draft sequences;
    struct held_out_draft held_out;
    struct test_data data;
};

// Collective over context->world, which may be a process alone, without MPI (team_alone). Compares the job
// with run.json, looks whether the outputs' places are free and can be written to and whether the disks have
// room for what is left of the plan, then reads the corpus, the texts and the tasks, as far as they are still
// needed. Writes nothing. context->record is &admission->record. `only_looks`: at a first start the model's
// files are not read for their fingerprints; the record must not be committed then. With --no-check neither
// the disks nor, where it only looks, the inputs count. Freed with admission_free, also after an error.
enum status admission_check(struct admission *admission, const struct run_context *context, bool only_looks,
                            struct error *err);
void admission_free(struct admission *admission);
