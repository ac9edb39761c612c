// jobs/example.yaml and docs/keys.md show every key with its default and what the table says about it. After
// a change of the table: COPPICE_UPDATE_GOLDEN=1 ctest --preset release -R job.example writes them anew.
#include "pipeline/job/example.h"
#include "pipeline/job/reference.h"
#include "pipeline/job/value.h"
#include "pipeline/text/number.h"
#include "tests/support/parsed_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// The two files that are written from the table.
static const char *const names[] = {"jobs/example.yaml", "docs/keys.md"};

// The text of the whole file; the caller frees it.
static char *text_of(size_t index)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    if (index == 0)
        assert_int_equal(job_example_print(out, NULL), NUM_JOB_KEYS);
    else
        key_reference_print(out);
    fclose(out);
    return text;
}

// ctest says where the sources are; by hand the compiler's word for this file does.
static void example_path(char *path, size_t size, size_t index)
{
    const char *source = getenv("COPPICE_SOURCE"), *here = strstr(__FILE__, "tests/pipeline");
    if (source != NULL)
        snprintf(path, size, "%s/%s", source, names[index]);
    else
        snprintf(path, size, "%.*s%s", (int)(here - __FILE__), __FILE__, names[index]);
}

// ---- tests ---------------------------------------------------------------------------------------------

static char *file_text(size_t index)
{
    char path[4096];
    example_path(path, sizeof path, index);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, file), 1, (1 << 16) - 2);
    fclose(file);
    return text;
}

static void the_files_say_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *expected = text_of(i), path[4096];
        if (getenv("COPPICE_UPDATE_GOLDEN") != NULL) {
            example_path(path, sizeof path, i);
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            assert_true(fputs(expected, file) >= 0 && fclose(file) == 0);
        }
        char *found = file_text(i);
        assert_string_equal(found, expected);
        free(expected);
        free(found);
    }
}

static void check_topic(const char *topic, size_t keys, const char *line)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(job_example_print(out, topic), keys);
    fclose(out);
    if (strstr(text, line) == NULL)
        fail_msg("%s: no '%s' in\n%s", topic, line, text);
    free(text);
}

static void a_topic_is_a_key_its_last_word_or_a_section(void **state)
{
    (void)state;
    check_topic("prune.sparsity", 1, "prune:\n  sparsity: 0.5 ");
    check_topic("sparsity", 1, "prune:\n  sparsity: 0.5 ");
    check_topic("length", 3, "evaluate:\n  length: 2048");
    check_topic("model", 1, "model: /models");
    check_topic("compensate", 6, "compensate:\n  energy: []");
    check_topic("sparsities", 0, "");
    check_topic("prune.method", 1, "\n    # sparsegpt  by the error that each removal makes");
    check_topic("method", 1, "\n    # auto       tries the first four");
    check_topic("compensate.output", 1, "\n    # least_squares  every weight that is kept");
}

static void the_example_reads_as_the_defaults(void **state)
{
    char *text = file_text(0);
    struct settings *settings = parsed_job(text);
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
    char *text = file_text(0);
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        char line[256];
        struct settings *settings;
        struct error err = {0};
        if (!job_example_leaves_out(row))
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
        text = file_text(0);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_say_what_the_table_says),
        cmocka_unit_test(a_topic_is_a_key_its_last_word_or_a_section),
        cmocka_unit_test(the_example_reads_as_the_defaults),
        cmocka_unit_test(keys_in_comments_are_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
