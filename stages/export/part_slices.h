// part_slices.h - exporting tensors that hold several linears, or one transposed (layer_tensor's is_part).
//
// The rows of such linears do not lie one after the other in the file. So a tensor is made in memory slice by
// slice, the source's bytes first and over them what the variant changed, and each slice is one write. A
// slice is one expert's part of a weight, or all of a tensor without experts or of biases.
#pragma once
#include "stages/export/layer_orders.h"

// What a layer is exported from.
struct part_source {
    const struct stage *stage;
    const struct layer_map *map;
    const struct layer_orders *orders;
    const struct store_reader *weights;
};

struct part_slice {
    const struct safetensors_tensor *tensor;
    uint64_t first, count; // its elements in the tensor
};

size_t part_slices(const struct safetensors_tensor *tensor);
struct part_slice part_slice_at(const struct safetensors_tensor *tensor, size_t index);
uint64_t part_slice_bytes(const struct part_slice *slice);
// Where it begins in the tensor.
uint64_t part_slice_offset(const struct part_slice *slice);
bool part_slice_has(const struct part_slice *slice, const struct layer_tensor *tensor);

// bytes[part_slice_bytes] <- the slice as it is exported. Not collective.
enum status part_slice_fill(void *bytes, const struct part_slice *slice, const struct part_source *source,
                            struct error *err);
// Gives back the pages of the file that it was made from.
void part_slice_release(const struct part_slice *slice, const struct safetensors_file *file);
// The most memory that exporting the layer's slices, or matrices of codes, takes on a rank, with reading them
// back.
uint64_t part_slices_memory(const struct layer_map *map);
