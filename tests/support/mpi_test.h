// mpi_test.h - CMocka under mpirun: every rank runs the same tests in lockstep.
//
//     int main(int argc, char **argv)
//     {
//         const struct CMUnitTest tests[] = {
//             mpi_unit_test(sums_do_not_depend_on_the_ranks),
//         };
//         return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
//     }
//
// Rank 0 prints the tests' lines, every rank its own failures. The program's exit code is not 0 when a test
// failed on any rank. A test that takes longer than its time, or that some ranks left while others hang in
// it, ends the program with a line that says rank and test.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mpi.h>
#include <stdbool.h>

// A test's initial state is its name; *state is the test's own to change.
#define mpi_unit_test(function)                                      \
    {                                                                \
#function, function, mpi_test_begin, mpi_test_end, #function \
    }

int mpi_test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count);

// mpi_unit_test puts these around every test.
int mpi_test_begin(void **state);
int mpi_test_end(void **state);

// Seconds that this test, from now on, and each following one may take; 60 unless told. Sanitizers get more.
void mpi_test_limit(unsigned seconds);

// Rank and size in MPI_COMM_WORLD.
int mpi_rank(void);
int mpi_size(void);

// The test's own directory, empty at its beginning, the same on all ranks; removed with its contents at its
// end.
const char *mpi_test_directory(void);

// DIRECTORY/name of the test's directory; valid until the test's end. At most 255 different names.
const char *in_directory(const char *name);

// Number of entries in the test's directory.
size_t entries_in_directory(void);

// Whole file; the caller frees. Fails the test when it cannot be read.
unsigned char *slurp(const char *path, size_t *size);
