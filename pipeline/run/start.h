// start.h - a command goes to work on a job: claims the run directory, checks it against the job, carries out
// the plan.
#pragma once
#include "pipeline/cli/options.h"
#include "pipeline/cli/stop.h"
#include "pipeline/run/admit/open_job.h"

// Collective over the world. stages: bit set of enum stage_kind. What happens is told on rank 0's standard
// error and in RUN/log.jsonl. STATUS_STOPPED when told to stop; STATUS_FAILED when nothing could be done
// because an earlier stage's files are not there.
enum status job_start(const struct opened_job *job, const struct options *options, const struct stop *stop,
                      const struct team *world, unsigned stages, struct error *err);
