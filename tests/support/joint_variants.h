// joint_variants.h - small models whose masks and weights are made together. All failures end the running
// test.
#pragma once
#include "tests/support/small_model.h"

// Heads of 8 channels, four query heads over two key-value heads; 192 tokens.
struct small_model_shape joint_shape(void);
// Least squares; a first-order method corrects the drift of its inputs.
struct variant *joint_add(struct small_model *small, const char *name, enum method method);
// The same with 2 of every 4.
struct variant *joint_add_pattern(struct small_model *small, const char *name, enum method method,
                                  bool permute);
// Collective. Makes masks and weights of one layer.
void joint_prune(struct small_model *small, const struct variant *variant, size_t layer);
