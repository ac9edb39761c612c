// Statuses, messages and prefixes of errors, and allocations that fail.
// wrap: calloc malloc aligned_alloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool out_of_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return out_of_memory ? NULL : __real_calloc(count, size);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return out_of_memory ? NULL : __real_malloc(size);
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    assert_int_equal(size % alignment, 0); // C11 asks for it
    return out_of_memory ? NULL : __real_aligned_alloc(alignment, size);
}

static void an_error_holds_its_status_and_one_formatted_line(void **state)
{
    (void)state;
    struct error err = {0};

    assert_int_equal(error_set(&err, STATUS_INPUT, "%s: tensor %d", "model.safetensors", 7), STATUS_INPUT);
    assert_int_equal(err.status, STATUS_INPUT);
    assert_string_equal(err.message, "model.safetensors: tensor 7");
}

static void what_a_terminal_would_act_on_is_not_in_the_line(void **state)
{
    (void)state;
    struct error err = {0};

    error_set(&err, STATUS_INPUT, "the shard %s is not there",
              "a\r\x1b[2J\x7f\n\xc2\x9b"
              "b \xc3\xa9\xc2\xa0");
    assert_string_equal(err.message, "the shard a??[2J????b \xc3\xa9\xc2\xa0 is not there");
    error_set(&err, STATUS_INPUT, "cut in a character: \xc2");
    error_prefix(&err, "layer\t%d", 1);
    assert_string_equal(err.message, "layer?1: cut in a character: \xc2");
    error_set(&err, STATUS_INPUT,
              "a\xe2\x80\xae"
              "b\xe2\x81\xa9"
              "c\xe2\x80\x94"
              "d"); // U+202E, U+2069; U+2014 stays
    assert_string_equal(err.message, "a???b???c\xe2\x80\x94"
                                     "d");
}

static void a_caller_that_wants_no_message_gets_the_status(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, STATUS_FAILED, "unseen %d", 1), STATUS_FAILED);
}

static void a_prefix_goes_before_the_message(void **state)
{
    (void)state;
    struct error err;

    error_set(&err, STATUS_DAMAGED, "checksum differs");
    assert_int_equal(error_prefix(&err, "rank %d", 3), STATUS_DAMAGED);
    assert_int_equal(err.status, STATUS_DAMAGED);
    assert_string_equal(err.message, "rank 3: checksum differs");
    error_prefix(&err, "layer %d", 0);
    assert_string_equal(err.message, "layer 0: rank 3: checksum differs");
}

static void lines_that_are_too_long_are_cut_and_always_end(void **state)
{
    (void)state;
    struct error err;
    enum { SIZE = sizeof err.message };
    char longest[SIZE + 100];

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    error_set(&err, STATUS_FAILED, "%s", longest);
    assert_int_equal(strlen(err.message), SIZE - 1);
    error_prefix(&err, "reading");
    assert_int_equal(strlen(err.message), SIZE - 1);
    assert_int_equal(strncmp(err.message, "reading: xxx", 12), 0);
    // A prefix that fills the line to the last place, or beyond, leaves nothing of the message.
    for (size_t length = SIZE - 4; length <= SIZE + 1; length++) {
        error_set(&err, STATUS_FAILED, "message");
        error_prefix(&err, "%.*s", (int)length, longest);
        assert_true(strlen(err.message) == SIZE - 1);
        assert_int_equal(strncmp(err.message, longest, length < SIZE ? length : SIZE - 1), 0);
        assert_int_equal(err.status, STATUS_FAILED);
    }
}

static enum status fail_if(bool condition, struct error *err)
{
    RETURN_ERROR_IF(condition, err, STATUS_USAGE, "condition %s", "holds");
    return STATUS_OK;
}

static enum status forward(bool condition, int *calls, struct error *err)
{
    FORWARD_IF_ERROR((++*calls, fail_if(condition, err)));
    ++*calls;
    return STATUS_OK;
}

static enum status clean_up(bool condition, int *cleaned, struct error *err)
{
    enum status status;

    GOTO_IF_ERROR(fail_if(condition, err), done);
    *cleaned += 10;
done:
    *cleaned += 1;
    return status;
}

static void the_macros_return_forward_and_clean_up(void **state)
{
    (void)state;
    struct error err = {0};
    int calls = 0, cleaned = 0;

    assert_int_equal(forward(false, &calls, &err), STATUS_OK);
    assert_int_equal(calls, 2);
    assert_int_equal(forward(true, &calls, &err), STATUS_USAGE);
    assert_int_equal(calls, 3); // the call happened once, what follows it did not
    assert_string_equal(err.message, "condition holds");
    assert_int_equal(clean_up(false, &cleaned, &err), STATUS_OK);
    assert_int_equal(cleaned, 11);
    assert_int_equal(clean_up(true, &cleaned, &err), STATUS_USAGE);
    assert_int_equal(cleaned, 12);
}

