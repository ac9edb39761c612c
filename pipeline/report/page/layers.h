// layers.h - the parts of the page about layers: linears, their inputs' channels, where the sparsity went.
// For html.c.
#pragma once
#include "pipeline/report/page/cells.h"
#include <stdbool.h>

// Whether any row of the report's table has this text under the key.
bool has_rows(const struct page *page, const char *table, const char *key, const char *text);

// A plot and a table of the linears' input channels; stream: "dense" or a variant.
void write_channels(const struct page *page, const char *stream);
// All that is known of each variant's layers, folded away.
void write_layers(const struct page *page);
