// The step from noting a structure to writing rows: space for the file, and the file opened by all ranks.
#include "io/store/writer.h"

#include "io/agree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SUPERBLOCK = 48 }; // bytes of HDF5's superblock, version 2, right after the user block

// Rank 0, after the structure was closed: takes the space of the whole file, so that a full disk or a quota
// is met here, by one rank, and not in the middle of a collective write. File systems that cannot do that are
// left alone.
static enum status reserve_space(const struct store_writer *writer, struct error *err)
{
#ifdef __linux__
    struct stat status;
    struct statvfs space;

    RETURN_ERROR_IF(fstat(writer->fd, &status) != 0, err, STATUS_FAILED, "%s: %s", writer->path,
                    strerror(errno));
    if (status.st_size == 0 || fallocate(writer->fd, 0, 0, status.st_size) == 0)
        return STATUS_OK;
    const int reason = errno;
    if (reason != ENOSPC && reason != EDQUOT && reason != EFBIG && reason != EIO)
        return STATUS_OK;
    const bool known = reason == ENOSPC && fstatvfs(writer->fd, &space) == 0;
    return error_set(err, STATUS_FAILED, "%s: cannot reserve its %lld bytes: %s (%llu bytes are free)",
                     writer->path, (long long)status.st_size, strerror(reason),
                     known ? (unsigned long long)space.f_bavail * space.f_frsize : 0ULL);
#else
    (void)writer;
    (void)err;
    return STATUS_OK;
#endif
}

static enum status write_structure(struct store_writer *writer, struct error *err)
{
    FORWARD_IF_ERROR(store_structure_write(writer, err));
    return reserve_space(writer, err);
}

static void forget_noted(struct store_writer *writer)
{
    for (size_t i = 0; i < writer->num_datasets; i++)
        writer->datasets[i].exists = true;
    for (size_t i = 0; i < writer->num_attributes; i++) {
        free(writer->attributes[i].object);
        free(writer->attributes[i].name);
        free(writer->attributes[i].string);
    }
    writer->num_attributes = 0;
    writer->structure_exists = true;
}

// The structure in the file, as far as datasets go, is complete.
static bool structure_is_complete(const struct store_writer *writer)
{
    return writer->structure_exists &&
           (writer->num_datasets == 0 || writer->datasets[writer->num_datasets - 1].exists);
}

// A name of the temporary file that is sure to lead to the file this rank has open: folders may be moved away
// or removed at any time, and a rank that finds the file no more leaves the others in MPI_File_open for ever.
// Where the system has no such name, the file's own.
static const char *name_of_open_file(char *name, size_t size, const struct store_writer *writer)
{
    struct stat own, other;

    snprintf(name, size, "/proc/self/fd/%d", writer->fd);
    return fstat(writer->fd, &own) == 0 && stat(name, &other) == 0 && own.st_dev == other.st_dev &&
                   own.st_ino == other.st_ino
               ? name
               : writer->temporary;
}

// This rank sees the file as rank 0 wrote it. A failure that would come inside the collective opening, where
// the other ranks wait for ever, comes here.
static enum status look_at_file(const struct store_writer *writer, const char *name, struct error *err)
{
    char start[STORE_USER_BLOCK + SUPERBLOCK];
    const int fd = open(name, O_RDWR | O_CLOEXEC);

    RETURN_ERROR_IF(fd < 0, err, STATUS_FAILED, "%s: cannot open its temporary file: %s", writer->path,
                    strerror(errno));
    const bool seen = read_all(fd, start, sizeof start, 0);
    const int reason = errno;
    close(fd);
    RETURN_ERROR_IF(!seen, err, STATUS_FAILED, "%s: cannot read its temporary file: %s", writer->path,
                    reason != 0 ? strerror(reason) : "what rank 0 wrote is not there");
    return STATUS_OK;
}

// ROMIO ends the program with a line of its own when it finds no memory while it opens a file. It needs less
// than this, with our hint.
static enum status has_room_to_open(struct error *err)
{
    enum { ROOM = 8 << 20 };
    char *room = NULL;

