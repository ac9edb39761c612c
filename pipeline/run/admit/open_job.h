// open_job.h - what is checked before any work on a job: `plan` and the commands that work do the same.
#pragma once
#include "io/model/config_unread.h"
#include "io/model/model.h"
#include "pipeline/job/source.h"
#include "pipeline/run/admit/find_model.h"
#include "stages/settings.h"
#include "stages/team/team.h"

struct opened_job {
    struct settings *settings;
    struct model *model;
    char notice[MODEL_NOTICE_SIZE]; // what a person should hear of the model, on rank 0; empty: nothing
};

// Reads the job file, finds the model where it is named by an id (find_model.h), checks that what it names is
// there, opens the model, and checks that the job's methods fit the model. Collective over team; team NULL:
// this process alone, without MPI. Freed with job_close, also after an error; zeroed before. ignored: keys of
// config.json that the command line wants ignored, beside those of the job file; NULL: none. sets: what it
// sets over the job file; NULL: nothing.
enum status job_open(struct opened_job *job, const char *path, const struct job_sets *sets,
                     const struct ignored_keys *ignored, const struct team *team, struct error *err);
void job_close(struct opened_job *job);
