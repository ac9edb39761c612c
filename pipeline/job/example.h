// example.h - a job file with every key: its default or an example, and what the table of keys says about it.
#pragma once
#include "pipeline/job/keys.h"
#include <stddef.h>
#include <stdio.h>

// Prints the whole of it (topic NULL), or the keys that the topic is about: a key ("prune.method"), its last
// word ("method"), a section ("prune"), a key in what another takes ("field"). Returns how many keys.
size_t job_example_print(FILE *out, const char *topic);
// The default of a key as its value in YAML; "": it has none.
void job_example_standard(const struct job_key_row *row, char *text, size_t size);
// Whether a key means nothing to the variant that the other defaults make, and is printed as a comment.
bool job_example_leaves_out(const struct job_key_row *row);
