// Tables for people: names of any length leave the columns after them where they are.
#include "pipeline/job/variant.h"
#include "pipeline/report/compare_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char long_name[] = "wanda-budget1.15-sequences2-output-least_squares-unguarded";

static json_t *comparison_of(const char *name)
{
    return json_pack(
        "{s:[{s:s, s:i}, {s:s, s:i}], s:[{s:s, s:[f, f], s:[n, {s:f, s:i, s:s}], s:{s:[{s:f}, {s:f}]}},"
        "{s:s, s:[f, f], s:[n, {s:f, s:i, s:s}], s:{s:[{s:f}, {s:f}]}}]}",
        "runs", "run", "a", "length", 64, "run", "b", "length", 64, "variants", "variant", "dense",
        "perplexity", 17.5, 17.5, "published", "perplexity", 17.0, "length", 64, "source", "here", "tasks",
        "arc", "acc", 0.5, "acc", 0.5, "variant", name, "perplexity", 24.25, 21.75, "published", "perplexity",
        23.0, "length", 64, "source", "here", "tasks", "arc", "acc", 0.25, "acc", 0.25);
}

// The lengths of the lines of the table that begins with `head`: its own and those of its two rows.
static void lengths_of_table(size_t lengths[3], const char *text, const char *head)
{
    const char *line = strstr(text, head);
    assert_non_null(line);
    for (int i = 0; i < 3; i++) {
        lengths[i] = strcspn(line, "\n");
        line += lengths[i] + 1;
    }
}

static void long_names_do_not_move_the_columns(void **state)
{
    static const struct {
        const char *name;
        size_t column;
    } cases[] = {{"wanda-0.5", 36}, {long_name, sizeof long_name - 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *comparison = comparison_of(cases[i].name);
        char *text = NULL;
        size_t size, lengths[3];
        FILE *out = open_memstream(&text, &size);

        assert_non_null(comparison);
        compare_print(comparison, out);
        fclose(out);
        lengths_of_table(lengths, text, "perplexity ");
        for (int k = 0; k < 3; k++)
            assert_int_equal(lengths[k], cases[i].column + 2 * 13);
        lengths_of_table(lengths, text, "arc, acc in per cent");
        for (int k = 0; k < 3; k++)
            assert_int_equal(lengths[k], cases[i].column + 2 * 13);
        lengths_of_table(lengths, text, "published [2]");
        assert_int_equal(lengths[0], cases[i].column + 10 + 3 * 13 + strlen("  source"));
        for (int k = 1; k < 3; k++)
            assert_int_equal(lengths[k], cases[i].column + 10 + 3 * 13 + strlen("  here"));
        free(text);
        json_decref(comparison);
    }
}

static void a_column_holds_the_longest_name_of_a_variant(void **state)
{
    struct variant variants[2] = {{.name = "wanda-0.5"}, {.name = "ria-0.5"}};
    const struct settings settings = {.num_variants = 2, .variants = variants};
    (void)state;
    assert_int_equal(variants_column(&settings), 36);
    strcpy(variants[1].name, long_name);
    assert_int_equal(variants_column(&settings), strlen(long_name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_names_do_not_move_the_columns),
        cmocka_unit_test(a_column_holds_the_longest_name_of_a_variant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
