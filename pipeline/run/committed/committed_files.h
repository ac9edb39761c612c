// committed_files.h - all committed files of a run directory, whoever asked for them.
#pragma once
#include "kernels/error.h"
#include "pipeline/record/run_json/run_record.h"
#include "stages/team/team.h"
#include <stdbool.h>

struct committed_files {
    char **paths; // sorted
    size_t count, room;
};

// Every *.h5 and *.json. STATUS_FAILED names what cannot be listed; a folder that is not there has none.
// Freed with committed_files_free, also after a failure.
enum status committed_files_list(struct committed_files *files, const char *run, struct error *err);
bool committed_files_exist(const char *run); // any at all
void committed_files_free(struct committed_files *files);

// Whether the file, path, in RUN (without a slash at its end) is one of the record's run and in its place.
// STATUS_USAGE: it was made from something else than the record's job, as run.json was removed or replaced,
// or the file came from another run; or it is another file of this one by what it says itself. A damaged file
// is left to pipeline/run/work/repair.h. Not collective.
enum status committed_file_check_origin(const struct run_record *record, const char *path, const char *run,
                                        struct error *err);
// Collective over the world, each rank looks at a share of the files: the first that is not.
enum status committed_files_check_origin(const struct run_record *record, const char *run,
                                         const struct team *world, struct error *err);
