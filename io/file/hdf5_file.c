#include "io/file/hdf5_file.h"

#include "io/file/limits.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char locking[] = "HDF5_USE_FILE_LOCKING";

void hdf5_set_variables(void)
{
    (void)setenv("HDF5_PLUGIN_PRELOAD", "::", 1); // HDF5's sign for no plugins at all
    (void)unsetenv("HDF5_PLUGIN_PATH");
    (void)unsetenv("HDF5_VOL_CONNECTOR");
    (void)unsetenv("HDF5_DRIVER");
    (void)setenv(locking, "FALSE", 0);
}

// What variables cannot say, once. Not before MPI_Init: HDF5 asks MPI as it begins.
static void prepare(void)
{
    static bool is_prepared;

    if (is_prepared)
        return;
    is_prepared = true;
    hdf5_set_variables();
    (void)H5PLset_loading_state(0);
    // A link to another file is then of a class that HDF5 does not know.
    (void)H5Lunregister(H5L_TYPE_EXTERNAL);
}

static hid_t open_to_read(const char *path)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    hid_t file = H5I_INVALID_HID;

    if (access >= 0 && H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0)
        file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (access >= 0)
        H5Pclose(access);
    return file;
}

// Why HDF5 may have failed to open the file: the lock that the user wants of it is not to be had. errno says
// why.
static bool lock_is_refused(int fd)
{
    const char *wish = getenv(locking);

    return wish != NULL &&
           (strcmp(wish, "TRUE") == 0 || strcmp(wish, "1") == 0 || strcmp(wish, "BEST_EFFORT") == 0) &&
           flock(fd, LOCK_SH | LOCK_NB) != 0;
}

static enum status not_opened(const char *path, int fd, enum status refusal, struct error *err)
{
    if (lock_is_refused(fd))
        return error_set(
            err, STATUS_FAILED,
            "%s: HDF5 cannot lock it: %s; set HDF5_USE_FILE_LOCKING=FALSE (it is %s): no locks are needed",
            path, errno == EWOULDBLOCK ? "another program has locked it" : strerror(errno), getenv(locking));
    return error_set(err, refusal, "%s: not an HDF5 file, or a damaged one", path);
}

enum status hdf5_file_open(hid_t *file, const char *path, bool is_link, enum status refusal,
                           struct error *err)
{
    char opened[64];
    int fd;

    *file = H5I_INVALID_HID;
    prepare();
    FORWARD_IF_ERROR(regular_open(&fd, path, O_RDONLY | (is_link ? 0 : O_NOFOLLOW), refusal, err));
    // The very file that was looked at, whatever has its name by now.
    snprintf(opened, sizeof opened, "/proc/self/fd/%d", fd);
    *file = open_to_read(access(opened, R_OK) == 0 ? opened : path);
    const enum status status = *file >= 0 ? STATUS_OK : not_opened(path, fd, refusal, err);
    close(fd);
    return status;
}

// ---- datasets ---------------------------------------------------------------------------------------------

struct wanted {
    const char *name, *path;
    enum status refusal;
};

// Every group on the way and the dataset itself must be in this file, under a name of their own.
static enum status check_way(hid_t file, const struct wanted *wanted, struct error *err)
{
    char part[256];

    RETURN_ERROR_IF(strlen(wanted->name) >= sizeof part, err, wanted->refusal,
                    "%s: the name of a dataset is too long", wanted->path);
    for (const char *end = wanted->name; *end != '\0';) {
        H5L_info_t link;
        end += *end == '/';
        end += strcspn(end, "/");
        snprintf(part, sizeof part, "%.*s", (int)(end - wanted->name), wanted->name);
        RETURN_ERROR_IF(H5Lexists(file, part, H5P_DEFAULT) <= 0, err, wanted->refusal,
                        "%s: there is no dataset \"%s\"", wanted->path, wanted->name);
        RETURN_ERROR_IF(H5Lget_info(file, part, &link, H5P_DEFAULT) < 0, err, wanted->refusal,
                        "%s: \"%s\" cannot be looked up", wanted->path, part);
        RETURN_ERROR_IF(link.type != H5L_TYPE_HARD, err, wanted->refusal,
                        "%s: \"%s\" is a link, %s; links are not followed: h5repack or a copy puts the "
                        "dataset itself into the file",
                        wanted->path, part,
                        link.type == H5L_TYPE_SOFT ? "to another name" : "to another file");
    }
    return STATUS_OK;
}

static enum status check_filters(hid_t creation, const struct wanted *wanted, struct error *err)
{
    const int count = H5Pget_nfilters(creation);

    for (int i = 0; i < count; i++) {
        unsigned flags, config;
        size_t values = 0;
        char name[64] = "", shown[64];
        const H5Z_filter_t filter =
            H5Pget_filter2(creation, (unsigned)i, &flags, &values, NULL, sizeof name - 1, name, &config);
        if (filter > 0 && filter < H5Z_FILTER_RESERVED)
            continue;
        size_t k = 0;
        for (; name[k] != '\0'; k++)
            shown[k] = name[k] >= ' ' && name[k] <= '~' ? name[k] : '?';
        shown[k] = '\0';
        return error_set(err, wanted->refusal,
                         "%s: \"%s\" is packed with filter %d%s%s, a plugin, and no plugins are loaded: "
                         "h5repack -f GZIP=1 packs it anew",
                         wanted->path, wanted->name, (int)filter, shown[0] != '\0' ? ", " : "", shown);
    }
    return STATUS_OK;
}

