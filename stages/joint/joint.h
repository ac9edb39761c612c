// joint.h - masks and weights that are made together, from what the dense and the pruned model give each
// linear (kernels/METHOD.md §19).
#pragma once
#include "stages/layer/layer_weights.h"

// Prunes `layer` for a joint variant (variant_is_joint), one group of linears with a common input after the
// other; each sees what the finished ones before it put out. Loads the dense layer into weights. Commits
// masks/VARIANT/layer-l.h5: per linear "mask" as in stages/prune/prune.h and "update", float32 [out, in]: the
// weights, 0 where pruned, to which compensation, if the variant asks for more, goes on. Attributes of the
// linear's group say what the guard kept, as in stages/compensate/compensate.h.
//
// Scores are those of the weights W+ (stages/compensate/solve.h), by the statistics of the inputs that the
// pruned model gives. Linears that cannot be solved for (solver_gather) are scored as they are.
//
// Reads activations/dense/layer-l.h5 and, with pruned propagation, activations/VARIANT/layer-l.h5 (l > 0).
// Rows are dealt out to the ranks; the bytes do not depend on how.
enum status joint_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *variant, size_t layer, struct error *err);
