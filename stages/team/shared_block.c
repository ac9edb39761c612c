// Open MPI backs a window's memory with a file, in a folder that may be small (containers often have 64 MiB
// at /dev/shm). If it cannot make that file, the ranks that did not try wait for ever; if the file system
// fills up later, the first touch of a page ends the program. So the free space is checked first, and then
// every page is touched in a way that can fail.
#include "stages/team/shared_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

#ifdef OPEN_MPI
// The folder in which Open MPI's osc/sm component puts its files.
static const char *backing_folder(void)
{
    const char *folder = getenv("OMPI_MCA_osc_sm_backing_directory");
    if (folder == NULL && access("/dev/shm", W_OK) == 0)
        folder = "/dev/shm";
    if (folder == NULL) // the session folder is somewhere in there
        folder = getenv("TMPDIR");
    return folder != NULL ? folder : "/tmp";
}
#endif

// Open MPI asks for 5 % more, and adds data of its own.
static uint64_t with_slack(uint64_t bytes)
{
    return bytes + bytes / 16 + (1 << 20);
}

// Every rank maps the whole block. One without room for it in its address space (ulimit -v) still gets a
// window from Open MPI (4.1.4), and crashes in the next call.
static enum status check_room(uint64_t bytes, const char *purpose, struct error *err)
{
    void *probe = mmap(NULL, (size_t)with_slack(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    RETURN_ERROR_IF(probe == MAP_FAILED, err, STATUS_MEMORY,
                    "out of shared memory: cannot map %llu bytes for %s: %s", (unsigned long long)bytes,
                    purpose, strerror(errno));
    munmap(probe, (size_t)with_slack(bytes));
    return STATUS_OK;
}

static enum status check_space(uint64_t bytes, const char *purpose, struct error *err)
{
#ifdef OPEN_MPI
    const char *folder = backing_folder();
    struct statvfs space;

    RETURN_ERROR_IF(statvfs(folder, &space) != 0 || access(folder, W_OK | X_OK) != 0, err, STATUS_MEMORY,
                    "out of shared memory: %llu bytes for %s, and %s cannot be used: %s",
                    (unsigned long long)bytes, purpose, folder, strerror(errno));
    const uint64_t available = (uint64_t)space.f_bavail * space.f_frsize;
    RETURN_ERROR_IF(with_slack(bytes) > available, err, STATUS_MEMORY,
                    "out of shared memory: %llu bytes for %s, and %s has %llu bytes free",
                    (unsigned long long)bytes, purpose, folder, (unsigned long long)available);
#else
    (void)bytes;
    (void)purpose;
    (void)err;
#endif
    return STATUS_OK;
}

// This rank's share of the pages gets its memory. Where the kernel cannot do that (Linux before 5.14),
// nothing happens.
static enum status take_pages(const struct shared_block *block, const struct team *team, const char *purpose,
                              struct error *err)
{
#ifdef MADV_POPULATE_WRITE
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = (uintptr_t)block->data / page * page, end = (uintptr_t)block->data + block->bytes;
    size_t first, count;

    share_of((end - begin + page - 1) / page, (size_t)team->node_rank, (size_t)team->node_size, &first,
             &count);
    if (count != 0 && madvise((char *)begin + first * page, count * page, MADV_POPULATE_WRITE) != 0 &&
        (errno == EFAULT || errno == ENOMEM))
        return error_set(err, STATUS_MEMORY,
                         "out of shared memory: %llu bytes for %s: no room left when touched",
                         (unsigned long long)block->bytes, purpose);
#else
    (void)block;
    (void)team;
    (void)purpose;
    (void)err;
#endif
    return STATUS_OK;
}

// Collective over the node.
static enum status open_window(struct shared_block *block, const struct team *team, const char *purpose,
                               struct error *err)
{
    const MPI_Aint asked = team->node_rank == 0 ? (MPI_Aint)(block->bytes + ALIGNMENT) : 0;
    MPI_Aint size;
    void *own;
    int unit;
    int code = MPI_Win_allocate_shared(asked, 1, MPI_INFO_NULL, team->node, &own, &block->window);

    if (code == MPI_SUCCESS)
        code = MPI_Win_set_errhandler(block->window, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS)
        code = MPI_Win_shared_query(block->window, 0, &size, &unit, &block->data);
    if (code == MPI_SUCCESS)
        code = MPI_Win_lock_all(MPI_MODE_NOCHECK, block->window);
    RETURN_ERROR_IF(code != MPI_SUCCESS, err, STATUS_MEMORY,
                    "out of shared memory: %llu bytes for %s: MPI_Win_allocate_shared failed",
                    (unsigned long long)block->bytes, purpose);
    // The file is mapped at page boundaries, so the ranks' addresses differ by whole pages and this is the
    // same byte.
    const uintptr_t address = (uintptr_t)block->data;
    block->data = (char *)block->data + (ALIGNMENT - address % ALIGNMENT) % ALIGNMENT;
    return STATUS_OK;
}

enum status shared_block_allocate(struct shared_block *block, const struct team *team, uint64_t bytes,
                                  const char *purpose, struct error *err)
{
    enum status status = STATUS_OK;

    *block = (struct shared_block){.window = MPI_WIN_NULL, .bytes = bytes};
    if (bytes > INT64_MAX / 2)
        status = error_set(err, STATUS_MEMORY, "out of shared memory: %llu bytes for %s",
                           (unsigned long long)bytes, purpose);
    else
        status = check_room(bytes, purpose, err);
    if (status == STATUS_OK && team->node_rank == 0 &&
        team->node_size > 1) // a rank alone gets ordinary memory
        status = check_space(bytes, purpose, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));

    status = team_agree(team, open_window(block, team, purpose, err), err);
    if (status != STATUS_OK) { // a window that only some ranks have cannot be freed: that needs all
        *block = (struct shared_block){.window = MPI_WIN_NULL};
        return status;
    }
    if (team->node_size > 1)
        status = take_pages(block, team, purpose, err);
    status = team_agree(team, status, err);
    if (status != STATUS_OK)
        shared_block_free(block);
    return status;
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
