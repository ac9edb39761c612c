// latent_attention.h - the queries, keys and values of multi-head latent attention (DeepSeek-V2, 2024): they
// are made from a few channels, the latents, of which there is one set of keys and values for all heads.
#pragma once
#include "kernels/forward/norm.h"
#include "kernels/forward/observer.h"
#include "kernels/gemm.h"

// All zero: the model has no latent attention.
struct latent_sizes {
    size_t heads;
    size_t query_rank;            // channels of the query's latent; 0: queries are made from the input
    size_t key_value_rank;        // channels of the latent of keys and values
    size_t plain_dim, rotary_dim; // of a head of query or key: first those that are not rotated
    size_t value_dim;             // of a head of values
    float norm_epsilon;           // of both latents' norms
};

struct latent_weights {
    struct linear q;             // [heads (plain + rotary), hidden], without a query latent
    struct linear q_a, q_b;      // else [query_rank, hidden] and [heads (plain + rotary), query_rank]
    struct linear kv_a;          // [key_value_rank + rotary, hidden]: the latent, then the keys' rotary part
    struct linear kv_b;          // [heads (plain + value), key_value_rank]: of each head its key, its value
    struct norm q_norm, kv_norm; // of the latents: root mean square
};

struct latent_attention {
    const struct latent_sizes *sizes;
    const struct latent_weights *weights;
};

// Floats of a token's row that latent_project fills.
static inline size_t latent_row_size(const struct latent_sizes *sizes)
{
    return sizes->heads * (2 * (sizes->plain_dim + sizes->rotary_dim) + sizes->plain_dim + sizes->value_dim);
}
// Floats of workspace for `tokens`.
size_t latent_workspace_size(const struct latent_sizes *sizes, size_t tokens);

// rows[tokens, latent_row_size] <- of each token all queries [heads, plain + rotary], all keys [heads, plain
// + rotary], and what kv_b puts out, [heads, plain + value], whose second parts are the values:
//   query = q_b norm(q_a x), or q x;  (c, r) = kv_a x;  (key_h, value_h) = kv_b_h norm(c);  key_h = (key_h,
//   r)
// Nothing is rotated yet. The observer sees the normed latent of the query, where there is one, as
// first_source, then that of keys and values as the next source. False when it ended the pass.
bool latent_project(float *rows, const struct latent_attention *latent, const float *x, size_t tokens,
                    float *workspace, const struct decoder_observer *observer, size_t first_source);
