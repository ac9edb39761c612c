// compensate.h - from a mask to the pruned, energy-compensated weights of a layer.
#pragma once
#include "stages/layer_weights.h"

// Commits weights/VARIANT/layer-l.h5: per pruned linear
//   weight              [out, in] in the model's dtype (BF16 and F16 as uint16, attribute `dtype`)
//   energy_before, energy_pruned, energy_compensated   [out] double: centred energy of each row around the
//   original
//                       row's mean; their sums are attributes of the same names of the linear's group
//   row_gamma [out], column_gamma [in]   where that direction is on
// Rows are split over the team; the bytes do not depend on how.
enum status compensate_layer(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err);
