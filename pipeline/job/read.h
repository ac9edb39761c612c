// read.h - a job file's text through the table of keys: every type, range and required key is checked. For
// job.c, which checks what several keys say together.
#pragma once
#include "pipeline/job/value.h"

// name is the file's, for messages. values must be zeroed; freed with job_values_free, also after an error.
enum status job_values_read(struct job_values *values, const char *text, size_t size, const char *name,
                            struct error *err);
