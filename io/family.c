#include "io/family.h"

#include <stdio.h>
#include <string.h>

#define NORM(text, field)                                                                     \
    {                                                                                         \
        .kind = MEMBER_NORM, .name = (text), .member = offsetof(struct decoder_layer, field), \
        .out = DIMENSION_HIDDEN, .in = DIMENSION_ONE                                          \
    }
#define LINEAR(text, field, rows, columns, input, has_bias)                                     \
    {                                                                                           \
        .kind = MEMBER_LINEAR, .name = (text), .member = offsetof(struct decoder_layer, field), \
        .out = (rows), .in = (columns), .source = (input), .bias = (has_bias)                   \
    }

static const struct family_member llama_members[] = {
    NORM("input_layernorm", input_norm),
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.gate_proj", gate, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("mlp.up_proj", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("mlp.down_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, WITH_MLP_BIAS),
};

#define MEMBERS(array) .members = (array), .num_members = sizeof(array) / sizeof((array)[0])

static const struct family families[] = {
    {.model_type = "llama",
     .prefix = "model.",
     .embedding = "embed_tokens",
     .layers = "layers",
     .final_norm = "norm",
     .lm_head = "lm_head",
     MEMBERS(llama_members)},
};

enum { NUM_FAMILIES = sizeof families / sizeof families[0] };

const struct family *family_find(const char *model_type)
{
    for (size_t i = 0; i < NUM_FAMILIES; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

const char *family_list(char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < NUM_FAMILIES && used < size; i++) {
        const int length =
            snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", families[i].model_type);
        used += length > 0 ? (size_t)length : 0;
    }
    return text;
}

size_t family_dimension(enum dimension dimension, const struct model_config *config)
{
    const struct decoder_config *decoder = &config->decoder;

    switch (dimension) {
    case DIMENSION_HIDDEN:
        return decoder->hidden_size;
    case DIMENSION_QUERY:
        return decoder->num_attention_heads * decoder->head_dim;
    case DIMENSION_KEY_VALUE:
        return decoder->num_key_value_heads * decoder->head_dim;
    case DIMENSION_INTERMEDIATE:
        return decoder->intermediate_size;
    case DIMENSION_HEAD:
        return decoder->head_dim;
    case DIMENSION_ONE:
        break;
    }
    return 1;
}

bool family_presence(enum presence presence, const struct model_config *config)
{
    switch (presence) {
    case ALWAYS:
        return true;
    case WITH_ATTENTION_BIAS:
        return config->attention_bias;
    case WITH_MLP_BIAS:
        return config->mlp_bias;
    case NEVER:
        break;
    }
    return false;
}
