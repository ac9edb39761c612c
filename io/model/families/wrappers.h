// wrappers.h - all wrappers (wrapper.h).
#pragma once
#include "io/model/wrapper.h"
#include <stddef.h>

// NULL when there is none.
const struct wrapper *wrapper_find(const char *model_type);
const struct wrapper *wrapper_rows(size_t *count);
