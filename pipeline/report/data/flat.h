// flat.h - nested settings as one row.
#pragma once
#include <jansson.h>

// Adds everything below `value` to row, {"SECTION.KEY": text, number, flag or null}, `path` in front. A list
// is one text, its items apart by blanks. without: paths that are left out, NULL at the end; NULL: none.
void flat_add(json_t *row, const char *path, json_t *value, const char *const *without);
