// Rows: written by all ranks together.
#include "io/store/writer.h"

#include "io/agree.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

// How a rank's rows are cut into transfers of at most `piece` bytes (at least one element): along `axis`,
// `chunk` indices at a time, for each index of the axes before it.
struct cut {
    size_t axis;
    uint64_t chunk, along, count; // along: pieces along the axis (axis > 0); count: of all pieces
};

static struct cut cut_rows(const struct store_dataset *dataset, uint64_t rows, uint64_t piece)
{
    struct cut cut = {.axis = 0};
    uint64_t inner = store_type_size(dataset->type), outer = 1;

    for (size_t axis = 1; axis < dataset->rank; axis++)
        inner *= dataset->dims[axis];
    if (rows == 0 || inner == 0)
        return cut;
    while (inner > piece && cut.axis + 1 < dataset->rank)
        inner /= dataset->dims[++cut.axis];
    cut.chunk = inner < piece ? piece / inner : 1;
    const uint64_t extent = cut.axis == 0 ? rows : dataset->dims[cut.axis];
    cut.along = extent / cut.chunk + (extent % cut.chunk != 0);
    for (size_t axis = 0; axis < cut.axis; axis++)
        outer *= axis == 0 ? rows : dataset->dims[axis];
    cut.count = outer * cut.along;
    return cut;
}

// Selects piece i of rows [first, first + rows) in the file's dataspace; *elements is their number, 0 when
// HDF5 could not.
static herr_t select_piece(hid_t space, const struct store_dataset *dataset, uint64_t first, uint64_t rows,
                           const struct cut *cut, uint64_t i, hsize_t *elements)
{
    hsize_t start[STORE_MAX_RANK], count[STORE_MAX_RANK], total = 1;
    const uint64_t extent = cut->axis == 0 ? rows : dataset->dims[cut->axis];
    uint64_t outer = i / cut->along;

    for (size_t axis = dataset->rank; axis-- > 0;) {
        start[axis] = 0;
        count[axis] = dataset->dims[axis];
        if (axis == cut->axis) {
            start[axis] = i % cut->along * cut->chunk;
            count[axis] = extent - start[axis] < cut->chunk ? extent - start[axis] : cut->chunk;
        } else if (axis < cut->axis) {
            start[axis] = axis == 0 ? outer : outer % dataset->dims[axis];
            count[axis] = 1;
            outer /= axis == 0 ? 1 : dataset->dims[axis];
        }
        total *= count[axis];
    }
    start[0] += first;
    const herr_t result = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    *elements = result >= 0 ? total : 0;
    return result;
}

struct transfer {
    hid_t dataset, space, list;
};

static void end_transfer(struct transfer *transfer)
{
    if (transfer->list >= 0)
        H5Pclose(transfer->list);
    if (transfer->space >= 0)
        H5Sclose(transfer->space);
    if (transfer->dataset >= 0)
        H5Dclose(transfer->dataset);
}

static enum status begin_transfer(struct transfer *transfer, const struct store_writer *writer,
                                  struct store_dataset *dataset, struct error *err)
{
    transfer->dataset = H5Dopen2(writer->parallel, dataset->name, H5P_DEFAULT);
    transfer->space = transfer->dataset >= 0 ? H5Dget_space(transfer->dataset) : H5I_INVALID_HID;
    transfer->list = H5Pcreate(H5P_DATASET_XFER);
    // Collective calls with individual transfers beneath: every rank's rows are one contiguous range, so
    // there is nothing to gather, and in OMPIO's two-phase writing (4.1.4) the ranks wait for ever for an
    // aggregator whose disk is full.
    if (transfer->space < 0 || transfer->list < 0 ||
        H5Pset_dxpl_mpio(transfer->list, H5FD_MPIO_COLLECTIVE) < 0 ||
        H5Pset_dxpl_mpio_collective_opt(transfer->list, H5FD_MPIO_INDIVIDUAL_IO) < 0)
        return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot write to %s", writer->path, dataset->name);
    dataset->offset = H5Dget_offset(transfer->dataset);
    RETURN_ERROR_IF(dataset->offset == HADDR_UNDEF && dataset->row_bytes != 0, err, STATUS_FAILED,
                    "%s: %s has no place in the file", writer->path, dataset->name);
    return STATUS_OK;
}

