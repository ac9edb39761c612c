// wrap: pread
// copy.h: the same bytes whatever the size, holes stay holes, and a stop is heard on the way.
#include "io/file/commit.h"
#include "io/file/copy.h"
#include "tests/support/temporary_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEGABYTE = 1 << 20 };

// Reads of more than a piece would be seen here; one of them fails on demand, finds the end, or is short.
static struct {
    size_t largest, calls, failing, ending, shortened;
} reads;

ssize_t __real_pread(int fd, void *bytes, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t at)
{
    reads.calls++;
    reads.largest = size > reads.largest ? size : reads.largest;
    if (reads.calls == reads.failing) {
        errno = EIO;
        return -1;
    }
    if (reads.calls == reads.shortened)
        size = (size + 2) / 3;
    return reads.calls == reads.ending ? 0 : __real_pread(fd, bytes, size, at);
}

static char from[4096], to[4096];

static int set_up(void **state)
{
    *state = temporary_folder_create();
    memset(&reads, 0, sizeof reads);
    snprintf(from, sizeof from, "%s/from", (const char *)*state);
    snprintf(to, sizeof to, "%s/to", (const char *)*state);
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// A file of `size` bytes with something at each of places[count].
static void make(off_t size, const off_t *places, size_t count)
{
    const int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pwrite(fd, &"abcdefgh"[i], 1, places[i]), 1);
    assert_int_equal(close(fd), 0);
}

static void check_copy(off_t size, const off_t *places, size_t count)
{
    struct stat info;
    const int fd = open(to, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_true(info.st_size == size);
    for (size_t i = 0; i < count; i++) {
        char byte;
        assert_int_equal(__real_pread(fd, &byte, 1, places[i]), 1);
        assert_int_equal(byte, "abcdefgh"[i]);
    }
    assert_int_equal(close(fd), 0);
}

static void bytes_are_the_same(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, MEGABYTE, MEGABYTE + 1, 3 * MEGABYTE + 17};
    struct error err = {0};
    char *bytes = malloc(4 * MEGABYTE), *copied;
    (void)state;

    assert_non_null(bytes);
    for (size_t i = 0; i < 4 * MEGABYTE; i++)
        bytes[i] = (char)(i * 2654435761U >> 13);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size;
        write_file(*state, "from", bytes, sizes[i]);
        reads.calls = 0;
        reads.shortened = 1;
        assert_ok(copy_file(from, to, NULL, NULL, &err), err);
        assert_ok(read_file(&copied, &size, to, &err), err);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(copied, bytes, size);
        free(copied);
    }
    assert_int_equal(reads.largest, MEGABYTE);
    assert_int_equal(count_entries(*state), 2);
    free(bytes);
}

// Beyond what 31 and 32 bits count: data at the edges, in the middle, and a hole at the end.
static void holes_stay_holes(void **state)
{
    const off_t size = ((off_t)5 << 30) + 3, places[] = {0, (off_t)1 << 31, ((off_t)1 << 32) - 1,
                                                         (off_t)1 << 32, ((off_t)1 << 32) + ((off_t)1 << 28)};
    struct error err = {0};
    struct stat info;
    (void)state;

    make(size, places, 5);
    assert_int_equal(stat(from, &info), 0);
    if ((uint64_t)info.st_blocks * 512 > 64 * MEGABYTE)
        skip(); // a file system without holes
    assert_in_range(copied_bytes(&info), 3 * 512, 64 * MEGABYTE);
    assert_ok(copy_file(from, to, NULL, NULL, &err), err);
    check_copy(size, places, 5);
    assert_int_equal(stat(to, &info), 0);
    assert_in_range((uint64_t)info.st_blocks * 512, 0, 64 * MEGABYTE);
}

// What a plan counts: blocks of 512 bytes, and no more than the bytes.
static void holes_take_no_bytes(void **state)
{
    const struct stat sparse = {.st_size = 10000, .st_blocks = 3}, full = {.st_size = 100, .st_blocks = 8};
    (void)state;

    assert_int_equal(copied_bytes(&sparse), 3 * 512);
    assert_int_equal(copied_bytes(&full), 100);
}

// Puts a byte behind a hole at the end, each time that it is asked.
static bool appends(void *context)
{
    off_t *end = context;
    const int fd = open(from, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, *end += MEGABYTE), 1);
    assert_int_equal(close(fd), 0);
    return false;
}

static void a_file_that_grows_is_copied_as_it_was(void **state)
{
    struct error err = {0};
    off_t end = MEGABYTE;
    const off_t places[] = {0, MEGABYTE - 1};
    (void)state;

    make(MEGABYTE, places, 2);
    assert_ok(copy_file(from, to, appends, &end, &err), err);
    check_copy(MEGABYTE, places, 2);
}

static bool stops_at_zero(void *context)
{
    int *left = context;
    return --*left == 0;
}

static void a_stop_is_heard_on_the_way(void **state)
{
    char *bytes = calloc(4, MEGABYTE);
    struct error err = {0};
    int left = 3;

    assert_non_null(bytes);
    write_file(*state, "from", bytes, 4 * MEGABYTE);
    assert_int_equal(copy_file(from, to, stops_at_zero, &left, &err), STATUS_STOPPED);
    assert_int_equal(reads.calls, 3);
    assert_int_equal(count_entries(*state), 1);
    free(bytes);
}

static void what_fails_leaves_nothing(void **state)
{
    struct error err = {0};

    write_text(*state, "from", "text");
    reads.failing = 1;
    assert_int_equal(copy_file(from, to, NULL, NULL, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/from: reading failed: Input/output error");
    assert_int_equal(count_entries(*state), 1);
    reads.ending = 2;
    assert_int_equal(copy_file(from, to, NULL, NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "/from: became shorter");
    assert_int_equal(count_entries(*state), 1);
    assert_int_equal(copy_file(*state, to, NULL, NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_are_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(holes_stay_holes, set_up, tear_down),
        cmocka_unit_test(holes_take_no_bytes),
        cmocka_unit_test_setup_teardown(a_file_that_grows_is_copied_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_is_heard_on_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fails_leaves_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
