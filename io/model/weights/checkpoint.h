// checkpoint.h - the weights of a Hugging Face model directory: model.safetensors, or the shards that
// model.safetensors.index.json lists. When both are there model.safetensors counts, as in the reference
// loader.
#pragma once
#include "io/model/weights/safetensors.h"

// The file that lists the shards.
#define CHECKPOINT_INDEX "model.safetensors.index.json"

struct checkpoint {
    char *directory;
    size_t num_shards;
    struct safetensors_file **shards; // in the order of their names
    char **shard_names;               // file names, without folders
    bool keeps_codes;                 // of a quantised one: they are exported, not what they stand for
    bool has_index;                   // the shards come from CHECKPOINT_INDEX
    size_t num_entries;
    struct checkpoint_entry *entries; // all tensors by name, for checkpoint_find
    // Tensors of the index that are not in the shard that it names: how many, and the first, or NULL.
    size_t num_misplaced;
    char *first_misplaced;
};

// Opens every shard, whatever its name ends in. A missing shard, a shard name that leaves the folder, is
// hidden or belongs to another file (config.json), and a tensor in two shards is STATUS_INPUT, and so is a
// folder with weights in another format only (pytorch_model.bin). The index says which files are shards, and
// no more, as in the reference: a tensor that a shard has beyond the list is there like any other, and one
// that is listed and in no shard, or in another one, is counted. *checkpoint is freed with checkpoint_close.
enum status checkpoint_open(struct checkpoint **checkpoint, const char *directory, struct error *err);
void checkpoint_close(struct checkpoint *checkpoint); // NULL is fine
// The tensor and (shard may be NULL) the index of its shard; NULL when there is none.
const struct safetensors_tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name,
                                                 size_t *shard);
// How many tensors checkpoint_find was never asked for, but for buffers that mean nothing, and the first of
// them by name; *first is left alone where there is none.
size_t checkpoint_unused(const char **first, const struct checkpoint *checkpoint);
// Makes checkpoint_find's table anew from the tensors of the shards.
enum status checkpoint_list_tensors(struct checkpoint *checkpoint, struct error *err);
// Bytes of all tensor data, as it is exported.
uint64_t checkpoint_bytes(const struct checkpoint *checkpoint);
