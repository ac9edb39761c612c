// wrap: fallocate fsync rename ftruncate open close calloc realloc malloc H5Dwrite H5Dopen2 H5Fcreate
// Whatever fails, on whichever rank: all ranks return the same status and message, the temporary file is
// gone, nothing hangs, and HDF5 has nothing left open.
// ranks: 1 2 3 4
#include "io/agree.h"
#include "io/store/writer.h"
#include "tests/support/mpi_test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- calls that fail on demand ---------------------------------------------------------------------------

static struct {
    const char *call;                          // which, NULL: none
    int nth, seen;                             // its nth call on this rank fails; calls so far
    int reason;                                // errno; 0: see lie
    bool for_ever;                             // so do all later ones
    enum { NO_LIE, LOST, FLIPPED, SHORT } lie; // pwrite: says that it wrote, and did not
} fault;

static bool is_failing(const char *call)
{
    if (fault.call == NULL || strcmp(fault.call, call) != 0)
        return false;
    fault.seen++;
    return fault.seen == fault.nth || (fault.for_ever && fault.seen > fault.nth);
}

static int fail_with_reason(void)
{
    errno = fault.reason;
    return -1;
}

// A regular file in the test's directory: not MPI's own files, and not memory.
static bool is_ours(int fd)
{
    char link[64], name[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, name, sizeof name - 1);
    name[length > 0 ? length : 0] = '\0';
    return fault.call != NULL && strncmp(name, mpi_test_directory(), strlen(mpi_test_directory())) == 0;
}

// Not wrapped but taken from everyone: MPI's file system modules, loaded at run time, shall meet it, too.
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (real == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "pwrite");
        memcpy(&real, &symbol, sizeof real);
    }
    if (fault.call == NULL || !is_ours(fd) || !is_failing("pwrite"))
        return real(fd, bytes, size, offset);
    switch (fault.lie) {
    case NO_LIE:
        return fail_with_reason();
    case LOST:
        return (ssize_t)size;
    case SHORT:
        return real(fd, bytes, (size + 1) / 2, offset);
    case FLIPPED:
        break;
    }
    unsigned char *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    copy[size / 2] ^= 4;
    const ssize_t written = real(fd, copy, size, offset);
    free(copy);
    return written;
}

