// times.h - who worked on a run, how long, and in how much memory: from its log.
#pragma once
#include "pipeline/record/history.h"
#include <jansson.h>

// [{time, seconds, ranks, command, process, exit_code, ...}]: the starts of the program. New reference.
json_t *starts_to_json(const struct history *history);
// [{process, rank, seconds: {STAGE: seconds}}]: what the units took that a rank worked on. New reference.
json_t *times_to_json(const struct history *history);

// Adds what the units of a variant took, attempts of its search as well; of "dense" those that all variants
// share. "seconds": {STAGE: seconds}, "rank_seconds": the same times the ranks that worked on it, in all;
// "peak_memory": the largest resident bytes that a team's first rank had reached. Nothing without units.
void variant_times_add(json_t *model, const struct history *history, const char *variant);
