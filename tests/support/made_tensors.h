// made_tensors.h - a safetensors file from tensors that a test makes. Failures end the running test.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct made_tensors;

struct made_tensors *made_tensors_create(void);
// Appends a tensor with a copy of data[bytes]; data NULL: zeros.
void made_tensors_add(struct made_tensors *made, const char *name, const char *dtype, size_t rank,
                      const uint64_t *shape, const void *data, size_t bytes);
// Writes the file (in place of one that may be mapped) and frees made.
void made_tensors_write(struct made_tensors *made, const char *path);
