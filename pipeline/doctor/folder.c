#include "pipeline/doctor/folder.h"

#include "io/file/commit.h"
#include "io/file/run/run_lock.h"
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "kernels/amount.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

enum { COMMITS = 20 };
// A unit is committed by two or three syncs; below this, small layers wait for the disk.
static const double enough_commits = 5;
static const double enough_space = 1e9;

// ---- what it is ------------------------------------------------------------------------------------------

#ifdef __linux__

// The numbers that statfs gives (linux/magic.h, and the file systems' own sources).
static const struct {
    unsigned long magic;
    const char *name;
} file_systems[] = {
    {0xef53, "ext4"},       {0x58465342, "XFS"},     {0x9123683e, "Btrfs"},  {0x2fc12fc1, "ZFS"},
    {0x01021994, "tmpfs"},  {0x6969, "NFS"},         {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"}, {0x00c36400, "Ceph"},    {0xff534d42, "SMB"},    {0xfe534d42, "SMB"},
    {0x65735546, "FUSE"},   {0x794c7630, "overlay"}, {0xaad7aaea, "PanFS"},  {0xf2f52010, "F2FS"},
};

static const char *file_system_of(const char *path)
{
    struct statfs info;
    if (statfs(path, &info) == 0)
        for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++)
            if (((unsigned long)info.f_type & 0xffffffffUL) == file_systems[i].magic)
                return file_systems[i].name;
    return "a file system that is not known here";
}

#else

static const char *file_system_of(const char *path)
{
    (void)path;
    return "a file system that is not known here";
}

#endif

static void look_at_space(struct findings *findings, const char *folder)
{
    const char *kind = file_system_of(folder);
    struct statvfs space;
    char room[32];

    if (statvfs(folder, &space) != 0) {
        findings_add(findings, "folder", VERDICT_FACT, "%s: %s", folder, kind);
        return;
    }
    const double bytes = (double)space.f_bavail * (double)space.f_frsize;
    findings_add(findings, "folder", VERDICT_FACT, "%s: %s, %s free", folder, kind,
                 amount_format(bytes, "B", room, sizeof room));
    if (bytes < enough_space)
        findings_add(findings, "folder", VERDICT_CAREFUL, "only %s free: coppice plan says what a job needs",
                     room);
    if (space.f_files > 0 && space.f_favail < 1000)
        findings_add(findings, "folder", VERDICT_CAREFUL, "only %llu more files can be made here",
                     (unsigned long long)space.f_favail);
    if (strcmp(kind, "tmpfs") == 0)
        findings_add(findings, "folder", VERDICT_CAREFUL,
                     "it is in memory, and gone when the machine starts anew: no place for a run directory");
}

// ---- what it can -----------------------------------------------------------------------------------------

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void try_commits(struct findings *findings, const char *scratch)
{
    char path[PATH_SIZE];
    struct error err = {0};

    path_format(path, sizeof path, "%s/commit", scratch);
    const double start = seconds_now();
    for (size_t i = 0; i < COMMITS; i++)
        if (commit_bytes(path, &i, sizeof i, &err) != STATUS_OK) {
            findings_add(findings, "folder", VERDICT_WRONG, "%s", err.message);
            return;
        }
    const double rate = (double)COMMITS / (seconds_now() - start);
    findings_add(findings, "folder", rate < enough_commits ? VERDICT_CAREFUL : VERDICT_GOOD,
                 "%.0f small files a second are written, synced and renamed%s", rate,
                 rate < enough_commits ? ": every unit of work waits for that" : "");
}

static void try_lock(struct findings *findings, const char *scratch)
{
    struct run_lock *lock = NULL, *second = NULL;
    struct error err = {0}, refusal = {0};
    bool stole = false;

    if (run_lock_acquire(&lock, scratch, &stole, &err) != STATUS_OK) {
        findings_add(findings, "folder", VERDICT_WRONG, "it cannot be locked: %s", err.message);
        return;
    }
    const bool is_exclusive = run_lock_acquire(&second, scratch, &stole, &refusal) != STATUS_OK;
    if (!is_exclusive)
        run_lock_release(second);
    findings_add(findings, "folder", is_exclusive ? VERDICT_GOOD : VERDICT_WRONG, "%s",
                 is_exclusive
                     ? "a run directory here is held by one program at a time"
                     : "two programs can hold one run directory: links of files do not work as they should");
    run_lock_release(lock);
}

// One process by itself. What all do together is looked at below.
static void try_hdf5(struct findings *findings, const char *scratch)
{
    char path[PATH_SIZE];
    struct store_writer *writer;
    struct store_reader *reader = NULL;
    struct error err = {0};

    path_format(path, sizeof path, "%s/alone.h5", scratch);
    enum status status = store_create(&writer, path, NO_ORIGIN, MPI_COMM_SELF, &err);
    if (status == STATUS_OK)
        status = store_commit(writer, &err);
    if (status == STATUS_OK)
        status = store_open(&reader, path, MPI_COMM_SELF, &err);
    store_close(reader);
    if (status != STATUS_OK)
        findings_add(findings, "folder", VERDICT_WRONG, "%s", err.message);
}

