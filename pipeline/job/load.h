// load.h - reads a job file, alone or together with other ranks.
#pragma once
#include "pipeline/job/source.h"
#include "stages/settings.h"
#include "stages/team/team.h"

// Reads and checks a job file (job.h) with what the command line sets over it. Collective over team: its rank
// 0 reads the file, all parse the same text, and variables in paths have the values that they have on rank 0;
// team NULL: this process alone, without MPI. A file that cannot be read is STATUS_USAGE, as is one that is
// not a job. Whether the model and the corpora exist is not checked. Freed with settings_free.
enum status job_load(struct settings **settings, const char *path, const struct job_sets *sets,
                     const struct team *team, struct error *err);
