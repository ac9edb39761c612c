#include "stages/work.h"

#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/least_squares.h"

double routed_share(const struct decoder_config *config)
{
    return config->num_experts > 0 ? (double)config->num_experts_per_tok / (double)config->num_experts : 1;
}

// Weights of a linear that a token passes on average.
static double weights_passed(const struct decoder_config *config, const struct layer_tensor *tensor)
{
    return (tensor->expert ? routed_share(config) : 1) * (double)tensor->out * (double)tensor->in;
}

// Of a token in a sequence of `tokens`: causal attention goes over half of tokens x tokens for scores, and
// for values; linear attention does not depend on their number.
static double attention_work(const struct model *model, size_t layer, size_t tokens)
{
    const struct decoder_config own = layer_config(&model->config, layer), *config = &own;

    if (model->config.layers[layer].linear_attention)
        return linear_attention_work(&config->linear_attention);
    return (double)tokens *
           (double)(config->num_attention_heads * (config->head_dim + value_head_dim(config)));
}

double layer_forward_work(const struct model *model, const struct layer_map *map, size_t tokens)
{
    const struct decoder_config *config = &model->config.decoder;
    double weights = 0;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0')
            weights += weights_passed(config, &map->tensors[i]);
    // Each weight multiplies and adds once for each token.
    return (double)tokens * (2.0 * weights + attention_work(model, map->layer, tokens));
}

double source_forward_work(const struct model *model, const struct layer_map *map, size_t source,
                           size_t tokens)
{
    const struct decoder_config *config = &model->config.decoder;
    double weights = 0;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0' && map->tensors[i].source < source)
            weights += weights_passed(config, &map->tensors[i]);
    const bool attended = source >= source_number(config, SOURCE_ATTENTION_OUTPUT);
    return (double)tokens * (2.0 * weights + (attended ? attention_work(model, map->layer, tokens) : 0));
}

// Each weight multiplies and adds once for each token.
double product_work(const struct model *model, const struct layer_tensor *tensor, size_t tokens)
{
    return 2.0 * (double)tokens * weights_passed(&model->config.decoder, tensor);
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

double gram_work(double tokens, double channels, bool two_streams)
{
    return (two_streams ? 3 : 1) * tokens * channels * channels; // C has no triangle to leave out
}

double factor_work(double channels)
{
    return 2.0 / 3 * channels * channels * channels;
}

double correct_work(double out, double in)
{
    return out * in * in;
}

double order_gains_work(double rows, double groups)
{
    return 3 * rows * groups * groups; // a difference, a comparison and a sum each
}

double order_exchange_work(double groups)
{
    return 8 * groups * groups * groups;
}

double solve_work(double out, double in)
{
    return 2 * (LEAST_SQUARES_STEPS + 2) * out * in * in;
}

// What alps usually takes: steps, and penalties.
enum { ALPS_USUAL_STEPS = 36, ALPS_USUAL_PENALTIES = 9 };

double split_step_work(double out, double in)
{
    return 2 * out * in * in;
}

double split_steps(enum method method)
{
    return method == METHOD_ALPS ? ALPS_USUAL_STEPS : ADMM_STEPS;
}

double inverse_work(double channels)
{
    return channels * channels * channels; // of a symmetric matrix: half of 2 in^3
}

double split_inverses(enum method method)
{
    return method == METHOD_ALPS ? ALPS_USUAL_PENALTIES : 1;
}
