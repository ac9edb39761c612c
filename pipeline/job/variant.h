// variant.h - what every variant goes through when its values are set: one content for what is the same, and
// a name.
#pragma once
#include "stages/settings.h"

// To be called when all of a variant's members are set. First sets what the variant's choices make
// meaningless to its default, so that equal variants have equal contents: the parameters of sparsegpt and
// auto, epsilon without alpha, sparsity with a budget, group and allocation of a pattern, permute without
// one, owl's parameters without it, clamp where no factor is clamped, guard without compensation.
//
// Then the name, the same for the same contents:
// METHOD[-alphaA][-epsilonE][-exponentX]-{SPARSITY|NofM|budgetB}[-permuted][-layer][-owl][-thresholdM][-rangeR][-columns][-rows]
// [-output-MATCHING][-bias][-clampLOW-HIGH][-unguarded]: the values that are not defaults, and alpha where
// the method is about it: "wanda-0.5", "cvr-alpha0.25-2of4-columns-rows", "ria-0.5-layer-rows". Safe as a
// folder's name. A name that does not fit ends in a hash of the whole.
void variant_complete(struct variant *variant);

// Characters of a column that holds the names of all variants (pipeline/text/column.h).
int variants_column(const struct settings *settings);

// When all variants are complete: makes the attempts of those with a budget, which have the names NAME~1,
// NAME~2, ... in the run directory.
enum status attempts_create(struct settings *settings, struct error *err);
