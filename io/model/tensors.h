// tensors.h - finds tensors of the checkpoint by name and checks their shape and dtype.
#pragma once
#include "io/model/model.h"

struct tensor_shape {
    size_t rank, sizes[3];
};

// The tensor of that name, or NULL. Any of a checkpoint's names may lack the family's prefix, as in the
// reference, which takes the shorter name where there are both. shard may be NULL.
const struct safetensors_tensor *model_lookup(const struct model *model, const char *name, size_t *shard);
// The tensor of that name with the shape, [size] ([] will do for 1) or [out, in], in a dtype that coppice
// computes with; anything else is STATUS_INPUT and names file and tensor.
enum status model_find_vector(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t size, struct error *err);
enum status model_find_matrix(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, size_t out, size_t in, struct error *err);
enum status model_find_tensor(const struct safetensors_tensor **tensor, const struct model *model,
                              const char *name, const struct tensor_shape *shape, struct error *err);
