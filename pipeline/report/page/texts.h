// texts.h - the page's table of perplexities where texts have names. For html.c.
#pragma once
#include "pipeline/report/page/cells.h"

// A row for every model that was measured, two columns for every text: its perplexity, and times the dense
// model's. Nothing where the job has one text without a name.
void report_write_texts(const struct page *page);
