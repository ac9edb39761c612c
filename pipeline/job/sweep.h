// sweep.h - from lists of values to variants. For job.c.
#pragma once
#include "pipeline/job/value.h"

// Sets variants and num_variants: the cartesian product of the lists, the first key of the table changing
// slowest; equal variants are kept once. sparsity and pattern are one dimension: each sparsity, then each
// pattern. STATUS_USAGE when there are too many; path is the job file's, for messages.
enum status sweep_expand(struct settings *settings, const struct job_values *values, const char *path,
                         struct error *err);
