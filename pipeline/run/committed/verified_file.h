// verified_file.h - what `coppice verify` looks at: the committed files of a run directory, and the files of
// the models that the run exported.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct verified_file {
    char *path;
    size_t folder;       // where the name begins in path, of an exported file
    const json_t *entry; // of stages/export/exported_files.h; NULL: a file with checksums in it
    bool is_exported;    // also the record of an export, which has no entry
};

struct verified_files {
    struct verified_file *files;
    size_t count, room;
    json_t *records; // of the exports
    json_t *absent;  // the newest folders of variants that were exported, as the log says, that are not there
};

// Those of RUN, and of the exports that its run.json names (pipeline/record/run_json/outputs.h) and that are
// this run's. A run.json that cannot be read names none. STATUS_FAILED names what cannot be listed. Freed
// with verified_files_free, also after a failure. Not collective.
enum status verified_files_list(struct verified_files *list, const char *run, struct error *err);
void verified_files_free(struct verified_files *list);

// STATUS_DAMAGED says what is wrong; other failures that it could not be read.
enum status verified_file_check(const struct verified_file *file, struct error *err);