    FORWARD_IF_ERROR(allocate(&room, ROOM, 1, "opening a file together", err));
    free(room);
    return STATUS_OK;
}

// Collective buffering, which independent transfers have no use for, would take 16 MiB of each rank in ROMIO.
static herr_t set_mpi_io(hid_t fapl, MPI_Comm comm)
{
    MPI_Info hints;

    if (MPI_Info_create(&hints) != MPI_SUCCESS)
        return -1;
    MPI_Info_set(hints, "cb_buffer_size", "65536"); // a hint: without it all is well, and larger
    const herr_t result = H5Pset_fapl_mpio(fapl, comm, hints);
    MPI_Info_free(&hints);
    return result;
}

static enum status open_parallel(struct store_writer *writer, struct error *err)
{
    const hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    char room[64];
    const char *name = name_of_open_file(room, sizeof room, writer);
    enum status status = look_at_file(writer, name, err);

    if (status == STATUS_OK)
        status = has_room_to_open(err);
    if (status == STATUS_OK && (fapl < 0 || store_set_format(fapl) < 0))
        status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot prepare parallel writing", writer->path);
    status = agree(writer->comm, status, err);
    // From here on both calls are collective: a rank that failed before one would leave the others in it.
    if (status == STATUS_OK) {
        if (set_mpi_io(fapl, writer->comm) < 0)
            status =
                store_hdf5_failed(err, STATUS_FAILED, "%s: cannot prepare parallel writing", writer->path);
        status = agree(writer->comm, status, err);
    }
    if (status == STATUS_OK) {
        writer->parallel = H5Fopen(name, H5F_ACC_RDWR, fapl);
        if (writer->parallel < 0)
            status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot open it for parallel writing",
                                       writer->path);
        status = agree(writer->comm, status, err);
    }
    if (fapl >= 0)
        H5Pclose(fapl);
    return status;
}

// Lets HDF5's descriptor of the file lead into memory from now on.
//
// H5Fclose writes the superblock once more, 48 bytes that are there already and are all it has left to write.
// If that fails, HDF5 (1.10) leaves an id that points to freed memory, and the ranks that did not fail wait
// for ever. So it must not reach the storage again. A system without these means takes that risk.
static void detach(const struct store_writer *writer)
{
#ifdef __linux__
    struct stat own, other;
    const int memory = memfd_create("coppice-store", MFD_CLOEXEC);
    DIR *descriptors = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (memory >= 0 && descriptors != NULL && fstat(writer->fd, &own) == 0)
        while ((entry = readdir(descriptors)) != NULL) {
            const int fd = atoi(entry->d_name);
            if (entry->d_name[0] != '.' && fd != writer->fd && fstat(fd, &other) == 0 &&
                other.st_dev == own.st_dev && other.st_ino == own.st_ino)
                dup2(memory, fd);
        }
    if (descriptors != NULL)
        closedir(descriptors);
    if (memory >= 0)
        close(memory);
#else
    (void)writer;
#endif
}

enum status store_close_parallel(struct store_writer *writer, struct error *err)
{
    enum status status = STATUS_OK;

    if (writer->parallel < 0)
        return STATUS_OK;
    detach(writer);
    if (H5Fclose(writer->parallel) < 0)
        status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot end parallel writing", writer->path);
    writer->parallel = H5I_INVALID_HID;
    return agree(writer->comm, status, err);
}

enum status store_ready_to_write(struct store_writer *writer, struct error *err)
{
    enum status status = STATUS_OK;

    if (writer->parallel >= 0 && structure_is_complete(writer))
        return STATUS_OK;
    FORWARD_IF_ERROR(store_close_parallel(writer, err));
    if (writer->rank == 0)
        status = write_structure(writer, err);
    FORWARD_IF_ERROR(agree(writer->comm, status, err));
    forget_noted(writer);
    return open_parallel(writer, err);
}