static void allocated_memory_is_zeroed(void **state)
{
    (void)state;
    uint64_t *memory = NULL;

    assert_int_equal(allocate(&memory, 1000, sizeof *memory, "a test", NULL), STATUS_OK);
    for (size_t i = 0; i < 1000; i++)
        assert_true(memory[i] == 0);
    free(memory);
}

static void aligned_memory_starts_at_a_multiple_of_64_bytes(void **state)
{
    (void)state;

    for (size_t count = 0; count < 70; count++) {
        float *memory = NULL;
        assert_int_equal(allocate_aligned(&memory, count, sizeof *memory, "a test", NULL), STATUS_OK);
        assert_true((uintptr_t)memory % 64 == 0);
        memset(memory, 1, count * sizeof *memory);
        free(memory);
    }
}

static void asking_for_nothing_gives_a_pointer_that_can_be_freed(void **state)
{
    (void)state;
    const size_t nothing[3][2] = {{0, 8}, {8, 0}, {0, 0}};

    for (size_t i = 0; i < 3; i++) {
        void *memory = NULL;
        assert_int_equal(allocate(&memory, nothing[i][0], nothing[i][1], "a test", NULL), STATUS_OK);
        assert_non_null(memory);
        free(memory);
        memory = NULL;
        assert_int_equal(allocate_aligned(&memory, nothing[i][0], nothing[i][1], "a test", NULL), STATUS_OK);
        assert_non_null(memory);
        free(memory);
    }
}

static void when_memory_is_short_the_message_says_how_much_was_asked_for_and_what_for(void **state)
{
    (void)state;
    struct error err = {0};
    int some = 0;
    void *memory = &some;

    out_of_memory = true;
    const enum status zeroed = allocate(&memory, 12, 34, "the scores of a row", &err);
    out_of_memory = false;
    assert_int_equal(zeroed, STATUS_MEMORY);
    assert_int_equal(err.status, STATUS_MEMORY);
    assert_null(memory); // not what was there before
    assert_string_equal(err.message,
                        "out of memory: cannot allocate 408 B (12 x 34 bytes) for the scores of a row");

    memory = &some;
    out_of_memory = true;
    const enum status aligned = allocate_aligned(&memory, 4, 314572800, "a layer's weights", &err);
    out_of_memory = false;
    assert_int_equal(aligned, STATUS_MEMORY);
    assert_null(memory);
    assert_string_equal(err.message,
                        "out of memory: cannot allocate 1.3 GB (4 x 314572800 bytes) for a layer's weights");
}

static void a_size_that_overflows_is_an_error_and_not_a_small_block(void **state)
{
    (void)state;
    // The last is within size_t but not once it is rounded up to the alignment.
    const size_t sizes[4][2] = {{SIZE_MAX / 2, 4}, {4, SIZE_MAX / 2}, {SIZE_MAX, SIZE_MAX}, {SIZE_MAX, 1}};

    for (size_t i = 0; i < 4; i++) {
        struct error err = {0};
        int some = 0;
        void *memory = &some;
        char expected[200];
        snprintf(expected, sizeof expected, "(%zu x %zu bytes) for a test", sizes[i][0], sizes[i][1]);

        if (i < 3) { // a sanitizer's calloc stops the program at SIZE_MAX bytes instead of failing
#ifndef COPPICE_SANITIZE
            assert_int_equal(allocate(&memory, sizes[i][0], sizes[i][1], "a test", &err), STATUS_MEMORY);
            assert_null(memory);
            assert_non_null(strstr(err.message, expected));
#endif
        }
        memory = &some;
        assert_int_equal(allocate_aligned(&memory, sizes[i][0], sizes[i][1], "a test", &err), STATUS_MEMORY);
        assert_null(memory);
        assert_non_null(strstr(err.message, expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_holds_its_status_and_one_formatted_line),
        cmocka_unit_test(what_a_terminal_would_act_on_is_not_in_the_line),
        cmocka_unit_test(a_caller_that_wants_no_message_gets_the_status),
        cmocka_unit_test(a_prefix_goes_before_the_message),
        cmocka_unit_test(lines_that_are_too_long_are_cut_and_always_end),
        cmocka_unit_test(the_macros_return_forward_and_clean_up),
        cmocka_unit_test(allocated_memory_is_zeroed),
        cmocka_unit_test(aligned_memory_starts_at_a_multiple_of_64_bytes),
        cmocka_unit_test(asking_for_nothing_gives_a_pointer_that_can_be_freed),
        cmocka_unit_test(when_memory_is_short_the_message_says_how_much_was_asked_for_and_what_for),
        cmocka_unit_test(a_size_that_overflows_is_an_error_and_not_a_small_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
