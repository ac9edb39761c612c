// compensated_file.h - writes one linear into weights/VARIANT/layer-l.h5 (its contents: compensate.h).
#pragma once
#include "stages/compensate/pruned_linear.h"

// Writes a finished linear of `layer`. Rows are split over the team. STATUS_FAILED when a weight or bias is
// more than the model's dtype can hold. Collective.
enum status compensated_linear_write(struct pruned_linear *linear, size_t layer, struct store_writer *writer,
                                     struct error *err);
// Writes what the guard kept, and the measured errors, as attributes of the linear's group. Collective.
enum status measurement_write(const struct pruned_linear *linear, struct store_writer *writer,
                              struct error *err);
