// code_matrices.h - exporting the codes of a quantised tensor, where the job keeps the source's format: those
// that a mask prunes become zero, scales and all others stay (io/model/weights/coded.h).
#pragma once
#include "io/store/store.h"
#include "stages/stage.h"

// How many matrices a tensor with a coding has, and the bytes of one's codes.
size_t code_matrices(const struct safetensors_tensor *tensor);
size_t code_matrix_bytes(const struct safetensors_tensor *tensor);

// bytes[code_matrix_bytes] <- the codes of one matrix, with the zeros of all linears of the layer that lie in
// it. masks: the variant's of the layer. Not collective.
enum status code_matrix_fill(void *bytes, const struct safetensors_tensor *tensor, size_t index,
                             const struct stage *stage, const struct layer_map *map,
                             const struct store_reader *masks, struct error *err);
