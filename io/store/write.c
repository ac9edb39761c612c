// Rows: written by all ranks together.
#include "io/store/writer.h"

#include "io/agree.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

// How a rank's rows are divided into pieces of at most writer->piece bytes (at least one element): along
// `axis`, `chunk` indices at a time, for each index of the axes before it.
struct pieces {
    size_t axis;
    uint64_t chunk, along, count; // along: pieces along the axis (axis > 0); count: of all pieces
};

static struct pieces divide_rows(const struct store_dataset *dataset, uint64_t rows, uint64_t piece)
{
    struct pieces pieces = {.axis = 0};
    uint64_t inner = store_type_size(dataset->type), outer = 1;

    for (size_t axis = 1; axis < dataset->rank; axis++)
        inner *= dataset->dims[axis];
    if (rows == 0 || inner == 0)
        return pieces;
    while (inner > piece && pieces.axis + 1 < dataset->rank)
        inner /= dataset->dims[++pieces.axis];
    pieces.chunk = inner < piece ? piece / inner : 1;
    const uint64_t extent = pieces.axis == 0 ? rows : dataset->dims[pieces.axis];
    pieces.along = extent / pieces.chunk + (extent % pieces.chunk != 0);
    for (size_t axis = 0; axis < pieces.axis; axis++)
        outer *= axis == 0 ? rows : dataset->dims[axis];
    pieces.count = outer * pieces.along;
    return pieces;
}

// A rank's part in one write: rows [first, first + rows) of a dataset.
struct transfer {
    const struct store_writer *writer;
    const struct store_dataset *dataset;
    uint64_t first, rows;
    struct pieces pieces;
    hid_t id, space; // of the dataset and of its extent in the file
};

// Selects piece i in the file's dataspace; *elements is their number, 0 when HDF5 could not.
static herr_t select_piece(const struct transfer *transfer, uint64_t i, hsize_t *elements)
{
    const struct store_dataset *dataset = transfer->dataset;
    const struct pieces *pieces = &transfer->pieces;
    hsize_t start[STORE_MAX_RANK], count[STORE_MAX_RANK], total = 1;
    const uint64_t extent = pieces->axis == 0 ? transfer->rows : dataset->dims[pieces->axis];
    uint64_t outer = i / pieces->along;

    for (size_t axis = dataset->rank; axis-- > 0;) {
        start[axis] = 0;
        count[axis] = dataset->dims[axis];
        if (axis == pieces->axis) {
            start[axis] = i % pieces->along * pieces->chunk;
            count[axis] = extent - start[axis] < pieces->chunk ? extent - start[axis] : pieces->chunk;
        } else if (axis < pieces->axis) {
            start[axis] = axis == 0 ? outer : outer % dataset->dims[axis];
            count[axis] = 1;
            outer /= axis == 0 ? 1 : dataset->dims[axis];
        }
        total *= count[axis];
    }
    start[0] += transfer->first;
    const herr_t result = H5Sselect_hyperslab(transfer->space, H5S_SELECT_SET, start, NULL, count, NULL);
    *elements = result >= 0 ? total : 0;
    return result;
}

static void end_transfer(struct transfer *transfer)
{
    if (transfer->space >= 0)
        H5Sclose(transfer->space);
    if (transfer->id >= 0)
        H5Dclose(transfer->id);
}

// dataset: transfer's, to which its place in the file is added.
static enum status begin_transfer(struct transfer *transfer, struct store_dataset *dataset, struct error *err)
{
    const struct store_writer *writer = transfer->writer;

    transfer->id = H5Dopen2(writer->parallel, dataset->name, H5P_DEFAULT);
    transfer->space = transfer->id >= 0 ? H5Dget_space(transfer->id) : H5I_INVALID_HID;
    if (transfer->space < 0)
        return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot write to %s", writer->path, dataset->name);
    dataset->offset = H5Dget_offset(transfer->id);
    RETURN_ERROR_IF(dataset->offset == HADDR_UNDEF && dataset->row_bytes != 0, err, STATUS_FAILED,
                    "%s: %s has no place in the file", writer->path, dataset->name);
    return STATUS_OK;
}

// Data that HDF5 could not write is tried once more, as a plain write: MPI-IO neither goes on after a short
// write (a signal, a network file system) nor says why a write failed. A piece is contiguous in the file.
static enum status write_again(const struct store_writer *writer, const struct store_dataset *dataset,
                               uint64_t offset, const void *data, size_t size, struct error *err)
{
    if (write_all(writer->fd, data, size, offset))
        return STATUS_OK;
    return error_set(err, STATUS_FAILED, "%s: cannot write %s, bytes %llu to %llu of the file: %s",
                     writer->path, dataset->name, (unsigned long long)offset,
                     (unsigned long long)(offset + size), strerror(errno));
}

