// The two hashes of a file: over its blocks, and over the rows of a dataset.
#include "io/store/format.h"

#include "io/agree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum status store_cannot_read(const char *path, uint64_t offset, struct error *err)
{
    if (errno == 0)
        return error_set(err, STATUS_DAMAGED, "%s: damaged: it ends before byte %llu", path,
                         (unsigned long long)offset);
    return error_set(err, STATUS_FAILED, "%s: cannot read at byte %llu: %s", path, (unsigned long long)offset,
                     strerror(errno));
}

// ---- blocks ----------------------------------------------------------------------------------------------

uint64_t store_num_blocks(uint64_t length)
{
    const uint64_t rest = length > STORE_USER_BLOCK ? length - STORE_USER_BLOCK : 0;
    return rest / STORE_BLOCK + (rest % STORE_BLOCK != 0);
}

uint64_t store_block_begin(uint64_t block)
{
    return STORE_USER_BLOCK + block * STORE_BLOCK;
}

enum status store_hash_block(const struct store_file *file, uint64_t block, void *buffer, size_t *size,
                             uint64_t *hash, struct error *err)
{
    const uint64_t begin = store_block_begin(block);

    *size = file->length - begin < STORE_BLOCK ? (size_t)(file->length - begin) : STORE_BLOCK;
    if (!read_all(file->fd, buffer, *size, begin))
        return store_cannot_read(file->path, begin, err);
    *hash = XXH3_64bits(buffer, *size);
    return STATUS_OK;
}

enum status store_combine_blocks(uint64_t *hashes, uint64_t total, MPI_Comm comm, uint64_t *blocks,
                                 struct error *err)
{
    int rank, size;

    comm_shape(comm, &rank, &size);
    for (uint64_t at = 0; size > 1 && at < total; at += 1 << 20) {
        const uint64_t count = total - at < 1 << 20 ? total - at : 1 << 20;
        const int code = MPI_Allreduce(MPI_IN_PLACE, hashes + at, (int)count, MPI_UINT64_T, MPI_BOR, comm);
        if (code != MPI_SUCCESS)
            return mpi_failed(code, "gathering checksums", err);
    }
    *blocks = XXH3_64bits(hashes, total * sizeof *hashes);
    return STATUS_OK;
}

// total * part / parts without overflow.
static uint64_t fraction(uint64_t total, uint64_t part, uint64_t parts)
{
    return total / parts * part + total % parts * part / parts;
}

enum status store_hash_blocks(const struct store_file *file, MPI_Comm comm, uint64_t *blocks,
                              struct error *err)
{
    const uint64_t total = store_num_blocks(file->length);
    uint64_t *hashes = NULL;
    char *buffer = NULL;
    int rank, size;
    enum status status;

    comm_shape(comm, &rank, &size);
    const uint64_t next = fraction(total, (uint64_t)rank + 1, (uint64_t)size);
    status = allocate(&hashes, total, sizeof *hashes, "the hashes of a file's blocks", err);
    if (status == STATUS_OK)
        status = allocate_aligned(&buffer, STORE_BLOCK, 1, "a block of a file", err);
    for (uint64_t b = fraction(total, (uint64_t)rank, (uint64_t)size); b < next && status == STATUS_OK; b++) {
        size_t bytes;
        status = store_hash_block(file, b, buffer, &bytes, &hashes[b], err);
    }
    status = agree(comm, status, err);
    if (status == STATUS_OK)
        status = store_combine_blocks(hashes, total, comm, blocks, err);
    free(buffer);
    free(hashes);
    return status;
}

// ---- rows ------------------------------------------------------------------------------------------------

enum status store_rows_begin(struct store_rows *rows, uint64_t first, uint64_t row_bytes,
                             store_row_check *check, void *context, struct error *err)
{
    *rows = (struct store_rows){.state = XXH3_createState(),
                                .row = first,
                                .row_bytes = row_bytes,
                                .left = row_bytes,
                                .check = check,
                                .context = context};
    RETURN_ERROR_IF(rows->state == NULL, err, STATUS_MEMORY, "out of memory: the state of a hash");
    XXH3_64bits_reset(rows->state);
    return STATUS_OK;
}

enum status store_rows_feed(struct store_rows *rows, const void *bytes, size_t size, struct error *err)
{
    const char *at = bytes;

    while (size > 0) {
        const size_t part = size < rows->left ? size : (size_t)rows->left;
        XXH3_64bits_update(rows->state, at, part);
        at += part;
        size -= part;
        rows->left -= part;
        if (rows->left == 0) {
            FORWARD_IF_ERROR(rows->check(rows->context, rows->row, XXH3_64bits_digest(rows->state), err));
            rows->row++;
            rows->left = rows->row_bytes;
            XXH3_64bits_reset(rows->state);
        }
    }
    return STATUS_OK;
}

void store_rows_end(struct store_rows *rows)
{
    if (rows->state != NULL)
        XXH3_freeState(rows->state);
    rows->state = NULL;
}

enum status store_hash_rows(const struct store_file *file, uint64_t offset, uint64_t row_bytes,
                            uint64_t count, store_row_check *check, void *context, struct error *err)
{
    struct store_rows rows;
    char *buffer = NULL;
    const uint64_t end = offset + count * row_bytes;
    enum status status = store_rows_begin(&rows, 0, row_bytes, check, context, err);

    if (status == STATUS_OK)
        status = allocate_aligned(&buffer, STORE_BLOCK, 1, "a block of a file", err);
    // Rows without bytes have a hash, too.
    for (uint64_t row = 0; row_bytes == 0 && row < count && status == STATUS_OK; row++)
        status = check(context, row, XXH3_64bits(NULL, 0), err);
    for (uint64_t at = offset; at < end && status == STATUS_OK; at += STORE_BLOCK) {
        const size_t size = end - at < STORE_BLOCK ? (size_t)(end - at) : STORE_BLOCK;
        status = read_all(file->fd, buffer, size, at) ? store_rows_feed(&rows, buffer, size, err)
                                                      : store_cannot_read(file->path, at, err);
    }
    free(buffer);
    store_rows_end(&rows);
    return status;
}
