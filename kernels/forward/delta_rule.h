// delta_rule.h - the gated delta rule (Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024): attention
// by a state S[key channels, value channels] that each token lets decay, corrects and reads. Token by token:
//   S <- e^g S
//   S <- S + k (beta (v - S^T k))^T
//   o =  S^T q
#pragma once
#include <stddef.h>

// Tokens go in chunks of so many: within one, the rule is a triangular system and a few matrix products.
enum { DELTA_RULE_CHUNK = 64 };

// One head of a sequence.
struct delta_rule {
    size_t key_head_dim, value_head_dim;
    const float *query, *key, *value; // those of token t start at + t * stride
    size_t stride;
    const float *log_decay, *beta; // g <= 0, and beta: of token t at + t * gate_stride
    size_t gate_stride;
};

// Floats of workspace.
size_t delta_rule_workspace_size(size_t key_head_dim, size_t value_head_dim);

// out[tokens, value_head_dim], rows out_stride apart; state [key_head_dim, value_head_dim] is that before the
// first token, and becomes that after the last one. Memory from an allocator: part of it holds doubles.
void delta_rule_forward(float *out, size_t out_stride, const struct delta_rule *rule, float *state,
                        size_t tokens, float *workspace);

// Multiplications and additions for a token of one head.
double delta_rule_work(size_t key_head_dim, size_t value_head_dim);
