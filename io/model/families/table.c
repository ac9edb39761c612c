#include "io/model/families/table.h"

#include "io/model/families/rows.h"
#include "io/model/families/wrappers.h"

#include <stdio.h>
#include <string.h>

static const struct family_rows *const files[] = {
    EXPERT_FAMILIES,  &llama_family,     &qwen_family,    &phi_family,     &gemma_family,
    &gpt_neox_family, &opt_family,       &mixtral_family, &granite_family, &starcoder2_family,
    &stablelm_family, &ministral_family, &smollm3_family, &olmo_family,    &exaone_family,
    &nemotron_family, &hunyuan_family,   &glm_family,     &cohere_family,  &qwen3_next_family,
    &gpt2_family,     &gptj_family,      &bloom_family,   &falcon_family,  &mpt_family,
    &gemma4_family,   &llama4_family};

const struct family *family_find(const char *model_type)
{
    for (size_t f = 0; f < LENGTH(files); f++)
        for (size_t i = 0; i < files[f]->count; i++)
            if (strcmp(files[f]->rows[i].model_type, model_type) == 0)
                return &files[f]->rows[i];
    return NULL;
}

const struct family *family_at(size_t index)
{
    for (size_t f = 0; f < LENGTH(files); f++) {
        if (index < files[f]->count)
            return &files[f]->rows[index];
        index -= files[f]->count;
    }
    return NULL;
}

const char *family_list(char *text, size_t size)
{
    size_t used = 0;
    for (size_t f = 0; f < LENGTH(files); f++) {
        for (size_t i = 0; i < files[f]->count && used < size; i++) {
            const int length = snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ", ",
                                        files[f]->rows[i].model_type);
            used += length > 0 ? (size_t)length : 0;
        }
    }
    size_t wrappers;
    const struct wrapper *wrapper = wrapper_rows(&wrappers);
    for (size_t i = 0; i < wrappers && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "; inside " : ", ",
                                 wrapper[i].model_type);
    return text;
}
