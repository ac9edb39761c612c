// linear_groups.h - the order in which the pruned linears of a layer are decided by what they put out, and
// which are decided together.
#pragma once
#include "stages/layer/layer_weights.h"

// linears[map->num_tensors] <- the weights of the layer's pruned linears: one source of inputs after the
// other, within a source in the order of the map. Returns how many.
size_t linears_by_source(const struct layer_tensor **linears, const struct settings *settings,
                         const struct layer_map *map);

// How many of linears[count], count > 0, in the order of linears_by_source, are decided together with the
// first: those that share its source, because the next source reads what they put out. Experts are measured
// one by one, so that it is as many as have room for `masks` masks each in `most` bytes, at least one.
size_t linears_together(const struct layer_tensor *const *linears, size_t count, size_t masks, uint64_t most);
// Bytes of masks of experts that are in memory together: of a compensation, and of the method auto.
#define COMPENSATED_AT_ONCE ((uint64_t)1 << 25)
#define CHOSEN_AT_ONCE ((uint64_t)1 << 26)
// How many share the first one's source: those that are solved for together, experts too.
size_t linears_of_source(const struct layer_tensor *const *linears, size_t count);
