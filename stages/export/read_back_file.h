// read_back_file.h - a shard that is read back, on one rank: its bytes against those that it must have.
#pragma once
#include "stages/export/added_bias.h"

struct read_back {
    const struct stage *stage;
    const struct variant *variant;
    const struct safetensors_file *source;
    const char *path;
    int fd;
    struct added_biases biases;
    uint64_t header_bytes; // of the exported file
    uint8_t *found;        // [room]
    size_t room;
    bool *from_store; // [source->count] the tensors that were compared with the store
    bool differs;
};

// STATUS_FAILED: the tensor is not what was written.
enum status read_back_difference(struct read_back *back, const char *tensor, const char *what,
                                 struct error *err);
// Reads size bytes at offset into back->found.
enum status read_back_piece(struct read_back *back, const char *tensor, size_t size, uint64_t offset,
                            struct error *err);
// The file has these bytes at offset.
enum status read_back_compare(struct read_back *back, const char *tensor, const void *bytes, uint64_t size,
                              uint64_t offset, struct error *err);
// The file has a tensor of the source, which nothing changed.
enum status read_back_tensor(struct read_back *back, const struct safetensors_tensor *tensor,
                             struct error *err);
// Whether a tensor is exported as the codes that it is made from.
bool read_back_keeps_codes(const struct read_back *back, const struct safetensors_tensor *tensor);
