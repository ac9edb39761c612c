// added_bias.h - biases that the exported checkpoint has and the source does not.
//
// The new tensors follow those of the shard that holds their linear's weight: everything before them keeps
// its offset, and the shard's header grows by their entries alone.
#pragma once
#include "stages/stage.h"

struct added_bias {
    char name[256]; // of the tensor
    char linear[96];
    size_t layer, out;
    enum dtype dtype;
    uint64_t begin; // byte offset in the data section
};

struct added_biases {
    size_t count;
    struct added_bias *items;
    char *header; // the shard's new one, magic length included
    uint64_t header_bytes;
};

// The biases that `variant` adds to shard `index`. count 0: the shard's header stays as it is. Not
// collective. Freed with added_biases_free.
enum status added_biases_create(struct added_biases *biases, const struct stage *stage,
                                const struct variant *variant, size_t index, struct error *err);
void added_biases_free(struct added_biases *biases); // zeroed is fine

// In folder `to`, which has the side files: config.json that asks for the biases, and
// model.safetensors.index.json (if the checkpoint has one) that lists them. Not collective.
enum status added_biases_describe(const struct stage *stage, const struct variant *variant, const char *to,
                                  struct error *err);
