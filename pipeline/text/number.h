// number.h - numbers as text, strictly, and the same in every locale.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A finite decimal number, all of text: [+-] digits [. digits] [e [+-] digits]. No hex, inf, nan, blanks.
bool number_parse(const char *text, double *value);

// Digits only, all of text, no overflow.
bool whole_parse(const char *text, uint64_t *value);

// The shortest decimal that reads back as the same double: "0.5", "1e-8", "10". Returns text; size 32 is
// enough.
const char *number_format(double value, char *text, size_t size);
