// compensated.h - a layer of a small model pruned and compensated, and what its weights file says.
#pragma once
#include "tests/support/small_model.h"

// Layer l of this variant alone, from the statistics that are there.
void prune_one(struct small_model *small, const struct variant *variant, size_t layer);
void compensate_one(struct small_model *small, const struct variant *variant, size_t layer);
// Layer 0 pruned and compensated, and what leaves it: the variant's own stream where it has one.
void finish_first_layer(struct small_model *small, const struct variant *variant);

// KIND/VARIANT/layer-l.h5, for store_close.
struct store_reader *open_layer_file(const struct small_model *small, const struct variant *variant,
                                     enum run_folder kind, size_t layer);
// Of weights/VARIANT/layer-l.h5: whether a linear has such a dataset; its values, double [length], which the
// caller frees; the linear's attributes.
bool weights_file_has(const struct small_model *small, const struct variant *variant, size_t layer,
                      const char *linear, const char *what);
double *weights_file_vector(const struct small_model *small, const struct variant *variant, size_t layer,
                            const char *linear, const char *what, size_t length);
double weights_file_number(const struct small_model *small, const struct variant *variant, size_t layer,
                           const char *linear, const char *attribute);
uint64_t weights_file_count(const struct small_model *small, const struct variant *variant, size_t layer,
                            const char *linear, const char *attribute);
// |found - expected| <= relative |expected|, each.
void assert_vector(const double *found, const double *expected, size_t length, double relative);
