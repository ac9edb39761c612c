#include "tests/support/mpi_test.h"

#include "io/store/store.h"
#include "tests/support/patience.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// One program, one suite: what the signal handler and the tests' frame share.
static struct {
    int rank, size;
    unsigned limit;                   // seconds on a quiet machine
    char late[256], left_behind[256]; // lines for the handler, made before it may run
    const char *line;
    char directory[PATH_MAX];
    char *paths[256]; // of in_directory, up to the first NULL
    MPI_Comm comm;    // the frame's own, so that its messages never meet a test's
} suite = {.limit = 60, .comm = MPI_COMM_NULL};

int mpi_rank(void)
{
    return suite.rank;
}

int mpi_size(void)
{
    return suite.size;
}

void mpi_test_limit(unsigned seconds)
{
    suite.limit = seconds;
    alarm(suite.limit * test_patience());
}

// Only what a signal handler may call. mpirun sees the exit and ends the other ranks.
static void too_late(int signal_number)
{
    (void)signal_number;
    if (write(STDERR_FILENO, suite.line, strlen(suite.line)) < 0)
        _exit(125);
    _exit(124);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

// Collective. A new folder that all ranks know.
static void make_directory(void)
{
    const char *parent = getenv("TMPDIR");

    if (parent == NULL) // in memory where that is possible: the tests write thousands of small files
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    if (suite.rank == 0) {
        snprintf(suite.directory, sizeof suite.directory, "%s/coppice-test-XXXXXX", parent);
        if (mkdtemp(suite.directory) == NULL)
            suite.directory[0] = '\0';
    }
    MPI_Bcast(suite.directory, sizeof suite.directory, MPI_CHAR, 0, suite.comm);
}

int mpi_test_begin(void **state)
{
    const char *name = *state;
    const unsigned limit = suite.limit * test_patience();

    snprintf(suite.late, sizeof suite.late, "rank %d of %d: test %s hangs: no end after %u s\n", suite.rank,
             suite.size, name, limit);
    snprintf(suite.left_behind, sizeof suite.left_behind,
             "rank %d of %d: left test %s and waits in vain for the other ranks\n", suite.rank, suite.size,
             name);
    suite.line = suite.late;
    alarm(limit);
    make_directory();
    MPI_Barrier(suite.comm);
    return 0;
}

int mpi_test_end(void **state)
{
    (void)state;
    // A rank whose assertion failed is here early; the others may hang in a call that it does not make.
    suite.line = suite.left_behind;
    alarm(10 * test_patience());
    MPI_Barrier(suite.comm);
    alarm(0);
    if (suite.rank == 0 && suite.directory[0] != '\0')
        nftw(suite.directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    suite.directory[0] = '\0';
    for (size_t i = 0; suite.paths[i] != NULL; i++) {
        free(suite.paths[i]);
        suite.paths[i] = NULL;
    }
    return 0;
}

const char *mpi_test_directory(void)
{
    assert_string_not_equal(suite.directory, "");
    return suite.directory;
}

const char *in_directory(const char *name)
{
    char path[2 * PATH_MAX];
    size_t i = 0;

    snprintf(path, sizeof path, "%s/%s", mpi_test_directory(), name);
    while (suite.paths[i] != NULL && strcmp(suite.paths[i], path) != 0)
        i++;
    assert_true(i < sizeof suite.paths / sizeof suite.paths[0] - 1);
    if (suite.paths[i] == NULL)
        suite.paths[i] = strdup(path);
    return suite.paths[i];
}

size_t entries_in_directory(void)
{
    size_t count = 0;
    DIR *directory = opendir(mpi_test_directory());
    const struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            count++;
    closedir(directory);
    return count;
}

unsigned char *slurp(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

int mpi_test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count)
{
    int failed = 0, any = 0;

    store_before_mpi();
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &suite.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &suite.size);
    MPI_Comm_dup(MPI_COMM_WORLD, &suite.comm);
    signal(SIGALRM, too_late);
    if (suite.rank != 0 && freopen("/dev/null", "w", stdout) == NULL)
        return 125;

    // The function that the macro calls: the macro itself needs an array whose size it can see.
    failed = _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
    if (failed != 0)
        fprintf(stderr, "rank %d of %d: %d tests failed\n", suite.rank, suite.size, failed);

    // Leaving MPI is part of what is tested: HDF5 must not hang or crash there.
    suite.line = "a rank hangs at the end of the program\n";
    alarm(20 * test_patience());
    MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, suite.comm);
    MPI_Comm_free(&suite.comm);
    MPI_Finalize();
    return any != 0;
}
