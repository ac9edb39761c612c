// parquet.h: what is Parquet and what is prose, and advice that a shell takes as it is meant.
#include "io/text/parquet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void prose_that_begins_with_its_four_letters_is_none(void **state)
{
    static const struct {
        const char *head;
        size_t size;
        bool is_parquet;
    } cases[] = {
        {"PAR1\x15\x04\x15\xc0", 8, true},    // PageHeader.type, or FileMetaData.version
        {"PAR1\x2c\0\0\0........", 16, true}, // the length of an encrypted header
        {"PAR1\x15", 5, true},
        {"PAR1", 4, false},
        {"PAR1 is how a Parquet file begins", 33, false},
        {"PAR1\tone\r\n\x0c", 11, false},
        {"PAR1....PAR1", 12, false},
        {"PAR2\x15\x04", 6, false},
        {"PAR1: a text \x15", 14, false}, // too far behind
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(parquet_begins(cases[i].head, cases[i].size), cases[i].is_parquet);
}

// The advice with another program in place of python3 and its script.
static void assert_shell_reads(const char *path, bool is_folder, const char *from, const char *to)
{
    char advice[PARQUET_ADVICE_SIZE], command[PARQUET_ADVICE_SIZE + 64], line[PARQUET_ADVICE_SIZE];
    const char *words = strstr(parquet_advice(advice, path, is_folder), "\" ");

    assert_non_null(words);
    snprintf(command, sizeof command, "printf '%%s\\n' %s", words + 2);
    FILE *shell = popen(command, "r");
    assert_non_null(shell);
    assert_non_null(fgets(line, sizeof line, shell));
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, from);
    assert_non_null(fgets(line, sizeof line, shell));
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, to);
    assert_null(fgets(line, sizeof line, shell));
    assert_int_equal(pclose(shell), 0);
}

static void a_shell_takes_the_advice_as_it_is_meant(void **state)
{
    static char advice[PARQUET_ADVICE_SIZE], longest[2000];
    (void)state;

    assert_string_equal(parquet_advice(advice, "/data/a.parquet", false),
                        "convert it to JSON lines: python3 -c \"import sys; from datasets import Dataset; "
                        "Dataset.from_parquet(sys.argv[1]).to_json(sys.argv[2])\" '/data/a.parquet' "
                        "'/data/a.parquet.jsonl'");
    assert_shell_reads("/it's \"$HOME\" `x`/a\\b", false, "/it's \"$HOME\" `x`/a\\b",
                       "/it's \"$HOME\" `x`/a\\b.jsonl");
    assert_shell_reads("/", true, "//*.parquet", "/.jsonl"); // no pattern of the shell's
    memset(longest, '\'', sizeof longest - 1);
    assert_int_equal(strlen(parquet_advice(advice, longest, false)), PARQUET_ADVICE_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prose_that_begins_with_its_four_letters_is_none),
                                       cmocka_unit_test(a_shell_takes_the_advice_as_it_is_meant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
