// jobs/example.yaml shows every key with its default and what the table says about it. After a change of the
// table: COPPICE_UPDATE_GOLDEN=1 ctest --preset release -R job.example writes it anew.
#include "pipeline/job/job.h"
#include "pipeline/job/value.h"
#include "pipeline/text/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COMMENT_COLUMN = 40, LAST_COLUMN = 118 };

static const char header[] =
    "# A job file with every key. `coppice plan FILE` says what would run.\n"
    "# Each value is the default, or an example where the comment names another default or says "
    "\"required\".\n"
    "# A key marked * takes a list as well, which makes a sweep. A key that is commented out means nothing\n"
    "# together with the other values shown here.\n"
    "# The table of keys, pipeline/job/key_table.h, is the source of this file.\n";

// ---- the text ------------------------------------------------------------------------------------------

// A variant with the defaults, of which sparsity and pattern have none.
static struct variant default_variant(void)
{
    struct variant variant = {.name = ""};
    for (size_t i = 0; i < NUM_JOB_KEYS; i++)
        if (job_key_row((enum job_key)i)->home == HOME_VARIANT)
            member_reset(job_key_row((enum job_key)i), &variant);
    return variant;
}

static void value_text(const struct job_key_row *row, char *text, size_t size)
{
    const struct variant variant = default_variant();
    char low[32], high[32];
    size_t count;

    if (row->example != NULL) {
        snprintf(text, size, "%s", row->example);
        return;
    }
    switch (row->type) {
    case TYPE_WHOLE:
        snprintf(text, size, "%llu", (unsigned long long)member_standard(row, &variant).whole);
        break;
    case TYPE_NUMBER:
        number_format(member_standard(row, &variant).number, text, size);
        break;
    case TYPE_FLAG:
        snprintf(text, size, "%s", row->standard[0] != 0 ? "true" : "false");
        break;
    case TYPE_CHOICE:
        snprintf(text, size, "%s", row->choices(&count)[(size_t)row->standard[0]]);
        break;
    case TYPE_PAIR:
        snprintf(text, size, "[%s, %s]", number_format(row->standard[0], low, sizeof low),
                 number_format(row->standard[1], high, sizeof high));
        break;
    case TYPE_RATIOS:
    case TYPE_EXPECTED:
        snprintf(text, size, "{}");
        break;
    case TYPE_DIRECTIONS:
    case TYPE_SKIP:
    case TYPE_TASKS:
        snprintf(text, size, "[]");
        break;
    case TYPE_TEXT:
    case TYPE_BUDGET:
    case TYPE_PATTERN:
        fail_msg("%s: has neither default nor example", row->path);
    }
}

static void comment_text(const struct job_key_row *row, char *text, size_t size)
{
    // The value shown says what kind of value texts, flags and mappings take.
    const bool is_plain = row->type == TYPE_TEXT || row->type == TYPE_SKIP || row->type == TYPE_FLAG ||
                          type_is_mapping(row->type);
    char takes[256];
    snprintf(text, size, "%s%s%s%s%s%s%s", job_key_is_swept(row) ? "* " : "", row->help, is_plain ? "" : "; ",
             is_plain ? "" : job_key_describe(row, takes, sizeof takes),
             row->otherwise != NULL ? "; default: " : "", row->otherwise != NULL ? row->otherwise : "",
             row->flags & KEY_REQUIRED ? "; required" : "");
}

// Puts the comment after the `used` columns of the line, on as many lines as it needs.
static void print_comment(FILE *out, size_t used, const char *comment)
{
    bool first = true;
    while (*comment != '\0') {
        const size_t column = first && used >= COMMENT_COLUMN ? used + 1 : COMMENT_COLUMN;
        size_t length = strlen(comment);
        if (column + 2 + length > LAST_COLUMN) {
            length = LAST_COLUMN - column - 2;
            while (comment[length] != ' ')
                length--;
        }
        fprintf(out, "%*s# %.*s\n", (int)(first ? column - used : column), "", (int)length, comment);
        comment += length + (comment[length] == ' ');
        first = false;
    }
}

// A key that means nothing to the variant that the others make is in a comment.
static bool is_commented_out(const struct job_key_row *row)
{
    const struct variant variant = default_variant();
    return row->applies != NULL && !row->applies(&variant);
}

