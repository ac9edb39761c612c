// json_difference.h - where two JSON values differ, in words.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// The first value in which two JSON values differ, as "calibration.seed: 0 before, 1 now" (missing:
// "nothing"). False when they are equal.
bool json_difference(const json_t *before, const json_t *now, char *text, size_t size);
