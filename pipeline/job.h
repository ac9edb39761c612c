// job.h - the job file (YAML): parsed, checked against its schema, expanded into variants.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"

// Reads and checks a job file. An unknown key, a wrong type, a missing key or a value out of range is STATUS_USAGE:
// "FILE:LINE: prune.sparsity: must be a number from 0 to 1, got 1.5". Lists under `prune` and a list of lists under
// `compensate.energy` make a sweep: the cartesian product in the order of the file. Freed with settings_free.
enum status job_load(struct settings **settings, const char *path, struct error *err);
void settings_free(struct settings *settings); // NULL is fine

// A variant's name from its contents, the same for the same contents: "wanda-0.5", "cvr-alpha0.25-2of4-columns-rows",
// "ria-0.5-layer-rows".
void variant_name(struct variant *variant);
