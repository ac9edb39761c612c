// series.h - which variants belong on one line of a plot.
#pragma once
#include "stages/settings.h"

// The variant's name without its sparsity or pattern: "wanda-0.5-columns-rows" and "wanda-0.6-columns-rows"
// are both "wanda-columns-rows".
void series_of(char *series, size_t size, const struct variant *variant);
