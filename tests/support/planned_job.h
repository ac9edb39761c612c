// planned_job.h - the plan of a job on the demonstration's model: 4 layers, hidden 128, intermediate 344,
// keys and values 64, 2048 tokens, bfloat16. Nothing is run and nothing is written.
#pragma once
#include "pipeline/plan/plan.h"

struct planned_job {
    struct settings *settings;
    struct model *model;
    struct plan plan;
};

// text: the job but for `model`, `run` (/nonexistent/run) and `calibration` (32 sequences of 256 tokens); @
// in it stands for the source tree. What is refused fails the running test.
void planned_job_create(struct planned_job *job, const char *text);
void planned_job_free(struct planned_job *job);
