// From the last write to the final name.
#include "io/store/writer.h"

#include "io/agree.h"
#include "io/file/commit.h"
#include "io/file/fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// Collective. Every row of `dataset` was written by exactly one rank; rank 0 gets the hash over the rows'
// hashes. All ranks put theirs together piece by piece: where a rank did not write, it has zeros.
static enum status combine_rows(const struct store_writer *writer, const struct store_dataset *dataset,
                                uint64_t *hash, struct error *err)
{
    enum { PIECE = 1 << 16 };
    uint64_t *all = NULL, written = 0, total = 0, missing = dataset->rows;
    unsigned char *filled = NULL;
    XXH3_state_t *state = XXH3_createState();
    enum status status =
        state != NULL ? STATUS_OK : error_set(err, STATUS_MEMORY, "out of memory: the state of a hash");
    int code = MPI_SUCCESS;

    if (status == STATUS_OK)
        status = allocate(&all, PIECE, sizeof *all, "the hashes of rows", err);
    if (status == STATUS_OK)
        status = allocate(&filled, PIECE, 1, "the rows that were written", err);
    status = agree(writer->comm, status, err);
    if (status == STATUS_OK)
        XXH3_64bits_reset(state);
    for (uint64_t at = 0; status == STATUS_OK && at < dataset->rows; at += PIECE) {
        const size_t count = dataset->rows - at < PIECE ? (size_t)(dataset->rows - at) : PIECE;
        memcpy(all, dataset->row_hashes + at, count * sizeof *all);
        memcpy(filled, dataset->row_filled + at, count);
        for (size_t i = 0; i < count; i++)
            written += filled[i];
        if (writer->size > 1) {
            code = MPI_Allreduce(MPI_IN_PLACE, all, (int)count, MPI_UINT64_T, MPI_BOR, writer->comm);
            if (code == MPI_SUCCESS)
                code =
                    MPI_Allreduce(MPI_IN_PLACE, filled, (int)count, MPI_UNSIGNED_CHAR, MPI_BOR, writer->comm);
            if (code != MPI_SUCCESS)
                status = mpi_failed(code, "gathering checksums", err);
        }
        for (size_t i = 0; i < count && missing == dataset->rows; i++)
            if (!filled[i])
                missing = at + i;
        XXH3_64bits_update(state, all, count * sizeof *all);
    }
    total = written;
    if (status == STATUS_OK && writer->size > 1) {
        code = MPI_Allreduce(&written, &total, 1, MPI_UINT64_T, MPI_SUM, writer->comm);
        if (code != MPI_SUCCESS)
            status = mpi_failed(code, "gathering checksums", err);
    }
    // Every rank sees the same numbers here, so all come to the same result.
    if (status == STATUS_OK && missing != dataset->rows)
        status = error_set(err, STATUS_FAILED, "%s: row %llu of %s was never written", writer->path,
                           (unsigned long long)missing, dataset->name);
    else if (status == STATUS_OK && total != dataset->rows)
        status = error_set(err, STATUS_FAILED, "%s: %llu rows of %s were written by more than one rank",
                           writer->path, (unsigned long long)(total - dataset->rows), dataset->name);
    if (status == STATUS_OK)
        *hash = XXH3_64bits_digest(state);
    if (state != NULL)
        XXH3_freeState(state);
    free(all);
    free(filled);
    return status;
}

static enum status combine_datasets(struct store_writer *writer, uint64_t **hashes, struct error *err)
{
    enum status status =
        allocate(hashes, writer->num_datasets, sizeof **hashes, "the hashes of datasets", err);
    status = agree(writer->comm, status, err);
    for (size_t i = 0; i < writer->num_datasets && status == STATUS_OK; i++)
        status = combine_rows(writer, &writer->datasets[i], &(*hashes)[i], err);
    return status;
}

static enum status sync_file(const struct store_writer *writer, struct error *err)
{
    int result;
    do {
        result = fsync(writer->fd);
    } while (result != 0 && errno == EINTR);
    RETURN_ERROR_IF(result != 0, err, STATUS_FAILED, "%s: cannot bring it to disk: %s", writer->path,
                    strerror(errno));
    return STATUS_OK;
}

// Rank 0: the last bytes, and the name.
static enum status name_it(struct store_writer *writer, const struct store_header *header, struct error *err)
{
    uint8_t block[STORE_USER_BLOCK];

    store_header_encode(block, header);
    RETURN_ERROR_IF(!write_all(writer->fd, block, sizeof block, 0), err, STATUS_FAILED,
                    "%s: cannot write: %s", writer->path, strerror(errno));
    FORWARD_IF_ERROR(sync_file(writer, err));
    FORWARD_IF_ERROR(fence_rename(writer->temporary, writer->path, err));
    writer->created = false;
    return sync_directory(writer->folder, err);
}

enum status store_finish(struct store_writer *writer, struct error *err)
{
    struct store_header header = {.made_from = writer->made_from};
    uint64_t *hashes = NULL;
    enum status status;

    GOTO_IF_ERROR(combine_datasets(writer, &hashes, err), end);
    GOTO_IF_ERROR(store_close_parallel(writer, err), end);
    if (writer->rank == 0)
        status = store_structure_set_hashes(writer, hashes, err);
    GOTO_IF_ERROR(agree(writer->comm, status, err), end);
    GOTO_IF_ERROR(agree(writer->comm, sync_file(writer, err), err), end);
    GOTO_IF_ERROR(store_read_back(writer, &header, err), end);
    if (writer->rank == 0)
        status = name_it(writer, &header, err);
    status = agree(writer->comm, status, err);
end:
    free(hashes);
    return status;
}
