// reference.h - what the table of keys says about one key, as text for documents: docs/keys.md and the man
// page.
#pragma once
#include "pipeline/job/keys.h"
#include <stdio.h>

struct key_reference {
    char takes[256];     // "a number from 0 to 1"; "a list of: ..." for a key whose value is a list
    char otherwise[256]; // the default; "" where there is none
    bool required, is_swept;
};
void key_reference(struct key_reference *reference, const struct job_key_row *row);

// docs/keys.md.
void key_reference_print(FILE *out);
