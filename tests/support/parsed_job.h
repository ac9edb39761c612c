// parsed_job.h - job files of a few words for the tests of pipeline/job. All failures end the running test.
#pragma once
#include "pipeline/job/job.h"

// A job with nothing but what is required, and `prune` open at its end.
#define HEAD "model: /m\nrun: /r\ncalibration:\n  corpus: /c\n"
#define MINIMAL HEAD "prune:\n  method: wanda\n  sparsity: 0.5\n"

// The settings of a job that has to be taken. The caller calls settings_free().
struct settings *parsed_job(const char *text);
