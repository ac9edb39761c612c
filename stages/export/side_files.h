// side_files.h - the files beside the weights that an export copies: configuration, tokenizer, whatever else
// is there. README.md becomes README-source.md, as the export has a card of its own. Not copied: shards,
// whatever their names are; weights in other formats, which are the dense ones; what an earlier export says
// of its source; hidden files; folders, but for that of chat templates. Not collective.
#pragma once
#include "stages/stage.h"

// Whether they can be read: STATUS_INPUT names one that cannot. For a look before the work. folder: the
// model's.
enum status side_files_check(const struct model *model, const char *folder, struct error *err);
// Bytes on disk of a copy of them; 0 when the folder cannot be listed.
uint64_t side_files_bytes(const struct model *model, const char *folder);
// Copies them to `target`, piece by piece; asks the stage whether to stop in between.
enum status side_files_copy(const struct stage *stage, const char *target, struct error *err);

// The names of the folders in it that are left out, hidden ones aside, or "". Returns text.
enum { SIDE_FOLDERS_SIZE = 256 };
const char *side_folders_left_out(char text[SIDE_FOLDERS_SIZE], const struct model *model,
                                  const char *folder);
