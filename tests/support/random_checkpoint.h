// random_checkpoint.h - a LLaMA or Mixtral checkpoint with random weights, of any shape: a folder with
// config.json, tokenizer.json, tokenizer_config.json and model.safetensors or its shards with an index. The
// same shape and seed give the same bytes everywhere.
//
// Linear weights and embeddings are drawn from N(0, 1/in), norms are 1 + N(0, 0.01). Normal numbers come from
// a table of 65536 quantiles, so a weight costs 16 random bits and a load; every weight is rounded once to
// the dtype. Memory does not grow with the model.
//
// With experts, two of which a token takes, the rows of a router come in pairs v, -v; with an odd number the
// last row is 0. Of each pair one has a positive logit, so that from five on an expert with a row of 0 is
// never chosen.
#pragma once
#include "kernels/dtype.h"
#include <stdbool.h>
#include <stddef.h>

struct random_checkpoint {
    size_t hidden, intermediate, layers, heads, kv_heads, vocab, shards, seed;
    size_t experts; // of each layer, as in Mixtral; 0: LLaMA
    enum dtype dtype;
    bool tied;    // no lm_head: the embedding is used
    double zeros; // share of the weights that are zero, the smallest, as magnitude pruning leaves them
};

// Hidden size 64, intermediate 172, 2 layers, 4 heads, 512 tokens, one shard, BF16.
struct random_checkpoint random_checkpoint_defaults(void);
// Why there is no such checkpoint, or NULL.
const char *random_checkpoint_problem(const struct random_checkpoint *shape);
// Writes it to `folder`, which is made. A file that cannot be written ends the program with one line.
void random_checkpoint_write(const struct random_checkpoint *shape, const char *folder);
