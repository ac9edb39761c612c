#include "io/model/family.h"

size_t family_dimension(enum dimension dimension, const struct model_config *config, size_t layer)
{
    const struct decoder_config own = layer_config(config, layer), *decoder = &own;
    const struct linear_attention_config *linear = &decoder->linear_attention;

    switch (dimension) {
    case DIMENSION_HIDDEN:
        return decoder->hidden_size;
    case DIMENSION_QUERY:
        return decoder->num_attention_heads * decoder->head_dim;
    case DIMENSION_KEY_VALUE:
        return decoder->num_key_value_heads * decoder->head_dim;
    case DIMENSION_QKV:
        return (decoder->num_attention_heads + 2 * decoder->num_key_value_heads) * decoder->head_dim;
    case DIMENSION_HEAD:
        return decoder->head_dim;
    case DIMENSION_HEADS:
        return decoder->num_attention_heads;
    case DIMENSION_KEY_VALUE_HEADS:
        return decoder->num_key_value_heads;
    case DIMENSION_QUERY_RANK:
        return decoder->latent.query_rank;
    case DIMENSION_KEY_VALUE_RANK:
        return decoder->latent.key_value_rank;
    case DIMENSION_COMPRESSED:
        return decoder->latent.key_value_rank + decoder->latent.rotary_dim;
    case DIMENSION_EXPANDED:
        return decoder->latent.heads * (decoder->latent.plain_dim + decoder->latent.value_dim);
    case DIMENSION_VALUES:
        return decoder->num_attention_heads * value_head_dim(decoder);
    case DIMENSION_INTERMEDIATE:
        return decoder->intermediate_size;
    case DIMENSION_GATE_UP:
        return 2 * decoder->intermediate_size;
    case DIMENSION_EXPERTS:
        return decoder->num_experts;
    case DIMENSION_EXPERT_INTERMEDIATE:
        return decoder->moe_intermediate_size;
    case DIMENSION_SHARED_GATE_UP:
        return 2 * decoder->shared_expert_intermediate_size;
    case DIMENSION_SHARED_INTERMEDIATE:
        return decoder->shared_expert_intermediate_size;
    case DIMENSION_QUERY_GATE:
        return 2 * decoder->num_attention_heads * decoder->head_dim;
    case DIMENSION_LINEAR_QKV:
        return 2 * linear->num_key_heads * linear->key_head_dim + linear_attention_channels(linear);
    case DIMENSION_LINEAR_QKVZ:
        return 2 * linear->num_key_heads * linear->key_head_dim + 2 * linear_attention_channels(linear);
    case DIMENSION_LINEAR_VALUE:
        return linear_attention_channels(linear);
    case DIMENSION_LINEAR_HEADS:
        return linear->num_value_heads;
    case DIMENSION_LINEAR_BA:
        return 2 * linear->num_value_heads;
    case DIMENSION_LINEAR_HEAD:
        return linear->value_head_dim;
    case DIMENSION_LINEAR_TAPS:
        return linear->taps;
    case DIMENSION_PER_LAYER:
        return decoder->per_layer_size;
    case DIMENSION_ONE:
        break;
    }
    return 1;
}

bool family_condition(enum condition condition, const struct model_config *config)
{
    switch (condition) {
    case WITH_PARALLEL_NORMS:
        return config->parallel_norms;
    case WITHOUT_PARALLEL_NORMS:
        return !config->parallel_norms;
    case WITH_QUERY_KEY_NORM:
        return config->query_key_norm;
    case SEQUENTIAL:
        return !config->decoder.parallel_residual;
    case WITH_QUERY_LATENT:
        return config->decoder.latent.query_rank != 0;
    case WITH_SHARED_EXPERT:
        return config->decoder.shared_expert_intermediate_size != 0;
    case WITHOUT_QUERY_LATENT:
        return config->decoder.latent.query_rank == 0;
    case WITH_PER_LAYER_INPUT:
        return config->decoder.per_layer_size != 0;
    case NO_CONDITION:
        break;
    }
    return true;
}

bool family_presence(enum presence presence, const struct model_config *config)
{
    switch (presence) {
    case ALWAYS:
        return true;
    case WITH_ATTENTION_BIAS:
        return config->attention_bias;
    case WITH_ATTENTION_OUTPUT_BIAS:
        return config->attention_output_bias;
    case WITH_QKV_BIAS:
        return config->qkv_bias;
    case WITH_MLP_BIAS:
        return config->mlp_bias;
    case NEVER:
        break;
    }
    return false;
}
