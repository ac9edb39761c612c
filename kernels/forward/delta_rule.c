#include "kernels/forward/delta_rule.h"
#include "kernels/forward/elementary.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "kernels/workspace.h"

// What one chunk of n tokens needs. c_i is the sum of log decays up to and with token i of the chunk; in
// double, since differences of large sums are taken.
//
// With the state S before the chunk, what token i writes into the state, u_i, is beta_i times (v_i - what the
// state has for k_i by then):
//   u_i = beta_i (v_i - e^(c_i) S^T k_i) - sum over j < i of beta_i e^(c_i - c_j) (k_i . k_j) u_j
//   o_i = e^(c_i) S^T q_i + sum over j <= i of e^(c_i - c_j) (q_i . k_j) u_j
//   S  <- e^(c_n) S + sum over j of e^(c_n - c_j) k_j u_j^T
struct chunk {
    double *decays; // [n]: c
    float *scores;  // [n, n]: of keys with keys, then of queries with keys
    float *written; // [n, value_head_dim]: u
    float *keys;    // [n, key_head_dim]: decayed to the end of the chunk
    float *update;  // [key_head_dim, value_head_dim]
};

static size_t decays_size(void)
{
    return cache_lines(DELTA_RULE_CHUNK * sizeof(double) / sizeof(float));
}

size_t delta_rule_workspace_size(size_t key_head_dim, size_t value_head_dim)
{
    return decays_size() + cache_lines((size_t)DELTA_RULE_CHUNK * DELTA_RULE_CHUNK) +
           cache_lines(DELTA_RULE_CHUNK * value_head_dim) + cache_lines(DELTA_RULE_CHUNK * key_head_dim) +
           cache_lines(key_head_dim * value_head_dim);
}

double delta_rule_work(size_t key_head_dim, size_t value_head_dim)
{
    const double key = (double)key_head_dim, value = (double)value_head_dim, chunk = DELTA_RULE_CHUNK;
    return 4 * chunk * key + 3 * chunk * value + 6 * key * value;
}

static struct chunk lay_out(const struct delta_rule *rule, float *workspace)
{
    struct chunk chunk = {.decays = (double *)(void *)workspace};
    chunk.scores = workspace + decays_size();
    chunk.written = chunk.scores + cache_lines((size_t)DELTA_RULE_CHUNK * DELTA_RULE_CHUNK);
    chunk.keys = chunk.written + cache_lines(DELTA_RULE_CHUNK * rule->value_head_dim);
    chunk.update = chunk.keys + cache_lines(DELTA_RULE_CHUNK * rule->key_head_dim);
    return chunk;
}

static float decay(double log_decay)
{
    return exp32((float)log_decay);
}

// row[j] *= scale * e^(c_i - c_j) for the tokens j < count.
SIMD_CLONES
static void decay_row(float *row, const double *decays, size_t i, size_t count, float scale)
{
    for (size_t j = 0; j < count; j++)
        row[j] *= scale * exp32((float)(decays[i] - decays[j]));
}

SIMD_CLONES
static void scale_row(float *out, const float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale;
}

SIMD_CLONES
static void subtract_scaled(float *restrict y, const float *restrict x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        y[i] -= scale * x[i];
}

// row = beta * (value - decay * row): what would be written if the chunk had no earlier tokens.
SIMD_CLONES
static void correct_row(float *restrict row, const float *restrict value, size_t n, float beta, float decay)
{
    for (size_t i = 0; i < n; i++)
        row[i] = beta * (value[i] - decay * row[i]);
}

// state = decay * state + update
SIMD_CLONES
static void move_state(float *restrict state, const float *restrict update, size_t n, float decay)
{
    for (size_t i = 0; i < n; i++)
        state[i] = decay * state[i] + update[i];
}

static void write_chunk(const struct chunk *chunk, const struct delta_rule *rule, const float *state,
                        size_t tokens)
{
    const size_t keys = rule->key_head_dim, values = rule->value_head_dim;

    gemm_nn(chunk->written, values, rule->key, rule->stride, state, values, tokens, values, keys);
    gemm_nt(chunk->scores, tokens, rule->key, rule->stride, rule->key, rule->stride, tokens, tokens, keys,
            1.0F);
    for (size_t i = 0; i < tokens; i++) {
        const float beta = rule->beta[i * rule->gate_stride];
        float *row = chunk->written + i * values, *scores = chunk->scores + i * tokens;
        correct_row(row, rule->value + i * rule->stride, values, beta, decay(chunk->decays[i]));
        decay_row(scores, chunk->decays, i, i, beta);
        for (size_t j = 0; j < i; j++)
            subtract_scaled(row, chunk->written + j * values, values, scores[j]);
    }
}

static void read_chunk(float *out, size_t out_stride, const struct chunk *chunk,
                       const struct delta_rule *rule, const float *state, size_t tokens)
{
    const size_t keys = rule->key_head_dim, values = rule->value_head_dim;

    gemm_nn(out, out_stride, rule->query, rule->stride, state, values, tokens, values, keys);
    gemm_nt(chunk->scores, tokens, rule->query, rule->stride, rule->key, rule->stride, tokens, tokens, keys,
            1.0F);
    for (size_t i = 0; i < tokens; i++) {
        float *scores = chunk->scores + i * tokens;
        scale_row(out + i * out_stride, out + i * out_stride, values, decay(chunk->decays[i]));
        decay_row(scores, chunk->decays, i, i + 1, 1.0F);
        for (size_t j = i + 1; j < tokens; j++)
            scores[j] = 0.0F;
    }
    gemm_add_nn(out, out_stride, chunk->scores, tokens, chunk->written, values, tokens, values, tokens);
}

static void update_state(float *state, const struct chunk *chunk, const struct delta_rule *rule,
                         size_t tokens)
{
    const size_t keys = rule->key_head_dim, values = rule->value_head_dim;
    const double end = chunk->decays[tokens - 1];

    for (size_t j = 0; j < tokens; j++)
        scale_row(chunk->keys + j * keys, rule->key + j * rule->stride, keys, decay(end - chunk->decays[j]));
    gemm_tn(chunk->update, values, chunk->keys, keys, chunk->written, values, keys, values, tokens);
    move_state(state, chunk->update, keys * values, decay(end));
}

void delta_rule_forward(float *out, size_t out_stride, const struct delta_rule *rule, float *state,
                        size_t tokens, float *workspace)
{
    const struct chunk chunk = lay_out(rule, workspace);
    struct delta_rule next = *rule;

    for (size_t first = 0; first < tokens; first += DELTA_RULE_CHUNK) {
        const size_t count = tokens - first < DELTA_RULE_CHUNK ? tokens - first : DELTA_RULE_CHUNK;
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            chunk.decays[i] = sum += (double)next.log_decay[i * next.gate_stride];
        write_chunk(&chunk, &next, state, count);
        read_chunk(out + first * out_stride, out_stride, &chunk, &next, state, count);
        update_state(state, &chunk, &next, count);
        next.query += count * next.stride;
        next.key += count * next.stride;
        next.value += count * next.stride;
        next.log_decay += count * next.gate_stride;
        next.beta += count * next.gate_stride;
    }
}
