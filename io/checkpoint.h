// checkpoint.h - the weights of a Hugging Face model directory: model.safetensors, or the shards that
// model.safetensors.index.json lists.
#pragma once
#include "io/safetensors.h"

struct checkpoint {
    char *directory;
    size_t num_shards;
    struct safetensors_file **shards; // in the order of their names
    char **shard_names;               // file names, without folders
    bool has_index;                   // model.safetensors.index.json is there
};

// Opens every shard. A missing shard, a shard name that leaves the folder, a tensor in two shards or listed
// but absent is STATUS_INPUT. *checkpoint is freed with checkpoint_close.
enum status checkpoint_open(struct checkpoint **checkpoint, const char *directory, struct error *err);
void checkpoint_close(struct checkpoint *checkpoint); // NULL is fine
// The tensor and (shard may be NULL) the index of its shard; NULL when there is none.
const struct safetensors_tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name,
                                                 size_t *shard);
// Bytes of all tensor data.
uint64_t checkpoint_bytes(const struct checkpoint *checkpoint);
