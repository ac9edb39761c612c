#include "io/model/outer_tensors.h"

#include "io/model/family.h"

#include <stdio.h>

// The tensor "<prefix><name>.<suffix>".
static const struct safetensors_tensor *find(const struct model *model, const char *name, const char *suffix)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s%s.%s", model->prefix, name, suffix);
    return checkpoint_find(model->checkpoint, whole, NULL);
}

size_t outer_tensors(const struct safetensors_tensor *tensors[OUTER_TENSORS], const struct model *model)
{
    const struct norm *norm = &model->embedding_norm;
    const struct family *family = model->family;
    const struct safetensors_tensor *const all[OUTER_TENSORS] = {
        model->embedding,
        model->positions,
        model->per_layer,
        norm->weight != NULL ? find(model, family->embedding_norm, "weight") : NULL,
        norm->bias != NULL ? find(model, family->embedding_norm, "bias") : NULL,
        model->final_norm,
        model->final_norm_bias != NULL ? find(model, family->final_norm, "bias") : NULL,
        model->lm_head != model->embedding ? model->lm_head : NULL,
        model->lm_head_bias};
    size_t count = 0;

    for (size_t i = 0; i < OUTER_TENSORS; i++)
        if (all[i] != NULL)
            tensors[count++] = all[i];
    return count;
}
