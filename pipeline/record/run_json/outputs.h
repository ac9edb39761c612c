// outputs.h - "outputs" of run.json: the folders that models of this run went to, or are to go to, whichever
// of its jobs said so: [{"variant": NAME, "folder": PATH}, ...] in the order in which jobs asked, a folder of
// a variant once. run.json of an earlier version has none: then what its last job said stands for it.
#pragma once
#include "stages/settings.h"
#include <jansson.h>

// Sets the member of `now`, a record of `settings`; before: the record that there was, or NULL.
void outputs_record(json_t *now, const json_t *before, const struct settings *settings);

// The list of a record; a new reference, NULL when memory ran out.
json_t *outputs_of(const json_t *record);

// The newest folder of the variant, which is the record's own; NULL when no job asked for one.
const char *outputs_newest(const json_t *record, const struct variant *variant);
