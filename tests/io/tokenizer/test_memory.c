// wrap: malloc calloc realloc
// tokenizer.h: whichever allocation fails, the call says STATUS_MEMORY, leaks nothing (the sanitizers watch),
// and the tokenizer works again afterwards.
#include "io/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- allocations that fail on demand
// -----------------------------------------------------------------------

static struct {
    bool active;
    size_t after; // this many go well
    bool failed;
    size_t largest; // that was asked for
} plan;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool fails(size_t size)
{
    if (plan.largest < size)
        plan.largest = size;
    if (!plan.active || plan.failed)
        return false;
    if (plan.after > 0) {
        plan.after--;
        return false;
    }
    plan.failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails(size) ? NULL : __real_realloc(memory, size);
}

// ---- tests
// -------------------------------------------------------------------------------------------------

static const char *const names[] = {"gpt-neox", "mistral", "t5", "bert"};

static const char *layout(const char *name)
{
    static char path[PATH_MAX];
    const char *folder = getenv("COPPICE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s.json", folder != NULL ? folder : ".", name);
    return path;
}

static void a_load_without_memory_says_so(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        for (size_t after = 0;; after++) {
            struct tokenizer *tokenizer = NULL;
            struct error err = {0};
            enum status status;

            plan.after = after;
            plan.failed = false;
            plan.active = true;
            status = tokenizer_load(&tokenizer, layout(names[n]), &err);
            plan.active = false;
            if (!plan.failed) {
                assert_ok(status, err);
                tokenizer_free(tokenizer);
                break;
            }
            assert_int_equal(status, STATUS_MEMORY);
            assert_error(err, STATUS_MEMORY, "out of memory");
            assert_null(tokenizer);
        }
}

static void an_encoding_without_memory_says_so_and_the_next_one_works(void **state)
{
    // ordered marks, stand-ins, added tokens, words longer than the cache takes
    static const char text[] =
        "the a\xcc\x81\xcc\xa3\xcc\x81\xcc\xa3 <s> </s>\n\n  x \xe1\xa0\x8e \xf0\x90\xb5\x80 "
        "thethethethethethethethethethethethethethethethethethethethethethethethethethethethe"
        "thethethethethethethethethethethethethethethethethethethethethethethethethethethethe";
    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        struct tokenizer *fresh = NULL;
        struct error err = {0};
        int32_t *expected = NULL;
        size_t expected_count = 0;

        assert_ok(tokenizer_load(&fresh, layout(names[n]), &err), err);
        assert_ok(tokenizer_encode(fresh, text, strlen(text), true, &expected, &expected_count, &err), err);
        tokenizer_free(fresh);
        for (size_t after = 0;; after++) {
            struct tokenizer *tokenizer = NULL;
            int32_t *ids = NULL;
            size_t count = 0;
            enum status status;

            assert_ok(tokenizer_load(&tokenizer, layout(names[n]), &err), err);
            plan.after = after;
            plan.failed = false;
            plan.active = true;
            status = tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &count, &err);
            plan.active = false;
            if (plan.failed) {
                assert_int_equal(status, STATUS_MEMORY);
                assert_error(err, STATUS_MEMORY, "out of memory");
                assert_null(ids);
                status = tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &count, &err);
            }
            assert_ok(status, err);
            assert_int_equal(count, expected_count);
            assert_memory_equal(ids, expected, count * sizeof *ids);
            free(ids);
            tokenizer_free(tokenizer);
            if (!plan.failed)
                break;
        }
        free(expected);
    }
}

// Of a text of many words there is nothing in memory that is larger than the text and its ids.
static void a_long_text_is_cut_some_words_at_a_time(void **state)
{
    static const char word[] = " the";
    const size_t words = 1 << 18, size = words * strlen(word);
    char *text = malloc(size);
    (void)state;

    assert_non_null(text);
    for (size_t i = 0; i < words; i++)
        memcpy(text + i * strlen(word), word, strlen(word));
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        struct tokenizer *tokenizer = NULL;
        struct error err = {0};
        int32_t *ids = NULL;
        size_t count = 0;

        assert_ok(tokenizer_load(&tokenizer, layout(names[n]), &err), err);
        plan.largest = 0;
        assert_ok(tokenizer_encode(tokenizer, text, size, false, &ids, &count, &err), err);
        assert_true(count >= words);
        const size_t of_ids = count * sizeof *ids;
        if (plan.largest > 2 * (of_ids > size ? of_ids : size))
            fail_msg("%s: %zu bytes at once, for %zu of text and %zu of ids", names[n], plan.largest, size,
                     of_ids);
        free(ids);
        tokenizer_free(tokenizer);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_without_memory_says_so),
        cmocka_unit_test(a_long_text_is_cut_some_words_at_a_time),
        cmocka_unit_test(an_encoding_without_memory_says_so_and_the_next_one_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
