// gram_batches.h - the order in which linears are solved for, and whose products of input channels (gram.h)
// are gathered in the same passes.
//
// A source of inputs is gathered when all linears that feed it are finished. Two experts feed nothing to one
// another: the inputs of all experts' gate and up are gathered in one go, then those of all their down, as
// far as memory allows.
#pragma once
#include "stages/layer/layer_weights.h"

// linears[map->num_tensors] <- the weights of the layer's pruned linears, one source after the other in the
// order of the sources, but those of experts' down at the end. Returns how many.
size_t linears_by_depth(const struct layer_tensor **linears, const struct settings *settings,
                        const struct layer_map *map);

// Bytes of products that a node holds at most: 1 GiB or, where that is more, those of one source.
uint64_t gram_limit(const struct layer_map *map);
// How many of linears[count], count > 0, in the order of linears_by_depth, have sources that are gathered
// together with the first one's: those that read the same input and, of experts, more sources as far as
// `limit` bytes hold.
size_t gram_batch(const struct layer_tensor *const *linears, size_t count, const struct layer_map *map,
                  uint64_t limit);
// Bytes of the products of the largest batch of linears[count].
uint64_t gram_batches_bytes(const struct layer_tensor *const *linears, size_t count,
                            const struct layer_map *map);
