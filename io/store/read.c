// Opening, reading and checking of committed files.
#include "io/store/reader.h"

#include "io/agree.h"
#include "io/file/hdf5_file.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

bool store_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

// ---- opening ---------------------------------------------------------------------------------------------

// Opens the file and reads its user block; header->length is what fstat says, too.
static enum status open_checked(const char *path, int *fd, struct store_header *header, struct error *err)
{
    uint8_t block[STORE_USER_BLOCK];
    struct stat status;

    FORWARD_IF_ERROR(run_file_open(fd, path, O_RDONLY, err));
    RETURN_ERROR_IF(fstat(*fd, &status) != 0, err, STATUS_FAILED, "%s: cannot open: %s", path,
                    strerror(errno));
    RETURN_ERROR_IF(status.st_size < STORE_USER_BLOCK, err, STATUS_DAMAGED,
                    "%s: damaged, or not a file of this program: it has %lld bytes", path,
                    (long long)status.st_size);
    RETURN_ERROR_IF(!read_all(*fd, block, sizeof block, 0), err, STATUS_FAILED, "%s: cannot read: %s", path,
                    strerror(errno));
    FORWARD_IF_ERROR(store_header_decode(header, block, path, err));
    RETURN_ERROR_IF((uint64_t)status.st_size != header->length, err, STATUS_DAMAGED,
                    "%s: damaged: it has %lld bytes and was written with %llu", path,
                    (long long)status.st_size, (unsigned long long)header->length);
    return origin_check(path, header->name, err);
}

enum status store_made_from(uint64_t *made_from, const char *path, struct error *err)
{
    struct store_header header = {0};
    int fd = -1;
    const enum status status = open_checked(path, &fd, &header, err);

    if (fd >= 0)
        close(fd);
    *made_from = header.made_from;
    return status;
}

// Collective. The whole file is as it was committed.
static enum status check_file(const char *path, MPI_Comm comm, struct error *err)
{
    struct store_header header = {0};
    uint64_t blocks = 0;
    struct store_file file = {.fd = -1, .path = path};
    enum status status = agree(comm, open_checked(path, &file.fd, &header, err), err);

    file.length = header.length;
    if (status == STATUS_OK)
        status = store_hash_blocks(&file, comm, &blocks, err);
    if (status == STATUS_OK) {
        if (blocks != header.blocks)
            status =
                error_set(err, STATUS_DAMAGED, "%s: damaged: its contents do not match its checksum", path);
        status = agree(comm, status, err);
    }
    if (file.fd >= 0)
        close(file.fd);
    return status;
}

static enum status make_reader(struct store_reader **reader, const char *path, MPI_Comm comm,
                               struct error *err)
{
    FORWARD_IF_ERROR(allocate(reader, 1, sizeof **reader, "a file's reader", err));
    (*reader)->comm = comm;
    (*reader)->file = H5I_INVALID_HID;
    FORWARD_IF_ERROR(allocate(&(*reader)->path, strlen(path) + 1, 1, "a name", err));
    memcpy((*reader)->path, path, strlen(path) + 1);
    // With the serial driver: every process reads for itself.
    return hdf5_file_open(&(*reader)->file, path, false, STATUS_FAILED, err);
}

enum status store_open(struct store_reader **reader, const char *path, MPI_Comm comm, struct error *err)
{
    *reader = NULL;
    store_quiet();
    FORWARD_IF_ERROR(check_file(path, comm, err));
    const enum status status = agree(comm, make_reader(reader, path, comm, err), err);
    if (status != STATUS_OK) {
        store_close(*reader);
        *reader = NULL;
    }
    return status;
}

enum status store_look(struct store_reader **reader, const char *path, struct error *err)
{
    struct store_header header;
    int fd = -1;

    *reader = NULL;
    store_quiet();
    enum status status = open_checked(path, &fd, &header, err);
    if (fd >= 0)
        close(fd);
    if (status == STATUS_OK)
        status = make_reader(reader, path, MPI_COMM_SELF, err);
    if (status != STATUS_OK) {
        store_close(*reader);
        *reader = NULL;
    }
    return status;
}

// The context that H5Literate hands to visit_link.
struct group_walk {
    enum status (*visit)(void *context, const char *name, struct error *err);
    void *context;
    struct error *err;
    enum status status;
};

static herr_t visit_link(hid_t root, const char *name, const H5L_info_t *info, void *data)
{
    struct group_walk *walk = data;
    const hid_t object = H5Oopen(root, name, H5P_DEFAULT);
    const bool is_group = object >= 0 && H5Iget_type(object) == H5I_GROUP;

    (void)info;
    if (object < 0)
        return -1;
    H5Oclose(object);
    if (is_group)
        walk->status = walk->visit(walk->context, name, walk->err);
    return walk->status == STATUS_OK ? 0 : 1;
}

