// weight_check.h - no weight is NaN or infinite: looked for in rows that were expanded, and in what is
// stored. STATUS_INPUT names file, tensor and index.
#pragma once
#include "stages/layer/layer_shares.h"

// Rows of a tensor of a layer, in float32. Not collective.
enum status check_finite(const struct model *model, const struct layer_tensor *tensor,
                         const struct node_rows *rows, struct error *err);

// Collective. The tensors outside the layers (io/model/outer_tensors.h), and those of all layers. Each rank
// takes a share of each, so that together they read the model once.
enum status check_weights(const struct stage *stage, bool layers, struct error *err);
