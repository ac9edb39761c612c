// Memory that the ranks of a node share.
#include "io/agree.h"
#include "stages/team.h"

#include <stdlib.h>
#include <sys/statvfs.h>

enum { ALIGNMENT = 64 };

// Open MPI backs a window's memory with a file, on /dev/shm if that is there, and does not take its space: on
// a full file system the first touch of a page ends the program with SIGBUS. So the space is looked at
// before.
static enum status check_space(uint64_t bytes, const char *purpose, struct error *err)
{
#ifdef OPEN_MPI
    struct statvfs space;
    const char *folder = getenv("OMPI_MCA_osc_sm_backing_store");

    if (folder == NULL)
        folder = "/dev/shm";
    if (statvfs(folder, &space) != 0)
        return STATUS_OK; // Open MPI takes another place, and checks that one itself
    const uint64_t available = (uint64_t)space.f_bavail * space.f_frsize;
    RETURN_ERROR_IF(bytes > available, err, STATUS_MEMORY,
                    "out of shared memory: %llu bytes for %s, and %s has %llu bytes free",
                    (unsigned long long)bytes, purpose, folder, (unsigned long long)available);
#else
    (void)bytes;
    (void)purpose;
    (void)err;
#endif
    return STATUS_OK;
}

enum status shared_block_allocate(struct shared_block *block, const struct team *team, uint64_t bytes,
                                  const char *purpose, struct error *err)
{
    const uint64_t asked = bytes + ALIGNMENT;
    enum status status = STATUS_OK;
    void *own;
    int code, unit;
    MPI_Aint size;

    *block = (struct shared_block){.window = MPI_WIN_NULL, .bytes = bytes};
    if (team->node_rank == 0)
        status = bytes > INT64_MAX - ALIGNMENT
                     ? error_set(err, STATUS_MEMORY, "out of memory: %llu bytes for %s",
                                 (unsigned long long)bytes, purpose)
                     : check_space(asked, purpose, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));

    code = MPI_Win_allocate_shared(team->node_rank == 0 ? (MPI_Aint)asked : 0, 1, MPI_INFO_NULL, team->node,
                                   &own, &block->window);
    if (code == MPI_SUCCESS)
        code = MPI_Win_set_errhandler(block->window, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS)
        code = MPI_Win_shared_query(block->window, 0, &size, &unit, &block->data);
    if (code == MPI_SUCCESS)
        code = MPI_Win_lock_all(MPI_MODE_NOCHECK, block->window);
    if (code != MPI_SUCCESS) {
        mpi_failed(code, "MPI_Win_allocate_shared", err);
        status = error_set(err, STATUS_MEMORY,
                           "out of shared memory: %llu bytes for %s (MPI_Win_allocate_shared failed)",
                           (unsigned long long)bytes, purpose);
    }
    status = team_agree(team, status, err);
    if (status != STATUS_OK) {
        if (block->window != MPI_WIN_NULL && code == MPI_SUCCESS)
            shared_block_free(block);
        *block = (struct shared_block){.window = MPI_WIN_NULL};
        return status;
    }
    // The file is mapped at page boundaries, so the ranks' addresses differ by whole pages and this is the
    // same byte.
    const uintptr_t address = (uintptr_t)block->data;
    block->data = (char *)block->data + (ALIGNMENT - address % ALIGNMENT) % ALIGNMENT;
    return STATUS_OK;
}

void shared_block_sync(const struct shared_block *block, const struct team *team)
{
    MPI_Win_sync(block->window);
    MPI_Barrier(team->node);
    MPI_Win_sync(block->window);
}

void shared_block_free(struct shared_block *block)
{
    if (block->data != NULL) {
        MPI_Win_unlock_all(block->window);
        MPI_Win_free(&block->window);
    }
    *block = (struct shared_block){.window = MPI_WIN_NULL};
}
