// repair.h - finds committed files that do not match their checksums and removes them, so that they are made
// again.
#pragma once
#include "pipeline/run/runner.h"

// Collective over the world. What an earlier start committed is read once, every rank a share of the files;
// with --strict a damaged one is STATUS_DAMAGED and stays.
enum status repair_found(struct runner *runner, struct error *err);

// A team's first rank, when its units in hand failed with STATUS_DAMAGED and err says so: looks at the files
// that they read. STATUS_DAMAGED when none was removed: the error stands.
enum status repair_inputs(struct runner *runner, struct error *err);
