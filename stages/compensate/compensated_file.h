// compensated_file.h - writes one linear into weights/VARIANT/layer-l.h5 (its contents: compensate.h).
#pragma once
#include "stages/compensate/pruned_linear.h"

// Steps of writing a linear. A declaration after something was written has the file's structure written and
// opened again, so that those of all linears come first.
enum linear_step {
    DECLARE_SURE,    // what every linear has
    DECLARE_DECIDED, // what depends on what is kept of its compensation
    WRITE_LINEAR
};

// Carries out a step for a linear of `layer`; each must happen once, in this order. DECLARE_SURE needs no
// more of it than its stage, variant, kind and tensor. Rows are split over the team. STATUS_FAILED when a
// weight or bias is more than the model's dtype can hold. Collective.
enum status compensated_linear_put(struct pruned_linear *linear, size_t layer, struct store_writer *writer,
                                   enum linear_step step, struct error *err);
// Writes what the guard kept, and the measured errors, as attributes of the linear's group. Collective.
enum status measurement_write(const struct pruned_linear *linear, struct store_writer *writer,
                              struct error *err);
