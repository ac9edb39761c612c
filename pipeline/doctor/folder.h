// folder.h - a file system, tried as a run directory is used: commits, locks, files that all ranks write.
#pragma once
#include "kernels/error.h"
#include "pipeline/doctor/findings.h"
#include "stages/team/team.h"

enum { SCRATCH_SIZE = 4096 };

// Collective over the world. Makes a folder of its own in `folder` and puts its path into
// scratch[SCRATCH_SIZE] on all ranks, "" where none could be made. Tries what a run directory needs of the
// file system there; what was found is in rank 0's findings. scratch is removed with folder_remove.
enum status folder_look(struct findings *findings, char *scratch, const char *folder,
                        const struct team *world, struct error *err);

// Rank 0: removes scratch and all that is in it. "" is fine.
void folder_remove(const char *scratch);
