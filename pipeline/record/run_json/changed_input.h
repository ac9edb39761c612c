// changed_input.h - an input whose content is not what the run was begun with: which one, and what to do.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stddef.h>

// Where and what for: run.json, the key of the job that names the input, and what may be done instead of
// putting the file back ("use another run directory").
struct input_place {
    const char *record, *key, *advice;
};

// Stamps of fingerprints ({"file", "xxh3", ...}), the earlier start's and this one's; NULL: that start had no
// such file. Sets err to STATUS_USAGE in any case.
enum status input_refuse(const struct input_place *place, const json_t *before, const json_t *now,
                         struct error *err);
// Compares two lists of stamps by the names of their files, without folders, and refuses the first
// difference.
enum status inputs_compare(const struct input_place *place, const json_t *before, const json_t *now,
                           struct error *err);
