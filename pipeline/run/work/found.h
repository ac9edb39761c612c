// found.h - what earlier starts have done, and how fast: counted before the first unit, so that the share and
// the time left that are shown are right from the first line.
#pragma once
#include "pipeline/run/work/context.h"
#include "pipeline/run/work/journal.h"

// Collective over the world. share[num_units of the plan] <- how much is done already of each unit of the
// command's stages (unit_share), 0 of others; rank 0 looks, and its progress counts that work as that of
// earlier starts and expects the rest to go on at the rates that RUN/log.jsonl tells of.
enum status found_count(double *share, const struct run_context *context, struct journal *journal,
                        struct error *err);
