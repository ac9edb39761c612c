// The beginning and the end of a writer.
#include "io/store/writer.h"

#include "io/agree.h"
#include "io/file/commit.h"
#include "io/file/hdf5_file.h"
#include "io/file/run/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t default_piece = (uint64_t)1 << 30;

void store_set_piece(struct store_writer *writer, uint64_t bytes)
{
    writer->piece = bytes;
}

static void free_writer(struct store_writer *writer)
{
    for (size_t i = 0; i < writer->num_datasets; i++) {
        free(writer->datasets[i].name);
        free(writer->datasets[i].unit);
        free(writer->datasets[i].meaning);
        free(writer->datasets[i].row_hashes);
        free(writer->datasets[i].row_filled);
    }
    for (size_t i = 0; i < writer->num_attributes; i++) {
        free(writer->attributes[i].object);
        free(writer->attributes[i].name);
        free(writer->attributes[i].string);
    }
    free(writer->datasets);
    free(writer->attributes);
    free(writer->path);
    free(writer->temporary);
    free(writer->folder);
    if (writer->comm != MPI_COMM_NULL && writer->comm != MPI_COMM_SELF)
        MPI_Comm_free(&writer->comm);
    free(writer);
}

enum status store_copy_string(char **copy, const char *string, struct error *err)
{
    *copy = NULL;
    if (string == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(allocate(copy, strlen(string) + 1, 1, "a name", err));
    memcpy(*copy, string, strlen(string) + 1);
    return STATUS_OK;
}

enum status store_note(struct store_writer *writer, enum status agreed)
{
    if (agreed != STATUS_OK)
        writer->failure = agreed;
    return agreed;
}

enum status store_refuse(const struct store_writer *writer, struct error *err)
{
    return error_set(err, writer->failure, "%s: an earlier step of writing it failed", writer->path);
}

// Rank 0: the folders and the temporary file.
static enum status create_temporary(struct store_writer *writer, struct error *err)
{
    FORWARD_IF_ERROR(make_directories(writer->folder, err));
    do {
        writer->fd = open(writer->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    } while (writer->fd < 0 && errno == EINTR);
    RETURN_ERROR_IF(writer->fd < 0, err, STATUS_FAILED, "%s: cannot create its temporary file: %s",
                    writer->path, strerror(errno));
    writer->created = true;
    return STATUS_OK;
}

// Other ranks: opens rank 0's temporary file. A failure that would come inside MPI_File_open, where the
// others wait for ever, comes here: no right, too many open files, a folder that only rank 0's machine has.
static enum status open_temporary(struct store_writer *writer, struct error *err)
{
    do {
        writer->fd = open(writer->temporary, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    } while (writer->fd < 0 && errno == EINTR);
    RETURN_ERROR_IF(
        writer->fd < 0 && errno == ENOENT, err, STATUS_FAILED,
        "%s: rank 0 has created its temporary file, and it is not there: is the folder on a file system that "
        "all nodes share?",
        writer->path);
    RETURN_ERROR_IF(writer->fd < 0, err, STATUS_FAILED, "%s: cannot open its temporary file: %s",
                    writer->path, strerror(errno));
    return STATUS_OK;
}

static enum status set_names(struct store_writer *writer, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');

    FORWARD_IF_ERROR(store_copy_string(&writer->path, path, err));
    FORWARD_IF_ERROR(store_copy_string(&writer->folder, slash != NULL ? path : ".", err));
    if (slash != NULL)
        writer->folder[slash == path ? 1 : slash - path] = '\0';
    FORWARD_IF_ERROR(allocate(&writer->temporary, PATH_MAX, 1, "a name", err));
    // It has the host and the process id of rank 0 in it, so the others are told.
    return writer->rank == 0 ? temporary_path(writer->temporary, PATH_MAX, path, err) : STATUS_OK;
}

static enum status create(struct store_writer *writer, const char *path, struct error *err)
{
    FORWARD_IF_ERROR(agree(writer->comm, set_names(writer, path, err), err));
    if (writer->size > 1) {
        const int code = MPI_Bcast(writer->temporary, PATH_MAX, MPI_CHAR, 0, writer->comm);
        if (code != MPI_SUCCESS)
            return mpi_failed(code, path, err);
    }
    FORWARD_IF_ERROR(agree(writer->comm, writer->rank == 0 ? create_temporary(writer, err) : STATUS_OK, err));
    return agree(writer->comm, writer->rank != 0 ? open_temporary(writer, err) : STATUS_OK, err);
}

void store_before_mpi(void)
{
    hdf5_set_variables();
    if (getenv("OMPI_MCA_sharedfp") != NULL)
        return;
    // The component that makes the fewest files, with a priority at which no component is chosen in the end.
    setenv("OMPI_MCA_sharedfp", "sm", 1);
    setenv("OMPI_MCA_sharedfp_sm_priority", "-1", 1);
}

enum status store_create(struct store_writer **writer, const char *path, struct file_origin origin,
                         MPI_Comm comm, struct error *err)
{
    struct store_writer *new;
    enum status status;

    *writer = NULL;
    store_quiet();
    status = agree(comm, allocate(&new, 1, sizeof *new, "a file's writer", err), err);
    if (status != STATUS_OK) {
        free(new);
        return status;
    }
    new->comm = comm;
    new->fd = -1;
    new->made_from = attempt_made_from(origin, path);
    origin_name(new->name, origin, path);
    new->parallel = H5I_INVALID_HID;
    new->piece = default_piece;
    comm_shape(comm, &new->rank, &new->size);
    // A communicator of our own: our messages cannot meet the caller's, and its errors come back as codes.
    if (comm != MPI_COMM_SELF) {
        new->comm = MPI_COMM_NULL;
        const int code = MPI_Comm_dup(comm, &new->comm);
        if (code != MPI_SUCCESS) {
            free_writer(new);
            return mpi_failed(code, path, err);
        }
        MPI_Comm_set_errhandler(new->comm, MPI_ERRORS_RETURN);
    }
    status = create(new, path, err);
    if (status != STATUS_OK)
        store_abandon(new);
    else
        *writer = new;
    return status;
}

void store_abandon(struct store_writer *writer)
{
    if (writer == NULL)
        return;
    store_close_parallel(writer, NULL);
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->created)
        unlink(writer->temporary);
    if (writer->size > 1 && writer->comm != MPI_COMM_NULL)
        MPI_Barrier(writer->comm); // when a rank returns, the file is gone
    free_writer(writer);
}

enum status store_commit(struct store_writer *writer, struct error *err)
{
    enum status status = writer->failure;

    if (status != STATUS_OK)
        store_refuse(writer, err);
    else
        status = store_finish(writer, err);
    store_abandon(writer);
    return status;
}
