#include "kernels/forward/latent_attention.h"
#include "kernels/workspace.h"

#include <string.h>

// The workspace's parts.
struct parts {
    float *latent;     // [tokens, the larger rank]
    float *compressed; // [tokens, key_value_rank + rotary]: what kv_a puts out
};

size_t latent_workspace_size(const struct latent_sizes *sizes, size_t tokens)
{
    return cache_lines(tokens * larger(sizes->query_rank, sizes->key_value_rank)) +
           cache_lines(tokens * (sizes->key_value_rank + sizes->rotary_dim));
}

static bool make_queries(float *queries, const struct latent_attention *latent, const float *x, size_t tokens,
                         float *normed, const struct decoder_observer *observer, size_t source)
{
    const struct latent_sizes *sizes = latent->sizes;
    const struct latent_weights *weights = latent->weights;
    const size_t stride = latent_row_size(sizes), rank = sizes->query_rank;

    if (rank == 0) {
        linear_forward(queries, stride, &weights->q, x, tokens);
        return true;
    }
    linear_forward(normed, rank, &weights->q_a, x, tokens);
    norm_forward(normed, normed, tokens, rank, &weights->q_norm, NORM_RMS, sizes->norm_epsilon);
    if (!notify_observer(observer, source, normed, tokens, rank))
        return false;
    linear_forward(queries, stride, &weights->q_b, normed, tokens);
    return true;
}

// normed[tokens, key_value_rank] <- norm of the first part of compressed, without its rotary part.
static void norm_latent(const struct parts *parts, const struct latent_attention *latent, size_t tokens)
{
    const struct latent_sizes *sizes = latent->sizes;
    const size_t rank = sizes->key_value_rank, stride = rank + sizes->rotary_dim;

    for (size_t t = 0; t < tokens; t++)
        memcpy(parts->latent + t * rank, parts->compressed + t * stride, rank * sizeof(float));
    norm_forward(parts->latent, parts->latent, tokens, rank, &latent->weights->kv_norm, NORM_RMS,
                 sizes->norm_epsilon);
}

// One token's keys: the first part of what kv_b puts out for the head, then the part that all heads share.
static void make_keys(float *keys, const float *expanded, const float *rotary,
                      const struct latent_sizes *sizes)
{
    const size_t plain = sizes->plain_dim, turned = sizes->rotary_dim;

    for (size_t h = 0; h < sizes->heads; h++) {
        float *key = keys + h * (plain + turned);
        memcpy(key, expanded + h * (plain + sizes->value_dim), plain * sizeof *key);
        memcpy(key + plain, rotary, turned * sizeof *key);
    }
}

bool latent_project(float *rows, const struct latent_attention *latent, const float *x, size_t tokens,
                    float *workspace, const struct decoder_observer *observer, size_t first_source)
{
    const struct latent_sizes *sizes = latent->sizes;
    const struct latent_weights *weights = latent->weights;
    const size_t rank = sizes->key_value_rank, width = rank + sizes->rotary_dim;
    const size_t keys = sizes->heads * (sizes->plain_dim + sizes->rotary_dim), expanded = 2 * keys;
    const size_t stride = latent_row_size(sizes), widest = larger(sizes->query_rank, rank);
    const struct parts parts = {workspace, workspace + cache_lines(tokens * widest)};
    const size_t source = first_source + (sizes->query_rank != 0 ? 1 : 0);

    if (!make_queries(rows, latent, x, tokens, parts.latent, observer, first_source))
        return false;
    linear_forward(parts.compressed, width, &weights->kv_a, x, tokens);
    norm_latent(&parts, latent, tokens);
    if (!notify_observer(observer, source, parts.latent, tokens, rank))
        return false;
    linear_forward(rows + expanded, stride, &weights->kv_b, parts.latent, tokens);
    for (size_t t = 0; t < tokens; t++) {
        float *row = rows + t * stride;
        make_keys(row + keys, row + expanded, parts.compressed + t * width + rank, sizes);
    }
    return true;
}