// The text of the whole file; the caller frees it.
static char *example_text(void)
{
    char *text = NULL, value[256], comment[1024];
    const char *section = "";
    size_t size, section_length = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    fprintf(out, "%s", header);
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const char *dot = strchr(row->path, '.'), *name = dot != NULL ? dot + 1 : row->path;
        const size_t length = dot != NULL ? (size_t)(dot - row->path) : 0;
        if (length > 0 && (length != section_length || strncmp(section, row->path, length) != 0))
            fprintf(out, "%.*s:\n", (int)length, row->path);
        section = row->path;
        section_length = length;
        value_text(row, value, sizeof value);
        comment_text(row, comment, sizeof comment);
        const int used = fprintf(out, "%s%s%s: %s", dot != NULL ? "  " : "",
                                 is_commented_out(row) ? "# " : "", name, value);
        print_comment(out, (size_t)used, comment);
    }
    fclose(out);
    return text;
}

// ctest says where the sources are; by hand the compiler's word for this file does.
static void example_path(char *path, size_t size)
{
    const char *source = getenv("COPPICE_SOURCE"), *here = strstr(__FILE__, "tests/pipeline");
    if (source != NULL)
        snprintf(path, size, "%s/jobs/example.yaml", source);
    else
        snprintf(path, size, "%.*sjobs/example.yaml", (int)(here - __FILE__), __FILE__);
}

// ---- tests ---------------------------------------------------------------------------------------------

static char *file_text(void)
{
    char path[4096];
    example_path(path, sizeof path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, file), 1, (1 << 16) - 2);
    fclose(file);
    return text;
}

static void the_example_says_what_the_table_says(void **state)
{
    char *expected = example_text(), path[4096];
    (void)state;
    if (getenv("COPPICE_UPDATE_GOLDEN") != NULL) {
        example_path(path, sizeof path);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_true(fputs(expected, file) >= 0 && fclose(file) == 0);
    }
    char *found = file_text();
    assert_string_equal(found, expected);
    free(expected);
    free(found);
}

static struct settings *parse(const char *text)
{
    struct settings *settings = NULL;
    struct error err = {0};
    if (job_parse(&settings, text, strlen(text), "example.yaml", &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return settings;
}

static void the_example_reads_as_the_defaults(void **state)
{
    char *text = file_text();
    struct settings *settings = parse(text);
    (void)state;
    assert_int_equal(settings->num_variants, 1);
    assert_string_equal(settings->variants[0].name, "alps-0.5");
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const struct variant *variant = &settings->variants[0];
        const void *home = row->home == HOME_VARIANT ? (const void *)variant : (const void *)settings;
        // The guard of no compensation is off.
        if (row->example == NULL && (row->applies == NULL || row->applies(variant)))
            if (!member_is_standard(row, home))
                fail_msg("%s has not its default", row->path);
        if (row->type != TYPE_TEXT)
            continue;
        const char *value = member_load(row, home).text; // NULL where the example is the default
        assert_string_equal(value != NULL ? value : row->otherwise, row->example);
    }
    assert_true(settings->variants[0].sparsity == 0.5);
    assert_string_equal(settings->tasks[0].data, "/data/ARC-Easy-Test.jsonl");
    assert_string_equal(settings->expected[0].variant, "dense");
    settings_free(settings);
    free(text);
}

// With the "# " before a key removed, the job is read, or it is refused because of that key: parameters
// without what they are of.
static void keys_in_comments_are_keys(void **state)
{
    char *text = file_text();
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        char line[256];
        struct settings *settings;
        struct error err = {0};
        if (!is_commented_out(row))
            continue;
        snprintf(line, sizeof line, "\n  # %s: ", strchr(row->path, '.') + 1);
        char *found = strstr(text, line);
        assert_non_null(found);
        memmove(found + 3, found + 5, strlen(found + 5) + 1);
        if (job_parse(&settings, text, strlen(text), "example.yaml", &err) != STATUS_OK)
            assert_true(strstr(err.message, ": is used with ") != NULL ||
                        strstr(err.message, ": stands instead of ") != NULL);
        settings_free(settings);
        free(text);
        text = file_text();
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_says_what_the_table_says),
        cmocka_unit_test(the_example_reads_as_the_defaults),
        cmocka_unit_test(keys_in_comments_are_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
