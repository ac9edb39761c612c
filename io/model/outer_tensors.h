// outer_tensors.h - what a model has outside its layers: embeddings, norms, the head.
#pragma once
#include "io/model/model.h"

enum { OUTER_TENSORS = 9 };
// Those that the model uses, each once; returns their number.
size_t outer_tensors(const struct safetensors_tensor *tensors[OUTER_TENSORS], const struct model *model);