// The I/O module shows in the hints that it knows.
static const char *mpi_io_name(MPI_File file)
{
    char key[MPI_MAX_INFO_KEY + 1];
    MPI_Info info;
    int count = 0;
#ifdef OPEN_MPI
    const char *name = "OMPIO"; // its hints have no name of their own
#else
    const char *name = "an MPI-IO that does not name itself";
#endif

    if (MPI_File_get_info(file, &info) != MPI_SUCCESS)
        return name;
    MPI_Info_get_nkeys(info, &count);
    for (int i = 0; i < count; i++) {
        MPI_Info_get_nthkey(info, i, key);
        if (strncmp(key, "romio", strlen("romio")) == 0)
            name = "ROMIO";
    }
    MPI_Info_free(&info);
    return name;
}

// Collective. Every rank writes a number and reads that of the next one.
static bool try_mpi_io(char *io_name, size_t size, const char *scratch, const struct team *world)
{
    char path[PATH_SIZE];
    MPI_File file;
    int mine = 1000 + world->rank, next = -1;
    const int other = (world->rank + 1) % world->size;

    path_format(path, sizeof path, "%s/together", scratch);
    if (MPI_File_open(world->comm, path, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file) !=
        MPI_SUCCESS)
        return false;
    snprintf(io_name, size, "%s", mpi_io_name(file));
    bool works = MPI_File_write_at(file, (MPI_Offset)sizeof mine * world->rank, &mine, 1, MPI_INT,
                                   MPI_STATUS_IGNORE) == MPI_SUCCESS;
    works &= MPI_File_sync(file) == MPI_SUCCESS;
    MPI_Barrier(world->comm);
    works &= MPI_File_sync(file) == MPI_SUCCESS;
    works &= MPI_File_read_at(file, (MPI_Offset)sizeof next * other, &next, 1, MPI_INT, MPI_STATUS_IGNORE) ==
             MPI_SUCCESS;
    works &= MPI_File_close(&file) == MPI_SUCCESS;
    return works && next == 1000 + other;
}

// Collective: the lowest rank of which `mine` is false, or the number of ranks.
static int first_without(const struct team *world, bool mine)
{
    int rank = mine ? world->size : world->rank, lowest;
    MPI_Allreduce(&rank, &lowest, 1, MPI_INT, MPI_MIN, world->comm);
    return lowest;
}

static void look_together(struct findings *findings, const char *scratch, const struct team *world)
{
    char io_name[64] = "";
    struct stat info;

    const int blind = first_without(world, stat(scratch, &info) == 0);
    if (blind < world->size) {
        findings_add(findings, "folder", VERDICT_WRONG,
                     "rank %d does not see it: a run directory must be on a file system that all nodes share",
                     blind);
        return;
    }
    const int failed = first_without(world, try_mpi_io(io_name, sizeof io_name, scratch, world));
    if (failed < world->size)
        findings_add(findings, "folder", VERDICT_WRONG,
                     "rank %d cannot write and read one file with the others by %s", failed,
                     io_name[0] != '\0' ? io_name : "MPI-IO");
    else
        findings_add(findings, "folder", VERDICT_GOOD, "all ranks write and read one file, by %s", io_name);
}

enum status folder_look(struct findings *findings, char *scratch, const char *folder,
                        const struct team *world, struct error *err)
{
    enum status status = STATUS_OK;

    scratch[0] = '\0';
    if (world->rank == 0) {
        char whole[PATH_MAX];
        const char *at = realpath(folder, whole);
        path_format(scratch, SCRATCH_SIZE, "%s/.coppice-doctor-XXXXXX", at != NULL ? at : folder);
        if (at == NULL || mkdtemp(scratch) == NULL) {
            findings_add(findings, "folder", VERDICT_WRONG, "%s: no folder can be made there: %s", folder,
                         strerror(errno));
            scratch[0] = '\0';
        }
    }
    FORWARD_IF_ERROR(team_broadcast(world, scratch, SCRATCH_SIZE, 0, err));
    if (scratch[0] == '\0')
        return status;
    if (world->rank == 0) {
        look_at_space(findings, folder);
        try_commits(findings, scratch);
        try_lock(findings, scratch);
        try_hdf5(findings, scratch);
    }
    team_barrier(world);
    look_together(findings, scratch, world);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    (void)remove(path);
    return 0;
}

void folder_remove(const char *scratch)
{
    if (scratch[0] != '\0')
        (void)nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
