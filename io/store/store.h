// store.h - one committed HDF5 file per unit, written once by all ranks of a communicator together.
//
// Promises: a file with its final name is complete; its bytes do not depend on the number of ranks; any
// flipped byte is found. FORMAT.md has the format and the steps of a commit.
//
// "Collective" below: every rank of the communicator calls it with the same arguments except data, first,
// count. After a failure on any rank every rank returns the same status and message (collective functions
// agree inside).
#pragma once
#include "io/file/origin.h"
#include "kernels/error.h"
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

enum store_type { STORE_F64, STORE_F32, STORE_U64, STORE_I32, STORE_U32, STORE_U16, STORE_U8 };
enum { STORE_MAX_RANK = 4 };

struct store_writer;
struct store_reader;

// Call it once, before MPI_Init. Open MPI's MPI_File_open otherwise makes files of its own for shared file
// pointers, which nobody here uses: in the folder of the file, in the session folder and in /dev/shm. When
// one of these places is full on one rank, the others wait for ever, and the files stay after a kill. A
// choice of the user's is kept.
void store_before_mpi(void);

// Collective. Starts path's temporary file (folders are made). origin is kept in the file. Freed by
// store_commit or store_abandon.
enum status store_create(struct store_writer **writer, const char *path, struct file_origin origin,
                         MPI_Comm comm, struct error *err);

struct store_shape {
    enum store_type type;
    size_t rank;
    uint64_t dims[STORE_MAX_RANK]; // [rank]
    const char *unit, *meaning;    // attributes of the dataset; NULL: none
};

// Collective. Declares dataset `name` ("/self_attn.q_proj/variance"; groups are made). Its space is allocated
// at once; no fill values are written.
enum status store_declare(struct store_writer *writer, const char *name, const struct store_shape *shape,
                          struct error *err);
// Collective. Each rank writes rows [first, first + count) of the first dimension (count 0: takes part with
// nothing). May be called several times (a few sequences at a time); together the calls must cover every row
// exactly once before the commit. For a 1-D dataset rows are elements and one rank writes all of it.
enum status store_write(struct store_writer *writer, const char *name, uint64_t first, uint64_t count,
                        const void *data, struct error *err);
// Collective. Attributes of dataset or group `object` ("/" is the file): the same value on every rank.
enum status store_attribute_string(struct store_writer *writer, const char *object, const char *attribute,
                                   const char *value, struct error *err);
enum status store_attribute_f64(struct store_writer *writer, const char *object, const char *attribute,
                                double value, struct error *err);
enum status store_attribute_u64(struct store_writer *writer, const char *object, const char *attribute,
                                uint64_t value, struct error *err);
// Collective. Everything above; on failure the temporary file is gone. Frees writer either way.
enum status store_commit(struct store_writer *writer, struct error *err);
// Collective. Drops the temporary file. NULL is fine.
void store_abandon(struct store_writer *writer);

// Collective. Opens a committed file for reading and checks all of it (each rank its share of the blocks). A
// mismatch is STATUS_DAMAGED and names the file; a file that is not there is STATUS_FAILED, and one that says
// it is another one STATUS_USAGE (io/file/origin.h). With MPI_COMM_SELF: one process alone.
enum status store_open(struct store_reader **reader, const char *path, MPI_Comm comm, struct error *err);
// Opens a committed file for one process that only wants a little of it: its length and its first block are
// checked, its contents are not. Not collective; works without MPI. Failures as store_open's.
enum status store_look(struct store_reader **reader, const char *path, struct error *err);
void store_close(struct store_reader *reader); // collective; NULL is fine
// Calls visit with the name of each group in the file's root, "self_attn.q_proj", sorted, until one fails.
enum status store_groups(const struct store_reader *reader,
                         enum status visit(void *context, const char *name, struct error *err), void *context,
                         struct error *err);
// Whether there is a dataset `name`. A missing dataset is no error; a failure of HDF5 is STATUS_FAILED.
enum status store_find(const struct store_reader *reader, const char *name, bool *is_there,
                       struct error *err);
enum status store_dims(const struct store_reader *reader, const char *name, size_t *rank,
                       uint64_t dims[STORE_MAX_RANK], struct error *err);
// Not collective (independent transfers): rows [first, first + count) of `name` into data, which must have
// the dataset's type. Wrong type or range is an error.
enum status store_read(const struct store_reader *reader, const char *name, enum store_type type,
                       uint64_t first, uint64_t count, void *data, struct error *err);
// Whether an object has an attribute; as store_find.
enum status store_find_attribute(const struct store_reader *reader, const char *object, const char *attribute,
                                 bool *is_there, struct error *err);
enum status store_read_attribute_f64(const struct store_reader *reader, const char *object,
                                     const char *attribute, double *value, struct error *err);
enum status store_read_attribute_u64(const struct store_reader *reader, const char *object,
                                     const char *attribute, uint64_t *value, struct error *err);
// value is allocated; caller frees.
enum status store_read_attribute_string(const struct store_reader *reader, const char *object,
                                        const char *attribute, char **value, struct error *err);

// Checks the whole file and each dataset's `xxh3` as one process, for `coppice verify`.
enum status store_verify(const char *path, struct error *err);
// What the file was made from, out of its first block, which is checked; 0 when it does not say. Not
// collective; works without MPI. Failures as store_open's.
enum status store_made_from(uint64_t *made_from, const char *path, struct error *err);
// True when a file of that name is there (committed, by construction). Cheap: no checksum.
bool store_exists(const char *path);
