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

static enum status note_group(void *context, const char *name, struct error *err)
{
    (void)err;
    strcat(context, name);
    strcat(context, " ");
    return STATUS_OK;
}

static enum status refuse_group(void *context, const char *name, struct error *err)
{
    (void)context;
    return error_set(err, STATUS_INPUT, "not %s", name);
}

static void a_look_is_a_reader_that_trusts_the_contents(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    const char *path = path_in(folder, "known.h5");
    struct store_reader *reader = NULL;
    struct error err = {0};
    char names[256] = "";
    uint64_t dims[STORE_MAX_RANK];
    size_t rank;

    write_in_child(path);
    assert_ok(store_look(&reader, path, &err), err);
    assert_ok(store_groups(reader, note_group, names, &err), err);
    assert_string_equal(names, "mlp.down_proj "); // datasets in the root are not among them
    assert_ok(store_dims(reader, "/mlp.down_proj/weight", &rank, dims, &err), err);
    assert_int_equal(rank, 2);
    assert_int_equal(store_groups(reader, refuse_group, NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not mlp.down_proj");
    store_close(reader);

    assert_int_equal(truncate(path, 1000), 0);
    assert_int_equal(store_look(&reader, path, &err), STATUS_DAMAGED);
    assert_null(reader);
    assert_int_equal(store_look(&reader, path_in(folder, "absent.h5"), &err), STATUS_FAILED);
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
        cmocka_unit_test(a_look_is_a_reader_that_trusts_the_contents),
        cmocka_unit_test(errors_need_no_mpi_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
