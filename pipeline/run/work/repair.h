// repair.h - finds committed files that do not match their checksums and removes them, so that they are made
// again.
#pragma once
#include "pipeline/run/work/context.h"
#include "pipeline/run/work/journal.h"

// Collective over the world. Reads once every file that an earlier start committed, each rank a share of
// them. A damaged one is removed, and the journal says so; with --strict it stays, and the result is
// STATUS_DAMAGED.
enum status repair_found(const struct run_context *context, struct journal *journal, struct error *err);

// Not collective. Looks at the committed files that units[count] read, in a model of `layers` layers, and
// removes the damaged ones. Returns how many.
size_t repair_inputs(const struct unit *const *units, size_t count, const struct settings *settings,
                     size_t layers);
