// job.h - the job file (YAML): read, checked, expanded into variants.
//
// In: the text of a job file. Out: struct settings, which is all that the stages see of it; or one line that
// says which key is wrong, where, and what it takes. The folder knows YAML, JSON (json.h) and the settings;
// no model, no corpus and no run directory.
//
// The keys, with type, range, default and meaning, are the rows of key_table.h. jobs/example.yaml shows them.
//
// A list makes a sweep, for keys of a variant (for energy: a list of lists): the cartesian product, the first
// key of the table changing slowest. sparsity and pattern are one dimension, the union: each sparsity, then
// each pattern; a budget stands instead of both. A value that means nothing to a variant (epsilon without
// alpha, group with a pattern, any of them with sparsegpt; parameters with auto; owl_threshold without owl;
// guard without compensation) does not multiply the variants. Paths count from the job file's folder; "~" and
// variables ($SCRATCH, ${USER}) in them are replaced.
#pragma once
#include "kernels/error.h"
#include "pipeline/job/source.h"
#include "stages/settings.h"

// Reads and checks text[size], which need not end in NUL; path is for messages. An unknown key, a wrong type,
// a missing key or a value out of range is STATUS_USAGE: "FILE:LINE: prune.sparsity: must be a number from 0
// to 1, got 1.5". Whether the model and the corpora exist is not checked. Freed with settings_free. Of a
// file: load.h.
enum status job_parse(struct settings **settings, const char *text, size_t size, const char *path,
                      struct error *err);
// The same with what the command line sets over the file, and with variables of its own for the paths.
enum status job_parse_source(struct settings **settings, const char *text, size_t size,
                             const struct job_source *source, struct error *err);

void settings_free(struct settings *settings); // NULL is fine
