// read.h - a job file's text through the table of keys: every type, range and required key is checked. For
// job.c, which checks what several keys say together.
#pragma once
#include "pipeline/job/source.h"
#include "pipeline/job/value.h"

// text[size] is that of the source's file. values must be zeroed; freed with job_values_free, also after an
// error. They keep the source's path.
enum status job_values_read(struct job_values *values, const char *text, size_t size,
                            const struct job_source *source, struct error *err);
