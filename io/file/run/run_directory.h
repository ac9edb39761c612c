// run_directory.h - the temporary files that a killed program leaves in a run directory.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// Removes temporary files (commit.h) that a killed program left, in run and the folders below it; symbolic
// links are not followed. Only with the lock held. *removed counts them.
enum status run_clean_temporaries(const char *run, size_t *removed, struct error *err);
