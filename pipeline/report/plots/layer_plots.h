// layer_plots.h - plots over the layers of the model: magnitudes of inputs, energies of weights. For plots.c.
#pragma once
#include "pipeline/report/plots/drawing.h"

// A plot for each stream of channels and one for each variant, as far as the report has them.
void draw_layer_plots(struct drawing *d);
