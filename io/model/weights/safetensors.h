// safetensors.h - one *.safetensors file, memory-mapped and checked: magic length, JSON header, offsets.
// Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON, data). The data
// section is the tensors one after the other, in any order of the header, without holes; the JSON may be
// padded with spaces.
#pragma once
#include "kernels/dtype.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

enum { SAFETENSORS_MAX_RANK = 8 };

struct coding; // io/model/weights/coded.h

struct safetensors_tensor {
    const char *name;
    char dtype_name[16]; // as written; formats that coppice does not compute with can still be carried over
    bool supported;      // dtype is one of enum dtype
    enum dtype dtype;
    size_t rank;
    uint64_t shape[SAFETENSORS_MAX_RANK];
    uint64_t begin, end; // byte offsets in the data section
    const void *data;    // in the mapping, any alignment; valid until safetensors_close
    // Not NULL: the elements are made from codes (coded.h). Then begin and end are where they lie in the file
    // that is exported, and there is no data.
    const struct coding *coding;
};

// A file as it is exported, but for the values of its tensors.
struct safetensors_layout {
    const uint8_t *header; // its length in 8 bytes, and JSON
    uint64_t header_bytes, data_bytes;
};

// The product of its shape.
uint64_t safetensors_elements(const struct safetensors_tensor *tensor);

struct safetensors_file {
    char *path;
    const uint8_t *mapping;
    uint64_t file_bytes;
    uint64_t header_bytes; // 8 + JSON length: where the data section starts
    size_t count;
    struct safetensors_tensor *tensors; // [count], in the order of their offsets
    // The tensors of the file; the same array, unless codes are shown as what they stand for (decode.h).
    size_t stored_count;
    struct safetensors_tensor *stored;
    struct safetensors_layout exported; // of `tensors`
    uint8_t *new_header;                // of exported, if it is not the file's
    bool *is_left_out;                  // [stored_count] scales, which are not among `tensors`; or NULL
    char *metadata;                     // "__metadata__" as compact JSON; NULL when there is none
};

// Maps and validates path. A file that cannot be read, a header that is longer than the file, is not JSON or
// names a tensor twice, an unknown dtype, overlapping or out-of-range offsets, holes, bytes after the last
// tensor, and shape x dtype != bytes are STATUS_INPUT and name file and tensor. *file is freed with
// safetensors_close.
enum status safetensors_open(struct safetensors_file **file, const char *path, struct error *err);
void safetensors_close(struct safetensors_file *file); // NULL is fine
// Tells the kernel that [data, data + bytes) will be read now: it begins to fetch them from the disk. Linux
// fetches no more for one call than the device's read_ahead_kb.
void safetensors_expect(const struct safetensors_file *file, const void *data, uint64_t bytes);
// Tells the kernel that [data, data + bytes) will not be read again soon: keeps resident memory at what is
// in use. Pages around it that came with those are given back, too; reading any of them again is slow, never
// wrong.
void safetensors_release(const struct safetensors_file *file, const void *data, uint64_t bytes);
