// error.h - how every function below pipeline/ says that it failed.
//
// A function that can fail returns enum status and takes a struct error * as its last argument, which it
// fills with one clear line: what, where (file, tensor, index, line), what to do. Nothing below pipeline/
// prints or exits. Lives in kernels/ because that is the lowest room: everyone may include it.
#pragma once
#include <stddef.h>

// The values are ordered by how much they matter when ranks disagree (team_agree keeps the largest) and
// never change.
enum status {
    STATUS_OK = 0,
    STATUS_STOPPED = 1, // told to stop; everything committed is intact. Exit code 75
    STATUS_DAMAGED = 2, // a committed file does not match its checksum. Exit code 1
    STATUS_FAILED = 3,  // the system said no: open, read, write, MPI, HDF5. Exit code 1
    STATUS_MEMORY = 4,  // an allocation failed. Exit code 1
    STATUS_INPUT = 5,   // model, corpus or tokenizer is not what it must be. Exit code 3
    STATUS_USAGE = 6,   // command line or job file. Exit code 2
};

struct error {
    enum status status;
    char message[1024];
};

// Sets err (may be NULL) to status and the formatted line, its control characters, whatever name they came
// with, replaced by '?'; returns status, so that a caller can `return error_set(...)`.
enum status error_set(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "<formatted prefix>: " before the message that err already holds. Returns err's status.
enum status error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define RETURN_ERROR(err, status, ...) return error_set((err), (status), __VA_ARGS__)

#define RETURN_ERROR_IF(condition, err, status, ...)        \
    do {                                                    \
        if (condition)                                      \
            return error_set((err), (status), __VA_ARGS__); \
    } while (0)

// Evaluates call once; a failing status is returned as it is.
#define FORWARD_IF_ERROR(call)                      \
    do {                                            \
        const enum status forward_status_ = (call); \
        if (forward_status_ != STATUS_OK)           \
            return forward_status_;                 \
    } while (0)

// The same for functions that clean up: needs a local `enum status status`, jumps to label.
#define GOTO_IF_ERROR(call, label) \
    do {                           \
        status = (call);           \
        if (status != STATUS_OK)   \
            goto label;            \
    } while (0)

// calloc(count, size) with an overflow check and an error that says how many bytes were asked for and what
// for. *out is NULL on failure; count or size 0 gives a valid pointer. The caller frees with free().
enum status allocate(void *out, size_t count, size_t size, const char *purpose, struct error *err);

// The same for arrays that GEMM reads: aligned to 64 bytes, contents undefined. Freed with free().
enum status allocate_aligned(void *out, size_t count, size_t size, const char *purpose, struct error *err);
