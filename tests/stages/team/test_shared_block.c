// wrap: MPI_Win_allocate_shared
// Shared memory on a small file system that is full, or fills up: an error on all ranks, no hang, no SIGBUS.
// ranks: 1 2 3 4
#include "stages/team/shared_block.h"
#include "tests/support/mpi_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

// The folder that Open MPI is told to use; all ranks have the same parent.
static char folder[64];
static const int disk_bytes = 8 << 20;
static bool mounted;

// Fills the disk up right after the window was made: somebody else was faster.
static bool fill_after_allocation;

static int filler = -1; // holds the space until it is closed

static void fill_disk(void)
{
    char name[128];
    static char page[4096];
    snprintf(name, sizeof name, "%s/filler", folder);
    filler = open(name, O_WRONLY | O_CREAT, 0600);
    unlink(name);
    while (write(filler, page, sizeof page) > 0)
        ;
}

int __real_MPI_Win_allocate_shared(MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *base,
                                   MPI_Win *window);
int __wrap_MPI_Win_allocate_shared(MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *base,
                                   MPI_Win *window);
int __wrap_MPI_Win_allocate_shared(MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *base,
                                   MPI_Win *window)
{
    const int code = __real_MPI_Win_allocate_shared(size, unit, info, comm, base, window);
    if (fill_after_allocation && mpi_rank() == 0)
        fill_disk();
    MPI_Barrier(MPI_COMM_WORLD);
    return code;
}

static void mount_small(void)
{
    char options[32];
    int ok = 1;
    if (mpi_rank() == 0) {
        snprintf(options, sizeof options, "size=%d", disk_bytes);
        mkdir(folder, 0700);
        ok = mount("tmpfs", folder, "tmpfs", 0, options) == 0;
    }
    MPI_Bcast(&ok, 1, MPI_INT, 0, MPI_COMM_WORLD);
    mounted = ok;
}

static void unmount_small(void)
{
    if (mpi_rank() == 0) {
        if (mounted)
            umount2(folder, MNT_DETACH);
        rmdir(folder);
    }
    mounted = false;
}

static enum status allocate_and_use(struct team *team, uint64_t bytes, struct error *err)
{
    struct shared_block block;
    const enum status status = shared_block_allocate(&block, team, bytes, "a test", err);
    if (status == STATUS_OK) {
        memset(block.data, 1, bytes); // would be a SIGBUS
        shared_block_free(&block);
    }
    return status;
}

static void a_small_file_system_gives_what_it_has_and_says_so(void **state)
{
    (void)state;
    struct team team;
    struct error err = {0};
    mount_small();
    if (!mounted) {
        unmount_small();
        skip(); // mounting needs root
    }
    team_create(&team, MPI_COMM_WORLD, 1, &err);
    const enum status small = allocate_and_use(&team, 4 << 20, &err);
    const enum status large = allocate_and_use(&team, 16 << 20, &err);
    team_free(&team);
    unmount_small();

    assert_int_equal(small, STATUS_OK);
    if (mpi_size() == 1) { // a rank alone needs no file
        assert_int_equal(large, STATUS_OK);
    } else {
        assert_int_equal(large, STATUS_MEMORY);
        assert_non_null(strstr(err.message, "16777216 bytes for a test"));
        assert_non_null(strstr(err.message, folder));
        assert_non_null(strstr(err.message, " bytes free"));
    }
}

static void a_file_system_that_fills_up_in_between_is_an_error_and_no_signal(void **state)
{
    (void)state;
    struct team team;
    struct error err = {0};
    mount_small();
    if (!mounted || mpi_size() == 1) {
        unmount_small();
        skip();
    }
    team_create(&team, MPI_COMM_WORLD, 1, &err);
    fill_after_allocation = true;
    const enum status status = allocate_and_use(&team, 4 << 20, &err);
    fill_after_allocation = false;
    close(filler);
    team_free(&team);
    unmount_small();

    assert_int_equal(status, STATUS_MEMORY);
    assert_non_null(strstr(err.message, "4194304 bytes for a test"));
}

static void a_folder_that_cannot_be_used_is_an_error(void **state)
{
    (void)state;
    struct team team;
    struct error err = {0};
    if (mpi_size() == 1)
        skip();
    team_create(&team, MPI_COMM_WORLD, 1, &err);
    assert_int_equal(allocate_and_use(&team, 4 << 20, &err), STATUS_MEMORY); // not mounted, not even there
    assert_non_null(strstr(err.message, "No such file or directory"));
    team_free(&team);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(a_small_file_system_gives_what_it_has_and_says_so),
        mpi_unit_test(a_file_system_that_fills_up_in_between_is_an_error_and_no_signal),
        mpi_unit_test(a_folder_that_cannot_be_used_is_an_error),
    };
    snprintf(folder, sizeof folder, "/tmp/coppice-test-shm-%ld", (long)getppid());
    setenv("OMPI_MCA_osc_sm_backing_directory", folder, 1);
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
