#include "tests/support/joint_variants.h"

#include "stages/joint/joint.h"

struct small_model_shape joint_shape(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.dtype = DTYPE_F32;
    shape.checkpoint.hidden = 32;
    shape.checkpoint.heads = 4;
    shape.checkpoint.kv_heads = 2;
    shape.checkpoint.intermediate = 72;
    shape.sequences = 16;
    return shape;
}

struct variant *joint_add(struct small_model *small, const char *name, enum method method)
{
    struct variant *variant = small_model_add(small, name, method);
    variant->output = MATCHING_LEAST_SQUARES;
    variant->drift = method_has_factors(method) ? DRIFT_CORRECTED : DRIFT_IGNORED;
    return variant;
}

struct variant *joint_add_pattern(struct small_model *small, const char *name, enum method method,
                                  bool permute)
{
    struct variant *variant = joint_add(small, name, method);
    small_set_pattern(variant, 2, 4);
    variant->permute = permute;
    return variant;
}

void joint_prune(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    assert_ok(joint_layer(&small->stage, &small->weights, variant, layer, &err), err);
}
