// depth.h - what became of each layer of a variant, over its linears.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct layer_mean {
    double sparsity; // of all weights of its pruned linears; NAN: not known
    double error;  // relative error of the linears' outputs, mean over those where it was measured; NAN: none
    double energy; // share of the centred energy of the rows that is left, over all linears; NAN: not known
};

// means[layers] of the variant, from the report's "linears" (gather.h). False: there is nothing.
bool layer_means(struct layer_mean *means, size_t layers, const json_t *report, const char *variant);
