// unit_input.h - the committed files that a unit of work reads.
#pragma once
#include "pipeline/plan/unit.h"

// One file at a time: index 0, 1, ... until false; layers: the model's. Hidden states are not among them:
// those that are missing are made again.
bool unit_input(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings, size_t layers,
                size_t index);