static enum status check_chunks(hid_t creation, hid_t type, const struct wanted *wanted, struct error *err)
{
    hsize_t sides[H5S_MAX_RANK];
    const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, sides);
    double bytes = (double)H5Tget_size(type);

    for (int i = 0; i < rank; i++)
        bytes *= (double)sides[i];
    RETURN_ERROR_IF(rank < 0 || bytes > (double)LIMIT_HDF5_CHUNK_BYTES, err, wanted->refusal,
                    "%s: \"%s\" has chunks of %.0f bytes, and at most %" PRIu64 " are taken: h5repack -l "
                    "CONTI makes it one piece",
                    wanted->path, wanted->name, bytes, LIMIT_HDF5_CHUNK_BYTES);
    return STATUS_OK;
}

// The number of chunks; -1: it is not to be had.
static double count_chunks(hid_t dataset)
{
    const hid_t space = H5Dget_space(dataset);
    hsize_t chunks = 0;
    const bool known = space >= 0 && H5Dget_num_chunks(dataset, space, &chunks) >= 0;

    if (space >= 0)
        H5Sclose(space);
    return known ? (double)chunks : -1;
}

// What was never written would be read as zeros, as many as the dimensions say; and where a damaged header
// says that data are less than their dimensions, HDF5 1.10 reads past its buffer. How large packed data
// become, it alone knows.
static bool is_stored_whole(hid_t dataset, hid_t creation, size_t element_bytes)
{
    const hid_t space = H5Dget_space(dataset);
    const double stored = (double)H5Dget_storage_size(dataset);
    hsize_t dims[H5S_MAX_RANK], sides[H5S_MAX_RANK];
    const int rank = space >= 0 ? H5Sget_simple_extent_dims(space, dims, NULL) : -1;
    const bool in_chunks = H5Pget_layout(creation) == H5D_CHUNKED;
    double chunks = 1, bytes = (double)element_bytes, elements = 1;

    if (space >= 0)
        H5Sclose(space);
    if (rank < 0 || (in_chunks && H5Pget_chunk(creation, H5S_MAX_RANK, sides) != rank))
        return false;
    for (int i = 0; i < rank; i++) {
        elements *= (double)dims[i];
        if (in_chunks && (sides[i] == 0 || dims[i] == 0))
            return sides[i] != 0; // nothing in it
        chunks *= in_chunks ? (double)(1 + (dims[i] - 1) / sides[i]) : 1;
        bytes *= (double)(in_chunks ? sides[i] : dims[i]);
    }
    if (!in_chunks)
        return stored == bytes || elements == 0;
    return count_chunks(dataset) == chunks && (H5Pget_nfilters(creation) > 0 || stored == chunks * bytes);
}

static enum status check_storage(hid_t dataset, hid_t creation, hid_t type, const struct wanted *wanted,
                                 struct error *err)
{
    const H5D_layout_t layout = H5Pget_layout(creation);

    RETURN_ERROR_IF(H5Pget_external_count(creation) != 0, err, wanted->refusal,
                    "%s: \"%s\" has its values in another file: a copy by h5repack has them in one",
                    wanted->path, wanted->name);
    RETURN_ERROR_IF(layout == H5D_VIRTUAL, err, wanted->refusal,
                    "%s: \"%s\" is a virtual dataset, which is put together from others: a copy of its "
                    "values is wanted",
                    wanted->path, wanted->name);
    RETURN_ERROR_IF(layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED, err,
                    wanted->refusal, "%s: \"%s\" has a layout that is not known", wanted->path, wanted->name);
    FORWARD_IF_ERROR(check_filters(creation, wanted, err));
    if (layout == H5D_CHUNKED)
        FORWARD_IF_ERROR(check_chunks(creation, type, wanted, err));
    RETURN_ERROR_IF(!is_stored_whole(dataset, creation, H5Tget_size(type)), err, wanted->refusal,
                    "%s: \"%s\" does not hold all the data that its dimensions say", wanted->path,
                    wanted->name);
    return STATUS_OK;
}

enum status hdf5_dataset_open(hid_t *dataset, hid_t file, const char *name, const char *file_path,
                              enum status refusal, struct error *err)
{
    const struct wanted wanted = {name, file_path, refusal};
    H5O_info_t info;

    *dataset = H5I_INVALID_HID;
    FORWARD_IF_ERROR(check_way(file, &wanted, err));
    if (H5Oget_info_by_name2(file, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0 &&
        info.type == H5O_TYPE_DATASET)
        *dataset = H5Dopen2(file, name, H5P_DEFAULT);
    RETURN_ERROR_IF(*dataset < 0, err, refusal, "%s: \"%s\" is not a dataset, or is damaged", file_path,
                    name);

    const hid_t creation = H5Dget_create_plist(*dataset), type = H5Dget_type(*dataset);
    const enum status status = creation >= 0 && type >= 0
                                   ? check_storage(*dataset, creation, type, &wanted, err)
                                   : error_set(err, refusal, "%s: \"%s\" is damaged", file_path, name);
    if (creation >= 0)
        H5Pclose(creation);
    if (type >= 0)
        H5Tclose(type);
    if (status != STATUS_OK) {
        H5Dclose(*dataset);
        *dataset = H5I_INVALID_HID;
    }
    return status;
}
