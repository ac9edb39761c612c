// The store: what is written is read, by any number of ranks, as the same bytes.
#include "io/store.h"
#include "io/store_format.h"
#include "tests/support/known_store.h"
#include "tests/support/mpi_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void what_is_written_is_read(void **state)
{
    (void)state;
    const char *path = in_directory("folder/of/folders/known.h5");
    struct error err = {0};
    if (mpi_rank() == 0)
        assert_false(store_exists(path));
    enum status status = write_known(path, MPI_COMM_WORLD, 0, &err);
    if (status != STATUS_OK)
        fail_msg("%s", err.message);
    assert_true(store_exists(path));
    check_known(path, MPI_COMM_WORLD);
    check_known(path, MPI_COMM_SELF);
    status = store_verify(path, &err);
    if (status != STATUS_OK)
        fail_msg("%s", err.message);
}

static void the_bytes_do_not_depend_on_ranks_or_pieces(void **state)
{
    (void)state;
    const uint64_t pieces[] = {0, 1, 9, 40};
    struct error err = {0};
    unsigned char *expected, *bytes;
    size_t expected_size, size;

    mpi_test_directory();
    char reference[64];
    snprintf(reference, sizeof reference, "alone-%d.h5", mpi_rank());
    assert_int_equal(write_known(in_directory(reference), MPI_COMM_SELF, 0, &err), STATUS_OK);
    expected = slurp(in_directory(reference), &expected_size);
    for (int ranks = 1; ranks <= mpi_size(); ranks++) {
        MPI_Comm comm;
        MPI_Comm_split(MPI_COMM_WORLD, mpi_rank() < ranks, 0, &comm);
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            char name[64];
            snprintf(name, sizeof name, "by-%d-%d-%zu.h5", mpi_rank() < ranks, ranks, p);
            assert_int_equal(write_known(in_directory(name), comm, pieces[p], &err), STATUS_OK);
            bytes = slurp(in_directory(name), &size);
            assert_int_equal(size, expected_size);
            assert_memory_equal(bytes, expected, size);
            free(bytes);
        }
        MPI_Comm_free(&comm);
    }
    free(expected);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(what_is_written_is_read),
        mpi_unit_test(the_bytes_do_not_depend_on_ranks_or_pieces),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
