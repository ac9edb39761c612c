// table.h - all model families.
#pragma once
#include "io/model/family.h"

// NULL when there is none.
const struct family *family_find(const char *model_type);
// The families in the order of the table; NULL at its end.
const struct family *family_at(size_t index);
// Writes all model types, and those of wrappers, separated by ", ", into text[size]; returns text.
const char *family_list(char *text, size_t size);
