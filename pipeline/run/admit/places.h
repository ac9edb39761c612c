// places.h - whether a job may write where it wants to.
#pragma once
#include "kernels/error.h"

// Whether `folder` is a folder that this process may make files in, or can be made: then the nearest on the
// way up that is there counts. key, job: of the job file, for messages. STATUS_USAGE: something else has that
// name; STATUS_FAILED: the system does not let us write. Writes nothing.
enum status place_check(const char *folder, const char *key, const char *job, struct error *err);
