// pivot.h - a measure as a table of methods and sparsities.
#pragma once
#include "pipeline/report/data/levels.h"
#include "pipeline/report/page/cells.h"

// A row for each series, a column for each level; the best of a column is bold, and bars show the values also
// where there are no plots. text: what a perplexity is of, for the heading; NULL: not said. Nothing where
// nothing was measured.
void write_pivot(const struct page *page, const json_t *models, const struct measure *measure,
                 const char *text);
// One for the perplexity on each text (text_models.h), then one for the accuracy.
void write_pivots(const struct page *page, const json_t *models);
