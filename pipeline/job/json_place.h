// json_place.h - where the value of a key is in the JSON of its home. For json.c and from_json.c.
#pragma once
#include "pipeline/job/keys.h"
#include <jansson.h>

// "calibration.seed", or "alpha" in the JSON of a variant.
const char *json_path(const struct job_key_row *row);
// Of a path "section.name": the object of the section, which is made when it is missing and `make` is set,
// and the name in it. A path without a dot is in the object itself. Borrowed; NULL: there is no such section.
json_t *json_section(json_t *json, const char *path, const char **name, bool make);
// The value of a key. Borrowed; NULL: missing.
const json_t *json_member(const json_t *json, const struct job_key_row *row);
