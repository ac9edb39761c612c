// verdict.h - what a reader is to decide from, in sentences.
#pragma once
#include "pipeline/report/page/cells.h"

// The best variant of each sparsity, and what it costs in perplexity and accuracy against the dense model.
void write_verdict(const struct page *page, const json_t *models);
