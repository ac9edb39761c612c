// The store without mpirun: one process writes and reads (MPI_Init alone), and reading does without MPI at
// all.
#include "tests/support/known_store.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Another process writes, because this one shall never start MPI.
static void write_in_child(const char *path)
{
    int result;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = {0};
        enum status status;
        store_before_mpi();
        MPI_Init(NULL, NULL);
        status = write_known(path, MPI_COMM_SELF, 0, &err);
        if (status == STATUS_OK)
            status = write_known(path, MPI_COMM_WORLD, 0, &err);
        MPI_Finalize();
        _exit(status == STATUS_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

static void one_process_writes_and_reading_needs_no_mpi(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    const char *path = path_in(folder, "known.h5");
    struct error err = {0};
    int initialized = 1;

    assert_false(store_exists(path));
    write_in_child(path);
    assert_true(store_exists(path));
    check_known(path, MPI_COMM_SELF);
    assert_ok(store_verify(path, &err), err);
    MPI_Initialized(&initialized);
    assert_false(initialized);
    temporary_folder_remove(folder);
}

static void errors_need_no_mpi_either(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    struct store_reader *reader;
    struct error err = {0};

    assert_int_equal(store_open(&reader, path_in(folder, "absent.h5"), MPI_COMM_SELF, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "absent.h5");
    assert_int_equal(store_verify(write_text(folder, "text.h5", "not a store"), &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "text.h5");
    temporary_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_process_writes_and_reading_needs_no_mpi),
        cmocka_unit_test(errors_need_no_mpi_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
