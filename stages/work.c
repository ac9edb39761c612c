#include "stages/work.h"

// Inputs of a layer that linears share: of q, k and v, of o, of gate and up, of down.
enum { LAYER_INPUTS = 4 };

double routed_share(const struct decoder_config *config)
{
    return config->num_experts > 0 ? (double)config->num_experts_per_tok / (double)config->num_experts : 1;
}

double layer_forward_work(const struct model *model, const struct layer_map *map, size_t tokens)
{
    const struct decoder_config *config = &model->config.decoder;
    double weights = 0;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0')
            weights += (map->tensors[i].expert ? routed_share(config) : 1) * (double)map->tensors[i].out *
                       (double)map->tensors[i].in;
    // Each weight multiplies and adds once for each token; causal attention goes twice over half of
    // tokens x tokens.
    double attention = 2.0 * (double)tokens * (double)(config->num_attention_heads * config->head_dim);
    return (double)tokens * (2.0 * weights + attention);
}

double lm_head_work(const struct model *model, double tokens)
{
    return 2 * tokens * (double)model->config.decoder.hidden_size * (double)model->config.vocab_size;
}

double score_work(double weights)
{
    return 4 * weights;
}

double compensate_work(double weights)
{
    return 16 * weights;
}

double hessian_work(double tokens, double channels)
{
    return tokens * channels * channels; // the upper triangle, a product and a sum each
}

double factor_work(double channels)
{
    return 2.0 / 3 * channels * channels * channels;
}

double correct_work(double out, double in)
{
    return out * in * in;
}

double trial_passes(size_t candidates)
{
    return LAYER_INPUTS * (double)(1 + candidates);
}

double measuring_passes(const struct variant *variant)
{
    return 3 + (variant->energy_columns || variant->energy_rows ? 3 : 2);
}
