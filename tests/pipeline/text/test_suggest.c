// Words among known ones, and the nearest of them.
#include "pipeline/text/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void a_word_is_found_by_its_letters(void **state)
{
    static const char *const words[] = {"row", "rows", "", "row"};
    (void)state;
    assert_int_equal(find_word("row", words, COUNT(words)), 0); // the first of equals
    assert_int_equal(find_word("rows", words, COUNT(words)), 1);
    assert_int_equal(find_word("", words, COUNT(words)), 2);
    assert_int_equal(find_word("ro", words, COUNT(words)), COUNT(words));
    assert_int_equal(find_word("Row", words, COUNT(words)), COUNT(words));
    assert_int_equal(find_word("row", words, 0), 0);
}

static void edits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(edit_distance("", ""), 0);
    assert_int_equal(edit_distance("abc", "abc"), 0);
    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("abc", ""), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("rnu", "run"), 1); // swapped neighbours are one slip
    assert_int_equal(edit_distance("sparcity", "sparsity"), 1);
}

static void only_a_near_word_is_suggested(void **state)
{
    static const char *const words[] = {"plan", "run", "calibrate", "score"};
    (void)state;
    assert_string_equal(suggest_nearest("rnu", words, COUNT(words)), "run");
    assert_string_equal(suggest_nearest("calibarte", words, COUNT(words)), "calibrate");
    assert_string_equal(suggest_nearest("scores", words, COUNT(words)), "score");
    assert_null(suggest_nearest("prune", words, COUNT(words)));
    assert_null(suggest_nearest("", words, COUNT(words)));
    assert_null(suggest_nearest("x", words, 0));
    assert_null(suggest_nearest("x", (const char *const[]){"y"}, 1)); // no letter in common
}

static void the_nearest_word_wins_and_the_first_of_equals(void **state)
{
    static const char *const words[] = {"storm", "score", "stored", "store"};
    (void)state;
    assert_string_equal(suggest_nearest("scored", words, COUNT(words)), "score");
    assert_string_equal(suggest_nearest("stores", words, COUNT(words)), "stored");
    assert_string_equal(suggest_nearest("store", words, COUNT(words)), "store");
}

static void a_word_of_any_length_can_be_compared(void **state)
{
    char word[5000];
    (void)state;
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_true(edit_distance(word, "a") > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_found_by_its_letters),
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(only_a_near_word_is_suggested),
        cmocka_unit_test(the_nearest_word_wins_and_the_first_of_equals),
        cmocka_unit_test(a_word_of_any_length_can_be_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
