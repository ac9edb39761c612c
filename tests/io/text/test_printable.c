// printable.h: what is no part of a line becomes a space or U+FFFD, all else stays.
#include "io/text/printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_is_no_part_of_a_line_is_replaced(void **state)
{
    static const struct {
        const char *text;
        size_t size; // 0: to the end
        const char *copy;
    } cases[] = {
        {"", 0, ""},
        {"plain \"text\" `|`", 0, "plain \"text\" `|`"},
        {"a\tb\nc\rd\x1b[31m\x7f.", 0, "a b c d [31m ."},
        {"a\0b", 3, "a b"},
        {"caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80", 0, "caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80"},
        {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80", 0,
         "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"}, // joiner
        {"a\xc2\x85"
         "b\xc2\x9b"
         "c\xc2\xa0"
         "d",
         0,
         "a b c\xc2\xa0"
         "d"}, // C1; U+00A0 stays
        {"a\xe2\x80\xa8"
         "b\xe2\x80\xa9"
         "c",
         0, "a b c"}, // U+2028, U+2029
        {"a\xe2\x80\xae"
         "b\xe2\x81\xa6"
         "c",
         0, "a b c"}, // U+202E, U+2066
        {"a\xef\xbf\xbe"
         "b",
         0, "a b"}, // U+FFFE
        {"a\xff\xc3(", 0, "a\xef\xbf\xbd\xef\xbf\xbd("},
        {"a\xe2\x80", 0, "a\xef\xbf\xbd\xef\xbf\xbd"}, // cut off
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t size = cases[i].size > 0 ? cases[i].size : strlen(cases[i].text);
        char *copy = printable_copy(cases[i].text, size);
        assert_non_null(copy);
        assert_string_equal(copy, cases[i].copy);
        assert_int_equal(is_printable_text(cases[i].text, size),
                         strlen(copy) == size && memcmp(copy, cases[i].text, size) == 0);
        free(copy);
        if (strlen(cases[i].text) < size)
            continue;
        // In place: the same, with a space for what is no UTF-8.
        char place[64], *text = strdup(cases[i].copy), *found;
        strcpy(place, cases[i].text);
        make_printable(place);
        while ((found = strstr(text, "\xef\xbf\xbd")) != NULL) {
            *found = ' ';
            memmove(found + 1, found + 3, strlen(found + 3) + 1);
        }
        assert_string_equal(place, text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_no_part_of_a_line_is_replaced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
