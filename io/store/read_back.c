// Reads the file back once: compares every row with what it was in memory, and hashes the blocks.
//
// A rank reads the blocks that start in its own rows: its own node has them in memory, also on a network file
// system. The few blocks that start elsewhere are shared out. An error that MPI-IO or a network file system
// swallowed is found here.
#include "io/store/writer.h"

#include "io/agree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct read_back {
    const struct store_writer *writer;
    const struct store_dataset *dataset; // the one whose rows are read
    struct store_file file;
    uint64_t num_blocks;
    uint64_t *hashes;       // [num_blocks] of the blocks that this rank read; 0 elsewhere
    unsigned char *is_read; // [num_blocks]
    char *buffer;           // [STORE_BLOCK]
};

static enum status compare_row(void *context, uint64_t row, uint64_t hash, struct error *err)
{
    const struct read_back *pass = context;
    RETURN_ERROR_IF(hash != pass->dataset->row_hashes[row], err, STATUS_FAILED,
                    "%s: row %llu of %s is not in the file as it was written: disk full or failing?",
                    pass->writer->path, (unsigned long long)row, pass->dataset->name);
    return STATUS_OK;
}

// The bytes [at, end) of rows, and all of the blocks that start there.
static enum status read_range(struct read_back *pass, struct store_rows *rows, uint64_t at, uint64_t end,
                              struct error *err)
{
    while (at < end) {
        const uint64_t block = (at - STORE_USER_BLOCK + STORE_BLOCK - 1) / STORE_BLOCK; // the next to start
        const uint64_t begin = store_block_begin(block);
        size_t size;
        if (begin == at) {
            FORWARD_IF_ERROR(
                store_hash_block(&pass->file, block, pass->buffer, &size, &pass->hashes[block], err));
            pass->is_read[block] = 1;
        } else {
            size = (size_t)(begin - at);
            size = end - at < size ? (size_t)(end - at) : size;
            if (!read_all(pass->file.fd, pass->buffer, size, at))
                return store_cannot_read(pass->writer->path, at, err);
        }
        const size_t of_rows = end - at < size ? (size_t)(end - at) : size;
        FORWARD_IF_ERROR(store_rows_feed(rows, pass->buffer, of_rows, err));
        at += of_rows;
    }
    return STATUS_OK;
}

static enum status read_own_rows(struct read_back *pass, struct error *err)
{
    const struct store_dataset *dataset = pass->dataset;
    enum status status = STATUS_OK;

    RETURN_ERROR_IF(dataset->offset + dataset->rows * dataset->row_bytes > pass->file.length, err,
                    STATUS_FAILED, "%s: it ends before the end of %s: disk full or failing?",
                    pass->writer->path, dataset->name);
    for (uint64_t row = 0; row < dataset->rows && status == STATUS_OK; row++) {
        uint64_t end = row;
        struct store_rows rows;
        while (end < dataset->rows && dataset->row_filled[end])
            end++;
        if (end == row)
            continue;
        status = store_rows_begin(&rows, row, dataset->row_bytes, compare_row, pass, err);
        if (status == STATUS_OK)
            status = read_range(pass, &rows, dataset->offset + row * dataset->row_bytes,
                                dataset->offset + end * dataset->row_bytes, err);
        store_rows_end(&rows);
        row = end; // and this one is not ours
    }
    return status;
}

// Collective. Blocks that start in nobody's rows.
static enum status read_other_blocks(struct read_back *pass, struct error *err)
{
    const struct store_writer *writer = pass->writer;
    enum status status = STATUS_OK;
    int code = MPI_SUCCESS;
    uint64_t others = 0;
    size_t size;

    for (uint64_t at = 0; writer->size > 1 && at < pass->num_blocks && code == MPI_SUCCESS; at += 1 << 20) {
        const uint64_t count = pass->num_blocks - at < 1 << 20 ? pass->num_blocks - at : 1 << 20;
        code = MPI_Allreduce(MPI_IN_PLACE, pass->is_read + at, (int)count, MPI_UNSIGNED_CHAR, MPI_BOR,
                             writer->comm);
    }
    if (code != MPI_SUCCESS)
        return mpi_failed(code, "gathering checksums", err);
    for (uint64_t block = 0; block < pass->num_blocks && status == STATUS_OK; block++)
        if (!pass->is_read[block] && others++ % (uint64_t)writer->size == (uint64_t)writer->rank)
            status = store_hash_block(&pass->file, block, pass->buffer, &size, &pass->hashes[block], err);
    return agree(writer->comm, status, err);
}

// A descriptor opened after the others' fsync sees what they wrote, also on a network file system.
static enum status begin_pass(struct read_back *pass, struct error *err)
{
    struct stat status;

    pass->file.fd = open(pass->writer->temporary, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    RETURN_ERROR_IF(pass->file.fd < 0 || fstat(pass->file.fd, &status) != 0, err, STATUS_FAILED,
                    "%s: cannot read it back: %s", pass->writer->path, strerror(errno));
    pass->file.length = (uint64_t)status.st_size;
    pass->num_blocks = store_num_blocks(pass->file.length);
    FORWARD_IF_ERROR(allocate(&pass->hashes, pass->num_blocks, sizeof *pass->hashes,
                              "the hashes of a file's blocks", err));
    FORWARD_IF_ERROR(allocate(&pass->is_read, pass->num_blocks, 1, "the blocks of a file", err));
    return allocate_aligned(&pass->buffer, STORE_BLOCK, 1, "a block of a file", err);
}

static void end_pass(struct read_back *pass)
{
    if (pass->file.fd >= 0)
        close(pass->file.fd);
    free(pass->hashes);
    free(pass->is_read);
    free(pass->buffer);
}

enum status store_read_back(const struct store_writer *writer, struct store_header *header, struct error *err)
{
    struct read_back pass = {.writer = writer, .file = {.fd = -1, .path = writer->path}};
    enum status status = begin_pass(&pass, err);
    uint64_t longest = pass.file.length;

    status = agree_max(writer->comm, status, &longest, err);
    if (status != STATUS_OK) {
        end_pass(&pass);
        return status;
    }
    if (pass.file.length != longest)
        status =
            error_set(err, STATUS_FAILED, "%s: the ranks do not see the same length: %llu and %llu bytes",
                      writer->path, (unsigned long long)pass.file.length, (unsigned long long)longest);
    for (size_t i = 0; i < writer->num_datasets && status == STATUS_OK; i++) {
        pass.dataset = &writer->datasets[i];
        if (pass.dataset->row_bytes != 0)
            status = read_own_rows(&pass, err);
    }
    status = agree(writer->comm, status, err);
    if (status == STATUS_OK)
        status = read_other_blocks(&pass, err);
    header->length = pass.file.length;
    if (status == STATUS_OK)
        status = store_combine_blocks(pass.hashes, pass.num_blocks, writer->comm, &header->blocks, err);
    end_pass(&pass);
    return status;
}
