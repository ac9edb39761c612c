// regular.h: what is no regular file is refused at once, and with it every reader that a FIFO would hold.
#include "io/corpus/sample.h"
#include "io/file/commit.h"
#include "io/file/interrupt.h"
#include "io/file/regular.h"
#include "io/file/run/run_lock.h"
#include "io/file/text/stream.h"
#include "io/model/weights/safetensors.h"
#include "tests/support/temporary_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = temporary_folder_create();
    alarm(60); // a reader that waits for a FIFO ends the test
    return 0;
}

static int tear_down(void **state)
{
    alarm(0);
    temporary_folder_remove(*state);
    return 0;
}

static const char *make_fifo(const char *folder, const char *name)
{
    const char *path = path_in(folder, name);
    assert_int_equal(mkfifo(path, 0666), 0);
    return path;
}

static void assert_irregular(const char *path, int flags)
{
    struct error err = {0};
    int fd = 0;

    assert_int_equal(regular_open(&fd, path, flags, STATUS_INPUT, &err), STATUS_INPUT);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fd, -1);
    assert_error(err, STATUS_INPUT, "not a regular file");
    assert_error(err, STATUS_INPUT, path);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *fifo = make_fifo(*state, "fifo"), *name = path_in(*state, "socket");
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_irregular(fifo, O_RDONLY);
    assert_irregular(fifo, O_WRONLY);
    assert_irregular(fifo, O_RDWR | O_CREAT | O_APPEND);
    assert_irregular("/dev/zero", O_RDONLY);
    assert_irregular(*state, O_RDONLY);
    assert_irregular(*state, O_RDWR);
    assert_true(listener >= 0 && strlen(name) < sizeof address.sun_path);
    memcpy(address.sun_path, name, strlen(name) + 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_irregular(name, O_RDONLY);
    close(listener);
}

static void other_failures_keep_their_reason(void **state)
{
    struct error err = {0};
    int fd = 0;

    assert_int_equal(regular_open(&fd, path_in(*state, "absent"), O_RDONLY, STATUS_FAILED, &err),
                     STATUS_FAILED);
    assert_int_equal(errno, ENOENT);
    assert_error(err, STATUS_FAILED, "No such file");
}

// An input that cannot be opened now is not taken for a bad one, which some callers may do without.
static void the_systems_failures_are_not_the_files(void **state)
{
    const char *path = write_text(*state, "file", "x");
    struct error err = {0};
    struct rlimit before, none;
    int fd = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const enum status status = regular_open(&fd, path, O_RDONLY, STATUS_INPUT, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "Too many open files");
}

static void a_regular_file_is_opened_also_through_a_link(void **state)
{
    struct error err = {0};
    char byte;
    int fd;

    assert_int_equal(symlink(write_text(*state, "file", "x"), path_in(*state, "link")), 0);
    assert_ok(regular_open(&fd, path_in(*state, "link"), O_RDONLY, STATUS_INPUT, &err), err);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void no_reader_waits_for_a_fifo(void **state)
{
    const char *fifo = make_fifo(*state, "fifo");
    struct safetensors_file *shard;
    struct run_lock *lock;
    struct stream *stream;
    struct error err = {0};
    size_t sequences;
    const struct token_request request = {1, 1, 1};
    int32_t *ids;
    char *bytes;
    bool stole;

    assert_int_equal(read_file(&bytes, NULL, fifo, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
    assert_int_equal(stream_open(&stream, fifo, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
    assert_int_equal(safetensors_open(&shard, fifo, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
    assert_int_equal(sample_load_tokens(&ids, &sequences, fifo, &request, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
    make_fifo(*state, "lock");
    assert_int_equal(run_lock_acquire(&lock, *state, &stole, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "lock: not a regular file");
}

// ---- told to stop -----------------------------------------------------------------------------------------

static size_t asked;

// Yes, from the context's question on.
static bool is_told(const void *context)
{
    return ++asked >= *(const size_t *)context;
}

static void long_inputs_ask_whether_to_stop(void **state)
{
    const size_t size = (size_t)4 << 20, third = 3, first = 1;
    char *text = malloc(size + 1);
    struct stream *stream;
    struct error err = {0};
    const char *bytes;
    size_t count, read = 0;
    enum status status = STATUS_OK;

    assert_non_null(text);
    memset(text, 'a', size);
    text[size] = '\0';
    const char *path = write_text(*state, "long.txt", text);
    free(text);

    asked = 0;
    interrupt_set(is_told, &third);
    assert_ok(stream_open(&stream, path, &err), err);
    while ((status = stream_read(stream, &bytes, &count, &err)) == STATUS_OK && count > 0)
        read += count;
    assert_int_equal(status, STATUS_STOPPED);
    assert_in_range(read, 1, size / 2);
    stream_close(stream);
    interrupt_set(is_told, &first);
    assert_int_equal(stream_open(&stream, path, &err), STATUS_STOPPED);

    interrupt_set(NULL, NULL);
    assert_ok(stream_open(&stream, path, &err), err);
    stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(long_inputs_ask_whether_to_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_regular_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_failures_keep_their_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_systems_failures_are_not_the_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_regular_file_is_opened_also_through_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_reader_waits_for_a_fifo, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