// Calls that fail instead of being made.
#define FAILING(result, call, parameters, arguments)                                     \
    result __real_##call parameters;                                                     \
    result __wrap_##call parameters;                                                     \
    result __wrap_##call parameters                                                      \
    {                                                                                    \
        return is_failing(#call) ? (result)fail_with_reason() : __real_##call arguments; \
    }
FAILING(int, fallocate, (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
FAILING(int, fsync, (int fd), (fd))
FAILING(int, rename, (const char *from, const char *to), (from, to))
FAILING(int, ftruncate, (int fd, off_t length), (fd, length))
FAILING(hid_t, H5Fcreate, (const char *name, unsigned flags, hid_t fcpl, hid_t fapl),
        (name, flags, fcpl, fapl))
FAILING(hid_t, H5Dopen2, (hid_t at, const char *name, hid_t dapl), (at, name, dapl))

#define FAILING_ALLOCATION(call, parameters, arguments)            \
    void *__real_##call parameters;                                \
    void *__wrap_##call parameters;                                \
    void *__wrap_##call parameters                                 \
    {                                                              \
        return is_failing(#call) ? NULL : __real_##call arguments; \
    }
FAILING_ALLOCATION(calloc, (size_t count, size_t size), (count, size))
FAILING_ALLOCATION(realloc, (void *memory, size_t size), (memory, size))
FAILING_ALLOCATION(malloc, (size_t size), (size))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    return is_failing("open") ? fail_with_reason() : __real_open(path, flags, mode);
}

// Fails after it was made, as close(2) and a collective call do.
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    const int result = __real_close(fd);
    return is_failing("close") ? fail_with_reason() : result;
}

herr_t __real_H5Dwrite(hid_t dataset, hid_t type, hid_t memory, hid_t file, hid_t list, const void *data);
herr_t __wrap_H5Dwrite(hid_t dataset, hid_t type, hid_t memory, hid_t file, hid_t list, const void *data);
herr_t __wrap_H5Dwrite(hid_t dataset, hid_t type, hid_t memory, hid_t file, hid_t list, const void *data)
{
    const herr_t result = __real_H5Dwrite(dataset, type, memory, file, list, data);
    return is_failing("H5Dwrite") ? -1 : result;
}

// ---- one small file --------------------------------------------------------------------------------------

enum { ROWS = 8, ROW_BYTES = 3001, CHANNELS = 100 };

static enum status write_small(const char *path, struct error *err)
{
    unsigned char rows[ROWS][ROW_BYTES];
    double channels[CHANNELS];
    struct store_writer *writer;
    enum status status;
    const uint64_t first = (uint64_t)(ROWS * mpi_rank() / mpi_size());
    const uint64_t count = (uint64_t)(ROWS * (mpi_rank() + 1) / mpi_size()) - first;

    for (size_t i = 0; i < ROWS; i++)
        memset(rows[i], (int)i + 65, ROW_BYTES);
    for (size_t j = 0; j < CHANNELS; j++)
        channels[j] = (double)j;
    FORWARD_IF_ERROR(store_create(&writer, path, NO_ORIGIN, MPI_COMM_WORLD, err));
    GOTO_IF_ERROR(store_declare(writer, "/a/rows",
                                &(struct store_shape){.type = STORE_U8, .rank = 2, .dims = {ROWS, ROW_BYTES}},
                                err),
                  failed);
    GOTO_IF_ERROR(store_attribute_f64(writer, "/a", "x", 1.5, err), failed);
    GOTO_IF_ERROR(store_write(writer, "/a/rows", first, count, rows[first], err), failed);
    GOTO_IF_ERROR(
        store_declare(writer, "/b",
                      &(struct store_shape){.type = STORE_F64, .rank = 1, .dims = {CHANNELS}, .unit = "1"},
                      err),
        failed);
    GOTO_IF_ERROR(store_write(writer, "/b", 0, mpi_rank() == mpi_size() - 1 ? CHANNELS : 0, channels, err),
                  failed);
    return store_commit(writer, err);
failed:
    store_abandon(writer);
    return status;
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *descriptors = opendir("/proc/self/fd");
    while (descriptors != NULL && readdir(descriptors) != NULL)
        count++;
    if (descriptors != NULL)
        closedir(descriptors);
    return count;
}

// All ranks have the same status and message, and what that status promises is so. Returns the status.
static enum status check_outcome(const char *what, const char *path, enum status status,
                                 const struct error *err)
{
    struct error first = *err;
    enum status first_status = status;
    MPI_Bcast(&first, sizeof first, MPI_CHAR, 0, MPI_COMM_WORLD);
    MPI_Bcast(&first_status, sizeof first_status, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (status != first_status || strcmp(first.message, err->message) != 0)
        fail_msg("%s: rank %d has %d '%s', rank 0 has %d '%s'", what, mpi_rank(), (int)status, err->message,
                 (int)first_status, first.message);
    const ssize_t left_open = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
    if (left_open != 0)
        fail_msg("%s: HDF5 has %zd objects open", what, left_open);
    // The file is there when all is well, or when only the folder could not be brought to disk. Then it is
    // complete.
    const size_t entries = entries_in_directory();
    const bool there = status == STATUS_OK || strstr(err->message, "the folder") != NULL;
    struct error own = {0};
    if (entries != (there ? 1 : 0) || (status != STATUS_OK && err->message[0] == '\0'))
        fail_msg("%s: %zu files are left; %d '%s'", what, entries, (int)status, err->message);
    if (there && store_verify(path, &own) != STATUS_OK)
        fail_msg("%s: %d '%s', but '%s'", what, (int)status, err->message, own.message);
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0)
        unlink(path);
    MPI_Barrier(MPI_COMM_WORLD);
    return status;
}

// One try with `fault` on rank `where`. True when the fault was met; *status says how it ended.
static bool try_once(const char *call, int where, int nth, int reason, bool for_ever, int lie,
                     enum status *status, struct error *err)
{
    char what[128];
    const char *path = in_directory("small.h5");
    int met;

    *err = (struct error){0};
    snprintf(what, sizeof what, "%s, call %d on rank %d of %d%s, reason %d, lie %d", call, nth, where,
             mpi_size(), for_ever ? " and later" : "", reason, lie);
    memset(&fault, 0, sizeof fault);
    fault.nth = nth;
    fault.reason = reason;
    fault.for_ever = for_ever;
    fault.lie = (unsigned)lie;
    fault.call = mpi_rank() == where ? call : NULL;
    *status = write_small(path, err);
    fault.call = NULL;
    met = fault.seen >= nth;
    MPI_Bcast(&met, 1, MPI_INT, where, MPI_COMM_WORLD);
    *status = check_outcome(what, path, *status, err);
    if (!met && *status != STATUS_OK)
        fail_msg("%s: failed without a fault: %s", what, err->message);
    return met != 0;
}

enum expectation { MUST_FAIL, MAY_SUCCEED, MUST_SUCCEED };

// Rank 0 and the last rank; those between do what the last one does.
static int next_rank(int rank)
{
    return rank == 0 && mpi_size() > 1 ? mpi_size() - 1 : mpi_size();
}

// Fails the 1st, 2nd, ... call until there are no more, on one rank after the other. `words` are in every
// message.
static void fail_every_call(const char *call, int reason, bool for_ever, int lie,
                            enum expectation expectation, const char *words)
{
    size_t met = 0;
    for (int where = 0; where < mpi_size(); where = next_rank(where)) {
        enum status status;
        struct error err;
        for (int nth = 1; try_once(call, where, nth, reason, for_ever, lie, &status, &err); nth++) {
            met++;
            if (status == STATUS_OK ? expectation == MUST_FAIL : expectation == MUST_SUCCEED)
                fail_msg("%s, call %d on rank %d: %d '%s'", call, nth, where, (int)status, err.message);
            if (status != STATUS_OK && words != NULL && strstr(err.message, words) == NULL)
                fail_msg("%s, call %d on rank %d: '%s' does not say '%s'", call, nth, where, err.message,
                         words);
        }
    }
    if (met == 0)
        fail_msg("%s is never called", call);
}

// ---- the tests -------------------------------------------------------------------------------------------

static void without_faults_all_is_well(void **state)
{
    (void)state;
    enum status status;
    struct error err;
    try_once("none", 0, 1, 0, false, NO_LIE, &status, &err);
    assert_int_equal(status, STATUS_OK);
}

static void a_write_that_fails_once_is_an_error_or_made_good(void **state)
{
    (void)state; // made good: the rows; an error: structure and user block
    fail_every_call("pwrite", EIO, false, NO_LIE, MAY_SUCCEED, "Input/output error");
}

static void a_storage_that_fails_for_ever_is_an_error_from_its_first_write_to_its_last(void **state)
{
    (void)state;
    fail_every_call("pwrite", EIO, true, NO_LIE, MUST_FAIL, "Input/output error");
    fail_every_call("pwrite", ENOSPC, true, NO_LIE, MUST_FAIL, "No space left on device");
}

static void short_writes_go_on(void **state)
{
    (void)state;
    fail_every_call("pwrite", 0, false, SHORT, MUST_SUCCEED, NULL);
    fail_every_call("pwrite", 0, true, SHORT, MUST_SUCCEED, NULL);
}

static void writes_that_are_lost_in_silence_are_found_before_the_commit(void **state)
{
    (void)state;
    // Rows: every rank writes some of /a/rows, the last one /b, too. (Lost bytes of the structure are found
    // by HDF5 when it reads them again, or by store_open: they are not what this test is about.)
    const char *path = in_directory("small.h5");
    for (int where = 0; where < mpi_size(); where = next_rank(where))
        for (int lie = LOST; lie <= FLIPPED; lie++) {
            int found = 0, met = 1;
            for (int nth = 1; met; nth++) {
                struct error err = {0};
                memset(&fault, 0, sizeof fault);
                fault.nth = nth;
                fault.lie = (unsigned)lie;
                fault.call = mpi_rank() == where ? "pwrite" : NULL;
                const enum status status = write_small(path, &err);
                fault.call = NULL;
                met = fault.seen >= nth;
                MPI_Bcast(&met, 1, MPI_INT, where, MPI_COMM_WORLD);
                found += status == STATUS_FAILED &&
                         strstr(err.message, "is not in the file as it was written") != NULL;
                MPI_Barrier(MPI_COMM_WORLD);
                if (mpi_rank() == 0)
                    unlink(path);
                MPI_Barrier(MPI_COMM_WORLD);
            }
            assert_int_equal(found, where == mpi_size() - 1 ? 2 : 1);
        }
}

static void other_system_calls_that_fail_are_errors(void **state)
{
    (void)state;
    fail_every_call("fsync", EIO, false, NO_LIE, MUST_FAIL, "Input/output error"); // of the folder, too
    fail_every_call("rename", EACCES, false, NO_LIE, MUST_FAIL, "Permission denied");
    fail_every_call("open", EMFILE, false, NO_LIE, MUST_FAIL, "Too many open files");
    fail_every_call("ftruncate", ENOSPC, false, NO_LIE, MUST_FAIL, "No space left on device");
}

static void an_interrupted_fsync_is_repeated(void **state)
{
    (void)state;
    fail_every_call("fsync", EINTR, false, NO_LIE, MUST_SUCCEED, NULL);
}

static void closing_the_structure_may_say_that_the_disk_is_full(void **state)
{
    (void)state; // as NFS does; what was only read may fail to close
    fail_every_call("close", EDQUOT, false, NO_LIE, MAY_SUCCEED, "Disk quota exceeded");
}

static void space_that_cannot_be_reserved_is_an_error_only_when_it_is_missing(void **state)
{
    (void)state;
    fail_every_call("fallocate", ENOSPC, true, NO_LIE, MUST_FAIL, "cannot reserve");
    fail_every_call("fallocate", EDQUOT, true, NO_LIE, MUST_FAIL, "cannot reserve");
    fail_every_call("fallocate", EOPNOTSUPP, true, NO_LIE, MUST_SUCCEED, NULL);
    fail_every_call("fallocate", ENOSYS, true, NO_LIE, MUST_SUCCEED, NULL);
}

static void memory_that_is_missing_is_an_error(void **state)
{
    (void)state;
    fail_every_call("calloc", ENOMEM, false, NO_LIE, MUST_FAIL, NULL);
    fail_every_call("realloc", ENOMEM, false, NO_LIE, MUST_FAIL, "out of memory");
    fail_every_call("malloc", ENOMEM, false, NO_LIE, MUST_FAIL, "out of memory");
}

static void calls_of_hdf5_that_fail_are_errors_or_made_good(void **state)
{
    (void)state;
    fail_every_call("H5Dwrite", 0, false, NO_LIE, MUST_SUCCEED, NULL);
    fail_every_call("H5Dwrite", 0, true, NO_LIE, MUST_SUCCEED, NULL);
    fail_every_call("H5Dopen2", 0, false, NO_LIE, MUST_FAIL, "HDF5");
    fail_every_call("H5Fcreate", 0, false, NO_LIE, MUST_FAIL, "cannot start");
}

static void failures_leave_no_descriptor_open(void **state)
{
    (void)state;
    enum status status;
    struct error err;
    try_once("none", 0, 1, 0, false, NO_LIE, &status, &err); // what MPI opens once and for all
    const size_t before = open_descriptors();
    for (int nth = 1; nth < 12; nth++) {
        try_once("pwrite", mpi_size() - 1, nth, EIO, true, NO_LIE, &status, &err);
        try_once("open", 0, nth, EIO, false, NO_LIE, &status, &err);
    }
    assert_int_equal(open_descriptors(), before);
}

// The kernel itself says no, to one rank, also inside MPI-IO.
static void a_rank_over_its_file_size_limit_is_an_error_on_all(void **state)
{
    (void)state;
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    for (int where = 0; where < mpi_size(); where = next_rank(where))
        for (rlim_t limit = 0; limit < 26000; limit += 1999) {
            struct error err = {0};
            char what[64];
            snprintf(what, sizeof what, "limit of %d bytes on rank %d", (int)limit, where);
            getrlimit(RLIMIT_FSIZE, &old);
            small = old;
            small.rlim_cur = limit;
            if (mpi_rank() == where)
                setrlimit(RLIMIT_FSIZE, &small);
            const enum status status = write_small(in_directory("small.h5"), &err);
            setrlimit(RLIMIT_FSIZE, &old);
            check_outcome(what, in_directory("small.h5"), status, &err);
            if (status != STATUS_OK)
                assert_non_null(strstr(err.message, "File too large"));
        }
    signal(SIGXFSZ, SIG_DFL);
}

// ---- a real file system that fills up --------------------------------------------------------------------

enum { PAGE = 4096, DISK_PAGES = 24 };

// A file that takes all but `pages` pages.
static void fill_disk(size_t pages)
{
    static const char page[PAGE];
    const int file = open(in_directory("disk/filler"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    for (size_t i = 0; i < DISK_PAGES - pages; i++)
        assert_int_equal(write(file, page, PAGE), PAGE);
    __real_close(file);
}

static size_t entries_on_disk(void)
{
    size_t count = 0;
    DIR *directory = opendir(in_directory("disk"));
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

static void a_disk_that_is_full_at_any_point_is_an_error_on_all_ranks(void **state)
{
    (void)state;
    int mounted = 0, bytes_differ = 0;
    char options[64];
    const char *disk = in_directory("disk"), *path = in_directory("disk/small.h5");

    if (mpi_rank() == 0) {
        mkdir(disk, 0700);
        snprintf(options, sizeof options, "size=%d", DISK_PAGES * PAGE);
        mounted = mount("tmpfs", disk, "tmpfs", 0, options) == 0;
    }
    MPI_Bcast(&mounted, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (!mounted) {
        if (mpi_rank() == 0) {
            print_message("skipped: mounting a small file system needs root\n");
            rmdir(disk);
        }
        skip();
    }
    size_t failures = 0, successes = 0;
    for (int reserve = 0; reserve < 2; reserve++) // with and without a file system that can reserve space
        for (size_t pages = 0; pages <= DISK_PAGES && bytes_differ == 0; pages++) {
            struct error err = {0};
            if (mpi_rank() == 0)
                fill_disk(pages);
            MPI_Barrier(MPI_COMM_WORLD);
            memset(&fault, 0, sizeof fault);
            fault.call = reserve ? NULL : "fallocate";
            fault.nth = 1;
            fault.for_ever = true;
            fault.reason = EOPNOTSUPP;
            const enum status status = write_small(path, &err);
            fault.call = NULL;
            failures += status != STATUS_OK;
            successes += status == STATUS_OK;
            // remembered, not asserted: the disk is unmounted first
            if (status != STATUS_OK)
                bytes_differ =
                    strstr(err.message, "No space left on device") == NULL || entries_on_disk() != 1;
            else
                bytes_differ = store_verify(path, &err) != STATUS_OK || entries_on_disk() != 2;
            if (bytes_differ)
                print_error("%zu pages free: %d '%s', %zu entries\n", pages, (int)status, err.message,
                            entries_on_disk());
            MPI_Allreduce(MPI_IN_PLACE, &bytes_differ, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
            if (mpi_rank() == 0)
                unlink(path);
        }
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        umount2(disk, MNT_DETACH);
        rmdir(disk);
    }
    assert_false(bytes_differ);
    assert_true(failures > 10);
    assert_true(successes > 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(without_faults_all_is_well),
        mpi_unit_test(a_write_that_fails_once_is_an_error_or_made_good),
        mpi_unit_test(a_storage_that_fails_for_ever_is_an_error_from_its_first_write_to_its_last),
        mpi_unit_test(short_writes_go_on),
        mpi_unit_test(writes_that_are_lost_in_silence_are_found_before_the_commit),
        mpi_unit_test(other_system_calls_that_fail_are_errors),
        mpi_unit_test(an_interrupted_fsync_is_repeated),
        mpi_unit_test(closing_the_structure_may_say_that_the_disk_is_full),
        mpi_unit_test(space_that_cannot_be_reserved_is_an_error_only_when_it_is_missing),
        mpi_unit_test(memory_that_is_missing_is_an_error),
        mpi_unit_test(calls_of_hdf5_that_fail_are_errors_or_made_good),
        mpi_unit_test(failures_leave_no_descriptor_open),
        mpi_unit_test(a_rank_over_its_file_size_limit_is_an_error_on_all),
        mpi_unit_test(a_disk_that_is_full_at_any_point_is_an_error_on_all_ranks),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
