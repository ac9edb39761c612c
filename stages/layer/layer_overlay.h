// layer_overlay.h - what a variant lays over the dense layer: weights that are written, or masks.
#pragma once
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "stages/layer/layer_shares.h"

// The dtype in which a bias is stored: that of the checkpoint, or of its weight when the bias is added.
enum dtype bias_dtype(const struct layer_tensor *weight);

// How the store holds weights and biases of a dtype: BF16 and F16 as their 16 bits.
enum store_type stored_type(enum dtype dtype);

// The file that a variant's pruned weights of a layer come from.
void overlay_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                  size_t layer);

// Collective. Reads this rank's rows of the pruned linears from the file, over the dense ones, which with a
// file of masks are expanded already.
enum status overlay_layer(const struct layer_shares *shares, const struct stage *stage, const char *path,
                          bool is_mask, struct error *err);
