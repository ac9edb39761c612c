// depth_plots.h - plots of sparsity and error over the layers of the best variants. For plots.c.
#pragma once
#include "pipeline/report/plots/drawing.h"

// "depth-sparsity", unless every layer has the same, and "depth-error": a line for the best variant of each
// level, as far as the report has them.
void draw_depths(struct drawing *d);