// Selects this rank's piece number i in the file, and as many *elements in *memory.
static enum status begin_piece(hid_t *memory, hsize_t *elements, const struct transfer *transfer, uint64_t i,
                               struct error *err)
{
    *memory = H5I_INVALID_HID;
    if (select_piece(transfer, i, elements) >= 0)
        *memory = H5Screate_simple(1, elements, NULL);
    if (*memory < 0)
        return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot write to %s", transfer->writer->path,
                                 transfer->dataset->name);
    return STATUS_OK;
}

// Independent transfers: each rank's rows are one contiguous range, so there is nothing to gather, and a rank
// whose disk fails leaves nobody waiting. In collective ones the others do, for ever: in OMPIO's two-phase
// writing for an aggregator, in MPI_File_set_view under ROMIO and under OMPIO of Open MPI 5.
static enum status transfer_pieces(const struct transfer *transfer, const void *data, struct error *err)
{
    const struct store_writer *writer = transfer->writer;
    const struct store_dataset *dataset = transfer->dataset;
    const hid_t type = store_type_memory(dataset->type);
    const uint64_t row_bytes = dataset->rank == 1 ? store_type_size(dataset->type) : dataset->row_bytes;
    uint64_t at = dataset->offset + transfer->first * row_bytes;
    const char *next = data;
    enum status status = STATUS_OK;

    for (uint64_t i = 0; i < transfer->pieces.count && status == STATUS_OK; i++) {
        hid_t memory;
        hsize_t elements;
        FORWARD_IF_ERROR(begin_piece(&memory, &elements, transfer, i, err));
        const size_t bytes = elements * store_type_size(dataset->type);
        if (H5Dwrite(transfer->id, type, memory, transfer->space, H5P_DEFAULT, next) < 0) {
            H5Eclear2(H5E_DEFAULT);
            status = write_again(writer, dataset, at, next, bytes, err);
        }
        H5Sclose(memory);
        next += bytes;
        at += bytes;
    }
    return status;
}

static enum status check_rows(const struct store_writer *writer, const struct store_dataset *dataset,
                              uint64_t first, uint64_t count, struct error *err)
{
    RETURN_ERROR_IF(first > dataset->dims[0] || count > dataset->dims[0] - first, err, STATUS_FAILED,
                    "%s: rows %llu + %llu of %s, which has %llu", writer->path, (unsigned long long)first,
                    (unsigned long long)count, dataset->name, (unsigned long long)dataset->dims[0]);
    if (count == 0 || dataset->row_bytes == 0)
        return STATUS_OK;
    RETURN_ERROR_IF(dataset->rank == 1 && count != dataset->dims[0], err, STATUS_FAILED,
                    "%s: %s has one dimension: one rank writes all of it at once", writer->path,
                    dataset->name);
    for (uint64_t row = dataset->rank == 1 ? 0 : first; row < (dataset->rank == 1 ? 1 : first + count); row++)
        RETURN_ERROR_IF(dataset->row_filled[row], err, STATUS_FAILED, "%s: row %llu of %s was written before",
                        writer->path, (unsigned long long)row, dataset->name);
    return STATUS_OK;
}

static void note_rows(struct store_dataset *dataset, uint64_t first, uint64_t count, const void *data)
{
    const uint64_t rows = dataset->rank == 1 ? count != 0 : count;

    for (uint64_t i = 0; dataset->row_bytes != 0 && i < rows; i++) {
        dataset->row_hashes[first + i] =
            XXH3_64bits((const char *)data + i * dataset->row_bytes, dataset->row_bytes);
        dataset->row_filled[first + i] = 1;
    }
}

static enum status write_rows(struct store_writer *writer, const char *name, uint64_t first, uint64_t count,
                              const void *data, struct error *err)
{
    struct store_dataset *dataset = store_find_dataset(writer, name);
    struct transfer transfer = {.writer = writer,
                                .dataset = dataset,
                                .first = first,
                                .rows = count,
                                .id = H5I_INVALID_HID,
                                .space = H5I_INVALID_HID};
    enum status status;

    status = dataset != NULL ? check_rows(writer, dataset, first, count, err)
                             : error_set(err, STATUS_FAILED, "%s: %s was not declared", writer->path, name);
    FORWARD_IF_ERROR(agree(writer->comm, status, err));
    FORWARD_IF_ERROR(store_ready_to_write(writer, err));

    status = begin_transfer(&transfer, dataset, err);
    transfer.pieces = divide_rows(dataset, count, writer->piece);
    if (status == STATUS_OK)
        status = transfer_pieces(&transfer, data, err);
    status = agree(writer->comm, status, err);
    if (status == STATUS_OK)
        note_rows(dataset, first, count, data);
    end_transfer(&transfer);
    return status;
}

enum status store_write(struct store_writer *writer, const char *name, uint64_t first, uint64_t count,
                        const void *data, struct error *err)
{
    if (writer->failure != STATUS_OK)
        return store_refuse(writer, err);
    return store_note(writer, write_rows(writer, name, first, count, data, err));
}
