// json_difference.h - the first value in which two JSON values differ.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// text: "calibration.seed: 0 before, 1 now"; a value that is missing is "nothing". False when they are equal.
bool json_difference(const json_t *before, const json_t *now, char *text, size_t size);
