// format.h - what the writer and the reader of io/store/store.h know together: the user block, the
// hashes over the file's blocks and over a dataset's rows, the number types. Only the store's own files and
// tests include it.
//
// The user block is the file's first 512 bytes; all numbers are little-endian:
//
//  - 0: magic "coppice-store\r\n\x1a"
//  - 16: format version (u32); 20: bytes of a block (u32), 2^20
//  - 24: length of the file (u64)
//  - 32: XXH3-64 (u64) of the XXH3-64 values (u64 each) of the blocks of the rest of the file
//  - 40: what the file was made from (u64), store_create; 0: not said
//  - 48: which file of a run it is, "masks/wanda-0.5/layer-007.h5" and zeros; zeros: not said
//  - 504: XXH3-64 (u64) of bytes 0 to 503
//
// Block b is the bytes [512 + b 2^20, 512 + (b + 1) 2^20), the last one shorter. So every byte of the file is
// under a hash, and no hash depends on how many ranks computed it.
#pragma once
#include "io/store/store.h"
#include <hdf5.h>
#include <stddef.h>

enum { STORE_USER_BLOCK = 512, STORE_BLOCK = 1 << 20, STORE_VERSION = 1 };

struct store_header {
    uint64_t length, blocks, made_from;
    char name[ORIGIN_NAME_SIZE];
};
void store_header_encode(uint8_t block[STORE_USER_BLOCK], const struct store_header *header);
// STATUS_DAMAGED names the path.
enum status store_header_decode(struct store_header *header, const uint8_t block[STORE_USER_BLOCK],
                                const char *path, struct error *err);

// pread and pwrite of all of it: interrupted and short transfers go on. False, with errno, on failure; the
// end of the file within the range is a failure with errno 0.
bool read_all(int fd, void *bytes, size_t size, uint64_t offset);
bool write_all(int fd, const void *bytes, size_t size, uint64_t offset);

// After a failed read_all: STATUS_DAMAGED where the file ended, else STATUS_FAILED with the system's reason.
enum status store_cannot_read(const char *path, uint64_t offset, struct error *err);

// A file that is open for reading.
struct store_file {
    int fd;
    const char *path; // its final name, for messages
    uint64_t length;  // bytes
};

// ---- blocks

// Of a file of `length` bytes.
uint64_t store_num_blocks(uint64_t length);
// Offset in the file.
uint64_t store_block_begin(uint64_t block);
// Reads the block into buffer[STORE_BLOCK] and hashes it; *size: its bytes.
enum status store_hash_block(const struct store_file *file, uint64_t block, void *buffer, size_t *size,
                             uint64_t *hash, struct error *err);
// Collective. The hash over hashes[total]: each is there on one rank and zero on the others, and complete on
// all afterwards.
enum status store_combine_blocks(uint64_t *hashes, uint64_t total, MPI_Comm comm, uint64_t *blocks,
                                 struct error *err);
// Collective. The same for a file, which each rank reads its share of. A file that ends early is
// STATUS_DAMAGED.
enum status store_hash_blocks(const struct store_file *file, MPI_Comm comm, uint64_t *blocks,
                              struct error *err);

// ---- rows

// Called with each row's XXH3-64; a failure ends the pass.
typedef enum status store_row_check(void *context, uint64_t row, uint64_t hash, struct error *err);

// Rows hashed one after the other, from pieces of any size.
struct store_rows {
    struct XXH3_state_s *state;
    uint64_t row, row_bytes, left; // the current row, and how much of it is still to come
    store_row_check *check;
    void *context;
};
// row_bytes > 0. store_rows_end may be called after a failure, too.
enum status store_rows_begin(struct store_rows *rows, uint64_t first, uint64_t row_bytes,
                             store_row_check *check, void *context, struct error *err);
enum status store_rows_feed(struct store_rows *rows, const void *bytes, size_t size, struct error *err);
void store_rows_end(struct store_rows *rows);

// Rows [0, count) of the data at `offset` of the file; row_bytes may be 0.
enum status store_hash_rows(const struct store_file *file, uint64_t offset, uint64_t row_bytes,
                            uint64_t count, store_row_check *check, void *context, struct error *err);

// ---- HDF5

size_t store_type_size(enum store_type type);
hid_t store_type_memory(enum store_type type); // not to be closed
hid_t store_type_file(enum store_type type);   // little-endian; not to be closed
// False when the HDF5 datatype is none of ours.
bool store_type_of(hid_t datatype, enum store_type *type);

// HDF5 says nothing on its own from now on. Every entry of the store calls it: the setting is HDF5's own
// global.
void store_quiet(void);
// error_set with the reason that HDF5 gives for its latest failure at the end of the line.
enum status store_hdf5_failed(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
