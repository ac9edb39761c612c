// report_series.h - which variants belong on one line of a plot.
#pragma once
#include "stages/settings.h"

// The variant's name without its sparsity or pattern: "wanda-0.5-columns-rows" and "wanda-0.6-columns-rows"
// are both "wanda-columns-rows".
void series_of(char *series, size_t size, const struct variant *variant);

// Linear interpolation between order statistics (R's type 7): p in [0, 1]. NAN when count is 0.
double report_quantile(const double *sorted, size_t count, double p);
