#include "io/store/driver.h"

#include "io/store/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct driver_state {
    H5FD_t base; // HDF5's part, first
    struct store_driver_file *file;
    haddr_t end_of_allocation, end_of_file;
};

// H5Pset_driver keeps a copy of this.
struct driver_info {
    struct store_driver_file *file;
};

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t fapl, haddr_t maximum)
{
    const struct driver_info *info = H5Pget_driver_info(fapl);
    struct stat status;
    (void)name;
    (void)maximum;

    if (info == NULL || fstat(info->file->fd, &status) != 0)
        return NULL;
    struct driver_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        info->file->failure = ENOMEM; // HDF5 would give no reason
        return NULL;
    }
    state->file = info->file;
    if ((flags & H5F_ACC_TRUNC) != 0 && status.st_size != 0) {
        if (ftruncate(info->file->fd, 0) != 0) {
            free(state);
            return NULL;
        }
        status.st_size = 0;
    }
    state->end_of_file = (haddr_t)status.st_size;
    return &state->base;
}

static herr_t driver_close(H5FD_t *base)
{
    free((struct driver_state *)base);
    return 0;
}

static herr_t driver_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    // As the serial driver: small pieces are put together before they are written, in the same way on every
    // machine.
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const struct driver_state *)base)->end_of_allocation;
}

static herr_t driver_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((struct driver_state *)base)->end_of_allocation = end;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const struct driver_state *)base)->end_of_file;
}

static herr_t driver_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                          void *buffer)
{
    struct driver_state *state = (struct driver_state *)base;
    (void)type;
    (void)transfer;

    // Past the end of the file HDF5 expects zeros.
    const size_t there = at >= state->end_of_file         ? 0
                         : state->end_of_file - at < size ? (size_t)(state->end_of_file - at)
                                                          : size;
    memset((char *)buffer + there, 0, size - there);
    if (there == 0 || read_all(state->file->fd, buffer, there, at))
        return 0;
    if (state->file->failure == 0)
        state->file->failure = errno != 0 ? errno : EIO; // 0: it became shorter
    return -1;
}

static herr_t driver_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                           const void *buffer)
{
    struct driver_state *state = (struct driver_state *)base;
    (void)type;
    (void)transfer;

    if (state->file->failure == 0 && !write_all(state->file->fd, buffer, size, at))
        state->file->failure = errno;
    if (state->file->failure == 0 && at + size > state->end_of_file)
        state->end_of_file = at + size;
    return 0;
}

static herr_t driver_truncate(H5FD_t *base, hid_t transfer, hbool_t closing)
{
    struct driver_state *state = (struct driver_state *)base;
    (void)transfer;
    (void)closing;

    if (state->file->failure == 0 && state->end_of_allocation != state->end_of_file) {
        if (ftruncate(state->file->fd, (off_t)state->end_of_allocation) == 0)
            state->end_of_file = state->end_of_allocation;
        else
            state->file->failure = errno;
    }
    return 0;
}

hid_t store_driver_register(void)
{
    static const H5FD_class_t driver_class = {
#ifdef H5FD_CLASS_VERSION // since HDF5 1.13
        .version = H5FD_CLASS_VERSION,
        .value = (H5FD_class_value_t)600, // not among those that HDF5 hands out to others
#endif
        .name = "coppice-store",
        .maxaddr = (haddr_t)INT64_MAX,
        .fc_degree = H5F_CLOSE_WEAK,
        .fapl_size = sizeof(struct driver_info),
        .open = driver_open,
        .close = driver_close,
        .query = driver_query,
        .get_eoa = driver_get_eoa,
        .set_eoa = driver_set_eoa,
        .get_eof = driver_get_eof,
        .read = driver_read,
        .write = driver_write,
        .truncate = driver_truncate,
        .fl_map = H5FD_FLMAP_DICHOTOMY,
    };
    return H5FDregister(&driver_class);
}

herr_t store_driver_use(hid_t fapl, hid_t driver, struct store_driver_file *file)
{
    const struct driver_info info = {.file = file};
    return H5Pset_driver(fapl, driver, &info);
}
