// shard_file.h - a shard that is being written: every rank has the temporary file open; rank 0 made it and
// commits it.
#pragma once
#include "io/file/commit.h"
#include "stages/export/added_bias.h"

struct shard {
    const struct stage *stage;
    const struct variant *variant;
    const struct safetensors_file *source;
    struct commit_file file;
    struct added_biases biases;
    uint64_t header_bytes; // of the new file
};

// Opens the file that will be `path`. Collective.
enum status shard_begin(struct shard *shard, const char *path, struct error *err);
// Commits it, or where any rank failed removes it. mine: how writing went on this rank. Collective.
enum status shard_end(struct shard *shard, enum status mine, struct error *err);

// Bytes of the source's mapping, or of memory, to that offset.
enum status shard_copy_bytes(struct shard *shard, const uint8_t *bytes, uint64_t size, uint64_t offset,
                             struct error *err);
// A tensor that nothing changes.
enum status shard_copy_tensor(struct shard *shard, const struct safetensors_tensor *tensor,
                              struct error *err);
// Whether a tensor is exported as the codes that it is made from.
bool shard_keeps_codes(const struct shard *shard, const struct safetensors_tensor *tensor);
