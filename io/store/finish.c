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

// Every row of a dataset was written by exactly one rank; rank 0 gets for each dataset the hash over the
// hashes of its rows. The rows of all datasets are put together as if they were one's, piece by piece, since
// a file may have thousands of datasets: where a rank did not write, it has zeros.
enum { PIECE = 1 << 16 };

struct combination {
    const struct store_writer *writer;
    size_t dataset, missing_dataset; // the next row's; that of the first row which was never written
    uint64_t row, missing_row;
    uint64_t *rows;        // [PIECE] hashes
    unsigned char *filled; // [PIECE]
    uint64_t *written;     // [datasets] rows, by this rank and then by all
    uint64_t *hashes;      // [datasets]
    XXH3_state_t *state;
};

// This rank's next rows, at most PIECE; returns their number.
static size_t take_rows(struct combination *c)
{
    uint64_t row = c->row;
    size_t count = 0;

    for (size_t i = c->dataset; i < c->writer->num_datasets && count < PIECE; i++, row = 0) {
        const struct store_dataset *dataset = &c->writer->datasets[i];
        const size_t part =
            dataset->rows - row < PIECE - count ? (size_t)(dataset->rows - row) : PIECE - count;
        memcpy(c->rows + count, dataset->row_hashes + row, part * sizeof *c->rows);
        memcpy(c->filled + count, dataset->row_filled + row, part);
        for (size_t j = 0; j < part; j++)
            c->written[i] += c->filled[count + j];
        count += part;
    }
    return count;
}

static enum status put_together(struct combination *c, size_t count, struct error *err)
{
    const MPI_Comm comm = c->writer->comm;

    if (c->writer->size == 1 || count == 0)
        return STATUS_OK;
    int code = MPI_Allreduce(MPI_IN_PLACE, c->rows, (int)count, MPI_UINT64_T, MPI_BOR, comm);
    if (code == MPI_SUCCESS)
        code = MPI_Allreduce(MPI_IN_PLACE, c->filled, (int)count, MPI_UNSIGNED_CHAR, MPI_BOR, comm);
    return code == MPI_SUCCESS ? STATUS_OK : mpi_failed(code, "gathering checksums", err);
}

// The next `count` rows, of all ranks.
static void hash_rows(struct combination *c, size_t count)
{
    const size_t datasets = c->writer->num_datasets;
    size_t done = 0;

    while (c->dataset < datasets && (done < count || c->writer->datasets[c->dataset].rows == 0)) {
        const uint64_t left = c->writer->datasets[c->dataset].rows - c->row;
        const size_t part = left < count - done ? (size_t)left : count - done;
        if (c->row == 0)
            XXH3_64bits_reset(c->state);
        XXH3_64bits_update(c->state, c->rows + done, part * sizeof *c->rows);
        for (size_t i = 0; i < part && c->missing_dataset == datasets; i++)
            if (!c->filled[done + i]) {
                c->missing_dataset = c->dataset;
                c->missing_row = c->row + i;
            }
        done += part;
        c->row += part;
        if (part == left) {
            c->hashes[c->dataset++] = XXH3_64bits_digest(c->state);
            c->row = 0;
        }
    }
}

// Every rank sees the same numbers here, so all come to the same result.
static enum status check_rows_once(const struct combination *c, struct error *err)
{
    for (size_t i = 0; i < c->writer->num_datasets; i++) {
        const struct store_dataset *dataset = &c->writer->datasets[i];
        RETURN_ERROR_IF(i == c->missing_dataset, err, STATUS_FAILED, "%s: row %llu of %s was never written",
                        c->writer->path, (unsigned long long)c->missing_row, dataset->name);
        RETURN_ERROR_IF(c->written[i] != dataset->rows, err, STATUS_FAILED,
                        "%s: %llu rows of %s were written by more than one rank", c->writer->path,
                        (unsigned long long)(c->written[i] - dataset->rows), dataset->name);
    }
    return STATUS_OK;
}

static enum status combine_all(struct combination *c, struct error *err)
{
    const size_t datasets = c->writer->num_datasets;

    while (c->dataset < datasets) {
        const size_t count = take_rows(c);
        FORWARD_IF_ERROR(put_together(c, count, err));
        hash_rows(c, count);
    }
    if (c->writer->size > 1 && datasets != 0) {
        const int code =
            MPI_Allreduce(MPI_IN_PLACE, c->written, (int)datasets, MPI_UINT64_T, MPI_SUM, c->writer->comm);
        if (code != MPI_SUCCESS)
            return mpi_failed(code, "gathering checksums", err);
    }
    return check_rows_once(c, err);
}

static enum status begin_combination(struct combination *c, struct error *err)
{
    const size_t datasets = c->writer->num_datasets;

    c->missing_dataset = datasets;
    c->state = XXH3_createState();
    RETURN_ERROR_IF(c->state == NULL, err, STATUS_MEMORY, "out of memory: the state of a hash");
    FORWARD_IF_ERROR(allocate(&c->rows, PIECE, sizeof *c->rows, "the hashes of rows", err));
    FORWARD_IF_ERROR(allocate(&c->filled, PIECE, 1, "the rows that were written", err));
    FORWARD_IF_ERROR(allocate(&c->written, datasets, sizeof *c->written, "the rows of datasets", err));
    return allocate(&c->hashes, datasets, sizeof *c->hashes, "the hashes of datasets", err);
}

// Collective. *hashes[datasets] is freed with free.
static enum status combine_datasets(struct store_writer *writer, uint64_t **hashes, struct error *err)
{
    struct combination c = {.writer = writer};
    enum status status = agree(writer->comm, begin_combination(&c, err), err);

    if (status == STATUS_OK)
        status = combine_all(&c, err);
    *hashes = c.hashes;
    if (c.state != NULL)
        XXH3_freeState(c.state);
    free(c.rows);
    free(c.filled);
    free(c.written);
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

    memcpy(header.name, writer->name, sizeof header.name);
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
