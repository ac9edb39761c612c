// exported_files.h - what coppice.json says of the other files of an export: {"NAME": {"bytes": B, "xxh3":
// HEX}}, so that damage and loss are seen later.
//
// README.md and README-source.md are not among them: people add to a model's card. Nor is a name that is not
// UTF-8, which JSON cannot hold.
#pragma once
#include "stages/stage.h"
#include <jansson.h>

// The file in which an export says what it is.
#define EXPORT_RECORD "coppice.json"
// The only folder in an export: NAME.jinja of each chat template that has a name.
#define EXPORT_TEMPLATES "additional_chat_templates"

// files <- a new object on rank 0, NULL on the others: of all files in `folder`, and as
// EXPORT_TEMPLATES/NAME of those in that one, sorted by name. They are
// read once more for it, one rank a file: ranks write the shards together, in no order, and this hash is
// what `xxhsum -H3` prints. Collective.
enum status exported_files_describe(json_t **files, const struct stage *stage, const char *folder,
                                    struct error *err);

// Whether the file has the size that entry, a member of such an object, says; with_hash: and the contents.
// STATUS_DAMAGED says what is wrong with it. Not collective.
enum status exported_file_check(const char *folder, const char *name, const json_t *entry, bool with_hash,
                                struct error *err);
// The sizes of all files. record: of coppice.json; one without such an object, of an earlier version, says
// nothing. The message also says how to get the model again.
enum status exported_files_check(const json_t *record, const char *folder, struct error *err);