// What HDF5 could not write is tried once more, as a plain write: MPI-IO neither goes on after a short write
// (a signal, a network file system) nor says why a write failed. A piece is contiguous in the file.
static enum status write_again(const struct store_writer *writer, const struct store_dataset *dataset,
                               uint64_t offset, const void *data, size_t size, struct error *err)
{
    if (write_all(writer->fd, data, size, offset))
        return STATUS_OK;
    return error_set(err, STATUS_FAILED, "%s: cannot write %s, bytes %llu to %llu of the file: %s",
                     writer->path, dataset->name, (unsigned long long)offset,
                     (unsigned long long)(offset + size), strerror(errno));
}

// What this rank gives to its piece number i: selected in the file, and as large in *memory. A rank that is
// through takes part with nothing selected.
static enum status begin_piece(hid_t *memory, hsize_t *elements, const struct transfer *transfer,
                               const struct store_writer *writer, const struct store_dataset *dataset,
                               uint64_t first, uint64_t rows, const struct cut *cut, uint64_t i,
                               struct error *err)
{
    herr_t result;

    *memory = H5I_INVALID_HID;
    *elements = 0;
    if (i < cut->count)
        result = select_piece(transfer->space, dataset, first, rows, cut, i, elements);
    else
        result = H5Sselect_none(transfer->space);
    const hsize_t extent = *elements != 0 ? *elements : 1;
    if (result >= 0)
        *memory = H5Screate_simple(1, &extent, NULL);
    if (*memory >= 0 && *elements == 0)
        result = H5Sselect_none(*memory);
    if (result < 0 || *memory < 0)
        return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot write to %s", writer->path, dataset->name);
    return STATUS_OK;
}

// Collective: all ranks make the same number of H5Dwrite calls. Before each they agree: a rank that cannot
// make it would leave the others waiting in it.
static enum status transfer_pieces(const struct transfer *transfer, const struct store_writer *writer,
                                   const struct store_dataset *dataset, uint64_t first, uint64_t rows,
                                   const struct cut *cut, uint64_t calls, const void *data, struct error *err)
{
    const char nothing[8] = {0};
    const hid_t type = store_type_memory(dataset->type);
    const uint64_t row_bytes = dataset->rank == 1 ? store_type_size(dataset->type) : dataset->row_bytes;
    uint64_t at = dataset->offset + first * row_bytes;
    const char *next = data != NULL ? data : nothing;
    enum status status = STATUS_OK;

    for (uint64_t i = 0; i < calls && status == STATUS_OK; i++) {
        hid_t memory;
        hsize_t elements;
        status =
            agree(writer->comm,
                  begin_piece(&memory, &elements, transfer, writer, dataset, first, rows, cut, i, err), err);
        const size_t bytes = elements * store_type_size(dataset->type);
        if (status == STATUS_OK &&
            H5Dwrite(transfer->dataset, type, memory, transfer->space, transfer->list, next) < 0) {
            H5Eclear2(H5E_DEFAULT);
            status = write_again(writer, dataset, at, next, bytes, err);
        }
        if (memory >= 0)
            H5Sclose(memory);
        status = agree(writer->comm, status, err);
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
    struct transfer transfer = {H5I_INVALID_HID, H5I_INVALID_HID, H5I_INVALID_HID};
    struct store_dataset *dataset = store_find_dataset(writer, name);
    struct cut cut = {.axis = 0};
    enum status status;

    status = dataset != NULL ? check_rows(writer, dataset, first, count, err)
                             : error_set(err, STATUS_FAILED, "%s: %s was not declared", writer->path, name);
    FORWARD_IF_ERROR(agree(writer->comm, status, err));
    FORWARD_IF_ERROR(store_ready_to_write(writer, err));

    status = begin_transfer(&transfer, writer, dataset, err);
    cut = cut_rows(dataset, count, writer->piece);
    uint64_t calls = cut.count;
    status = agree_max(writer->comm, status, &calls, err);
    if (status == STATUS_OK)
        status = transfer_pieces(&transfer, writer, dataset, first, count, &cut, calls, data, err);
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