enum status store_groups(const struct store_reader *reader,
                         enum status visit(void *context, const char *name, struct error *err), void *context,
                         struct error *err)
{
    struct group_walk walk = {visit, context, err, STATUS_OK};
    if (H5Literate(reader->file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, &walk) < 0)
        return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot list its groups", reader->path);
    return walk.status;
}

void store_close(struct store_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->file >= 0)
        H5Fclose(reader->file);
    free(reader->path);
    free(reader);
}

// ---- datasets --------------------------------------------------------------------------------------------

// H5Lexists wants every group on the way to be there. Negative when HDF5 failed.
static htri_t object_exists(hid_t file, const char *name)
{
    htri_t exists = name[0] == '/' && name[1] != '\0';
    char *path = strdup(name);

    if (path == NULL)
        return -1;
    for (char *slash = path; exists > 0 && slash != NULL;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL)
            *slash = '\0';
        exists = H5Lexists(file, path, H5P_DEFAULT);
        if (slash != NULL)
            *slash = '/';
    }
    free(path);
    return exists;
}

enum status store_find(const struct store_reader *reader, const char *name, bool *is_there, struct error *err)
{
    const htri_t exists = object_exists(reader->file, name);
    const hid_t object = exists > 0 ? H5Oopen(reader->file, name, H5P_DEFAULT) : H5I_INVALID_HID;

    *is_there = object >= 0 && H5Iget_type(object) == H5I_DATASET;
    if (exists < 0 || (exists > 0 && object < 0))
        return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot look for %s", reader->path, name);
    if (object >= 0)
        H5Oclose(object);
    return STATUS_OK;
}

struct open_dataset {
    const char *name;
    hid_t id, space;
    enum store_type type;
    size_t rank;
    uint64_t dims[STORE_MAX_RANK];
};

static void close_dataset(struct open_dataset *dataset)
{
    if (dataset->space >= 0)
        H5Sclose(dataset->space);
    if (dataset->id >= 0)
        H5Dclose(dataset->id);
}

// As the store writes them: in one piece, without filters. Others need code of HDF5's that runs over damaged
// data.
static bool is_plain(hid_t dataset)
{
    const hid_t creation = H5Dget_create_plist(dataset);
    const bool plain =
        creation >= 0 && H5Pget_layout(creation) == H5D_CONTIGUOUS && H5Pget_nfilters(creation) == 0;

    if (creation >= 0)
        H5Pclose(creation);
    return plain;
}

static enum status open_dataset(struct open_dataset *dataset, hid_t file, const char *path, const char *name,
                                struct error *err)
{
    hsize_t dims[STORE_MAX_RANK];
    hid_t type;

    *dataset = (struct open_dataset){.name = name, .space = H5I_INVALID_HID};
    FORWARD_IF_ERROR(hdf5_dataset_open(&dataset->id, file, name, path, STATUS_FAILED, err));
    if (!is_plain(dataset->id)) {
        H5Dclose(dataset->id);
        return error_set(err, STATUS_FAILED,
                         "%s: %s is in chunks or packed, which this program does not write", path, name);
    }
    dataset->space = H5Dget_space(dataset->id);
    type = H5Dget_type(dataset->id);
    const int rank = H5Sget_simple_extent_ndims(dataset->space);
    const bool known = type >= 0 && store_type_of(type, &dataset->type) && rank >= 1 &&
                       rank <= STORE_MAX_RANK &&
                       H5Sget_simple_extent_dims(dataset->space, dims, NULL) == rank;
    if (type >= 0)
        H5Tclose(type);
    if (!known) {
        close_dataset(dataset);
        return error_set(err, STATUS_FAILED, "%s: %s has a type or shape that this program does not write",
                         path, name);
    }
    dataset->rank = (size_t)rank;
    for (int axis = 0; axis < rank; axis++)
        dataset->dims[axis] = dims[axis];
    return STATUS_OK;
}

enum status store_dims(const struct store_reader *reader, const char *name, size_t *rank,
                       uint64_t dims[STORE_MAX_RANK], struct error *err)
{
    struct open_dataset dataset;

    FORWARD_IF_ERROR(open_dataset(&dataset, reader->file, reader->path, name, err));
    *rank = dataset.rank;
    memcpy(dims, dataset.dims, dataset.rank * sizeof *dims);
    close_dataset(&dataset);
    return STATUS_OK;
}

static enum status read_rows(const struct store_reader *reader, const struct open_dataset *dataset,
                             enum store_type type, uint64_t first, uint64_t count, void *data,
                             struct error *err)
{
    hsize_t start[STORE_MAX_RANK] = {first}, counts[STORE_MAX_RANK] = {count}, elements = count;
    herr_t result = -1;

