// hash_file.h: the hash of all bytes, whatever the pieces; what stops it.
#include "io/file/hash_file.h"
#include "io/file/interrupt.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    interrupt_set(NULL, NULL);
    temporary_folder_remove(*state);
    return 0;
}

static const char *make_file(const char *folder, const unsigned char *bytes, size_t size)
{
    const char *path = path_in(folder, "file");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    return path;
}

static void it_is_that_of_all_bytes_at_once(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, 1 << 20, (1 << 20) + 1, 3 << 20};
    unsigned char *bytes = malloc(3 << 20);

    assert_non_null(bytes);
    for (size_t i = 0; i < 3 << 20; i++)
        bytes[i] = (unsigned char)(i * 2654435761 >> 13);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const char *path = make_file(*state, bytes, sizes[s]);
        struct error err = {0};
        uint64_t hash = 0, count = 1;
        assert_int_equal(hash_file(&hash, &count, path, NULL, NULL, &err), STATUS_OK);
        assert_int_equal(hash, XXH3_64bits(bytes, sizes[s]));
        assert_int_equal(count, sizes[s]);
    }
    free(bytes);
}

static bool after_two(void *context)
{
    int *asked = context;
    return ++*asked == 2;
}

static bool at_once(const void *context)
{
    (void)context;
    return true;
}

static void it_stops_between_pieces(void **state)
{
    unsigned char *bytes = calloc(3 << 20, 1);
    const char *path = make_file(*state, bytes, 3 << 20);
    struct error err = {0};
    uint64_t hash;
    int asked = 0;

    free(bytes);
    assert_int_equal(hash_file(&hash, NULL, path, after_two, &asked, &err), STATUS_STOPPED);
    assert_int_equal(asked, 2);
    interrupt_set(at_once, NULL);
    assert_int_equal(hash_file(&hash, NULL, path, NULL, NULL, &err), STATUS_STOPPED);
}

static void what_is_no_file_is_refused(void **state)
{
    const char *path = path_in(*state, "fifo");
    struct error err = {0};
    uint64_t hash;

    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(hash_file(&hash, NULL, path, NULL, NULL, &err), STATUS_INPUT);
    assert_int_equal(hash_file(&hash, NULL, path_in(*state, "gone"), NULL, NULL, &err), STATUS_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_that_of_all_bytes_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_stops_between_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
