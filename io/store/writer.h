// writer.h - the writer's state, shared by its parts: create.c (beginning and end), note.c (declarations,
// attributes), structure.c (what rank 0 does to the file's structure), parallel.c (from there to parallel
// HDF5), write.c (rows), read_back.c (their check), finish.c (from the last write to the final name).
//
// Life of a file. Its structure is written by rank 0 alone (why: driver.h), its rows by all ranks together
// through parallel HDF5, and never both at once:
//
//  - declare, attribute: only noted, on every rank
//  - first write after it: rank 0 writes the structure and closes the file; all open it with the mpio driver
//  - write: each rank its rows, by itself; HDF5 has nothing else to write, so nothing else of it can fail
//  - commit: all close; rank 0 adds the last attributes; all fsync, read back and hash; rank 0 renames
#pragma once
#include "io/store/format.h"

struct store_dataset {
    char *name, *unit, *meaning;
    enum store_type type;
    size_t rank;
    uint64_t dims[STORE_MAX_RANK];
    uint64_t rows, row_bytes;  // as they are hashed: a 1-D dataset is one row
    uint64_t *row_hashes;      // [rows] of the rows that this rank wrote; 0 elsewhere
    unsigned char *row_filled; // [rows] 1 where this rank wrote
    uint64_t offset;           // of the first row in the file, from its very beginning
    bool exists;               // in the file
};

enum attribute_type { ATTRIBUTE_STRING, ATTRIBUTE_F64, ATTRIBUTE_U64 };

struct store_attribute {
    char *object, *name;
    enum attribute_type type;
    char *string;
    double f64;
    uint64_t u64;
};

struct store_writer {
    char *path, *temporary, *folder;
    MPI_Comm comm;
    int rank, size;
    uint64_t made_from;          // of the origin that store_create was given
    char name[ORIGIN_NAME_SIZE]; // and the name that it gives
    enum status failure;         // after a failure only store_abandon does something
    int fd;       // of the temporary file, -1: none. Rank 0 writes structure and user block through it, every
                  // rank fsyncs it: it is older than every write, so no error of the kernel's is missed
    bool created; // rank 0: the temporary file is there and ours to unlink
    hid_t parallel;                      // the file opened with the mpio driver, or H5I_INVALID_HID
    uint64_t piece;                      // most bytes that a rank hands to HDF5 in one transfer
    size_t num_datasets, num_attributes; // attributes: those that are not in the file yet
    struct store_dataset *datasets;
    size_t last_found; // of the datasets, by store_find_dataset
    struct store_attribute *attributes;
    bool structure_exists; // the file is an HDF5 file already
};

// Copies a string (NULL stays NULL); the caller frees.
enum status store_copy_string(char **copy, const char *string, struct error *err);
// Remembers a failure that all ranks agreed on, for store_refuse; returns it.
enum status store_note(struct store_writer *writer, enum status agreed);
// The answer of every step after a failed one.
enum status store_refuse(const struct store_writer *writer, struct error *err);

// The dataset that was declared under this name, or NULL.
struct store_dataset *store_find_dataset(struct store_writer *writer, const char *name);

// Sets the properties that both ways of opening the file for writing need. Negative on failure.
herr_t store_set_format(hid_t fapl);

// Rank 0. Brings everything that was noted into the file. The errno of a failed write is in the message.
enum status store_structure_write(struct store_writer *writer, struct error *err);
// Rank 0. Sets the value of attribute `xxh3` of every dataset: hashes[num_datasets].
enum status store_structure_set_hashes(struct store_writer *writer, const uint64_t *hashes,
                                       struct error *err);

// Collective. Compares the file with what was written and fills in the header. After every rank's fsync.
enum status store_read_back(const struct store_writer *writer, struct store_header *header,
                            struct error *err);

// Collective. From the last write to the final name. On failure the temporary file is still there.
enum status store_finish(struct store_writer *writer, struct error *err);

// Collective. Brings what was noted into the file and opens it for parallel writing, if it is not.
enum status store_ready_to_write(struct store_writer *writer, struct error *err);
// Collective, as all of these. Leaves parallel writing if the file is open for it; what was written stays.
enum status store_close_parallel(struct store_writer *writer, struct error *err);

// For tests: the largest single transfer, in bytes; 1 GiB unless told.
void store_set_piece(struct store_writer *writer, uint64_t bytes);