    RETURN_ERROR_IF(type != dataset->type, err, STATUS_FAILED,
                    "%s: %s does not have the type that is asked for", reader->path, dataset->name);
    RETURN_ERROR_IF(first > dataset->dims[0] || count > dataset->dims[0] - first, err, STATUS_FAILED,
                    "%s: rows %llu + %llu of %s, which has %llu", reader->path, (unsigned long long)first,
                    (unsigned long long)count, dataset->name, (unsigned long long)dataset->dims[0]);
    for (size_t axis = 1; axis < dataset->rank; axis++) {
        counts[axis] = dataset->dims[axis];
        elements *= dataset->dims[axis];
    }
    if (elements == 0)
        return STATUS_OK;
    const hid_t memory = H5Screate_simple(1, &elements, NULL);
    if (memory >= 0 && H5Sselect_hyperslab(dataset->space, H5S_SELECT_SET, start, NULL, counts, NULL) >= 0)
        result = H5Dread(dataset->id, store_type_memory(type), memory, dataset->space, H5P_DEFAULT, data);
    if (memory >= 0)
        H5Sclose(memory);
    return result >= 0
               ? STATUS_OK
               : store_hdf5_failed(err, STATUS_FAILED, "%s: cannot read %s", reader->path, dataset->name);
}

enum status store_read(const struct store_reader *reader, const char *name, enum store_type type,
                       uint64_t first, uint64_t count, void *data, struct error *err)
{
    struct open_dataset dataset;

    FORWARD_IF_ERROR(open_dataset(&dataset, reader->file, reader->path, name, err));
    const enum status status = read_rows(reader, &dataset, type, first, count, data, err);
    close_dataset(&dataset);
    return status;
}

// ---- every checksum --------------------------------------------------------------------------------------

struct verification {
    struct store_reader *reader;
    struct store_file file;
    struct error *err;
    enum status status;
};

static enum status add_row(void *context, uint64_t row, uint64_t hash, struct error *err)
{
    (void)row;
    (void)err;
    XXH3_64bits_update(context, &hash, sizeof hash);
    return STATUS_OK;
}

static enum status verify_dataset(const struct verification *verification, const char *name,
                                  struct error *err)
{
    const char *path = verification->reader->path;
    struct open_dataset dataset;
    uint64_t expected, elements = 1;
    XXH3_state_t *state = NULL;
    enum status status;

    FORWARD_IF_ERROR(store_read_attribute_u64(verification->reader, name, "xxh3", &expected, err));
    FORWARD_IF_ERROR(open_dataset(&dataset, verification->reader->file, path, name, err));
    for (size_t axis = 0; axis < dataset.rank; axis++)
        elements *= dataset.dims[axis];
    const uint64_t offset = elements != 0 ? H5Dget_offset(dataset.id) : 0;
    const uint64_t rows = dataset.rank == 1 ? 1 : dataset.dims[0];
    const uint64_t row_bytes = rows != 0 ? elements / rows * store_type_size(dataset.type) : 0;
    close_dataset(&dataset);
    RETURN_ERROR_IF(offset == HADDR_UNDEF, err, STATUS_DAMAGED, "%s: damaged: %s is not contiguous", path,
                    name);

    state = XXH3_createState();
    RETURN_ERROR_IF(state == NULL, err, STATUS_MEMORY, "out of memory: the state of a hash");
    XXH3_64bits_reset(state);
    status = store_hash_rows(&verification->file, offset, row_bytes, rows, add_row, state, err);
    if (status == STATUS_OK && XXH3_64bits_digest(state) != expected)
        status =
            error_set(err, STATUS_DAMAGED, "%s: damaged: %s does not match its attribute xxh3", path, name);
    XXH3_freeState(state);
    return status;
}

static herr_t verify_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
    struct verification *verification = context;
    char *path;
    (void)root;

    if (info->type != H5O_TYPE_DATASET)
        return 0;
    verification->status = allocate(&path, strlen(name) + 2, 1, "a name", verification->err);
    if (verification->status == STATUS_OK) {
        path[0] = '/'; // names come relative to the root
        memcpy(path + 1, name, strlen(name) + 1);
        verification->status = verify_dataset(verification, path, verification->err);
        free(path);
    }
    return verification->status == STATUS_OK ? 0 : -1;
}

enum status store_verify(const char *path, struct error *err)
{
    struct verification verification = {.file = {.fd = -1, .path = path}, .err = err};
    enum status status;

    FORWARD_IF_ERROR(store_open(&verification.reader, path, MPI_COMM_SELF, err));
    status = run_file_open(&verification.file.fd, path, O_RDONLY, err);
    if (status == STATUS_OK) {
        const herr_t result = H5Ovisit2(verification.reader->file, H5_INDEX_NAME, H5_ITER_NATIVE,
                                        verify_object, &verification, H5O_INFO_BASIC);
        status = verification.status;
        if (status == STATUS_OK && result < 0)
            status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot list its datasets", path);
        close(verification.file.fd);
    }
    store_close(verification.reader);
    return status;
}
