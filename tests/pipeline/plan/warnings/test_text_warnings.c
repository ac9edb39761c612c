// text_warnings.h, sparse_warning.h: what is told of lengths, texts and models before a job runs.
#include "io/model/open.h"
#include "pipeline/plan/warnings/sparse_warning.h"
#include "pipeline/plan/warnings/text_warnings.h"
#include "tests/support/planned_job.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// The line that has `part`, or all of them in the failure.
static const char *find(const struct warnings *warnings, const char *part)
{
    for (size_t i = 0; i < warnings->count; i++)
        if (strstr(warnings->lines[i], part) != NULL)
            return warnings->lines[i];
    return NULL;
}

static void lengths_beyond_the_positions_are_told(void **state)
{
    static const struct {
        enum rope_type type;
        double factor, original;
        enum alibi_kind alibi;
        size_t positions; // 0: no bound
    } cases[] = {{ROPE_DEFAULT, 1, 1000, ALIBI_NONE, 1000}, {ROPE_LINEAR, 4, 1000, ALIBI_NONE, 4000},
                 {ROPE_DYNAMIC, 2, 1000, ALIBI_NONE, 2000}, {ROPE_YARN, 4, 500, ALIBI_NONE, 2000},
                 {ROPE_YARN, 4, 100, ALIBI_NONE, 1000},     {ROPE_LLAMA3, 8, 125, ALIBI_NONE, 1000},
                 {ROPE_LONGROPE, 8, 125, ALIBI_NONE, 1000}, {ROPE_DEFAULT, 1, 1000, ALIBI_PLAIN, 0}};
    char words[160];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t positions = cases[i].positions, longest = positions > 0 ? positions : 1 << 20;
        const struct model_config config = {.max_position_embeddings = 1000,
                                            .alibi = cases[i].alibi,
                                            .rope = {.type = cases[i].type,
                                                     .factor = cases[i].factor,
                                                     .max_position_embeddings = 1000,
                                                     .original_max_position_embeddings = cases[i].original}};
        struct settings settings = {.length = longest, .evaluate_length = longest, .num_texts = 1};
        struct warnings warnings = {0};

        assert_int_equal(model_config_positions(&config), positions);
        length_warnings(&warnings, &config, &settings);
        assert_int_equal(warnings.count, 0);
        settings.length++;
        settings.evaluate_length += 2;
        length_warnings(&warnings, &config, &settings);
        assert_int_equal(warnings.count, positions > 0 ? 2 : 0);
        if (positions > 0) {
            snprintf(words, sizeof words,
                     "calibration.length: %zu tokens are more than the %zu that the model ", positions + 1,
                     positions);
            assert_non_null(find(&warnings, words));
            snprintf(words, sizeof words, "evaluate.length: %zu tokens", positions + 2);
            assert_non_null(find(&warnings, words));
        }
        warnings_free(&warnings);
    }
}

static void texts_that_are_not_what_their_names_say_are_told_once(void **state)
{
    struct text_settings texts[1] = {{0}};
    struct settings settings = {.sequences = 1, .length = 2, .num_texts = 1, .texts = texts};
    struct warnings warnings = {0};
    char words[PATH_SIZE];

    write_text(*state, "a.jsonl", "{\"text\": \"a\"}\n");
    write_text(*state, "b.txt", "{\"text\": \"b\"}\n");
    write_text(*state, "c.txt", "{\"text\": \"c\"}\n");
    settings.corpus = *state;
    texts[0].data = *state;
    text_warnings(&warnings, &settings);
    assert_int_equal(warnings.count, 1);
    snprintf(words, sizeof words, "%s/b.txt: holds JSON objects, and is read as JSON", (char *)*state);
    assert_string_equal(warnings.lines[0], words);
    warnings_free(&warnings);

    settings.corpus = strdup(write_text(*state, "a.jsonl", "{\"text\": \"a\"}\n"));
    texts[0].data = strdup(write_text(*state, "d.txt", "one\r\ntwo\r\n"));
    text_warnings(&warnings, &settings);
    assert_int_equal(warnings.count, 1);
    assert_non_null(
        find(&warnings, "/d.txt: has carriage returns at the ends of lines, which are read as newlines"));
    warnings_free(&warnings);
    free(settings.corpus);
    free(texts[0].data);

    settings.corpus = (char[]){"/nonexistent"};
    settings.num_texts = 0;
    text_warnings(&warnings, &settings);
    assert_int_equal(warnings.count, 1);
    assert_string_equal(warnings.lines[0], "calibration.corpus: /nonexistent is not there; the sequences "
                                           "that were drawn from it before are used");
    warnings_free(&warnings);
    settings.corpus = (char[]){"/nonexistent/tokens.h5"};
    text_warnings(&warnings, &settings);
    assert_int_equal(warnings.count, 1);
    assert_non_null(find(&warnings, "/nonexistent/tokens.h5 is not there; "));
    warnings_free(&warnings);
}

// 300 MB on disk that take no room.
static void the_first_of_many_files_are_told(void **state)
{
    struct settings settings = {.sequences = 1, .length = 2, .corpus = *state};
    struct warnings warnings = {0};
    char path[PATH_SIZE];

    for (char c = 'a'; c <= 'c'; c++) {
        snprintf(path, sizeof path, "%s/%c.txt", (char *)*state, c);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        for (int i = 0; i < 1024; i++)
            fputs("a text ", file);
        assert_int_equal(fseek(file, 150 << 20, SEEK_SET), 0);
        fputc('\n', file);
        fclose(file);
    }
    text_warnings(&warnings, &settings);
    assert_int_equal(warnings.count, 1);
    assert_non_null(
        find(&warnings, "calibration.corpus: sequences are drawn from the first 2 of its 3 files, "));
    warnings_free(&warnings);
    settings.sequences = 128;
    settings.length = 1 << 16; // 64 bytes for each token: 512 MiB
    text_warnings(&warnings, &settings);
    assert_int_equal(warnings.count, 0);
}

static void a_model_that_is_sparse_is_told(void **state)
{
    static const double zeros[] = {0, 0.02, 0.2, 0.6};
    char folder[PATH_SIZE];

    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        struct random_checkpoint shape = random_checkpoint_defaults();
        struct warnings warnings = {0};
        struct settings settings = {0};
        struct error err = {0};
        struct model *model;
        shape.zeros = zeros[i];
        snprintf(folder, sizeof folder, "%s/model-%zu", (char *)*state, i);
        random_checkpoint_write(&shape, folder);
        assert_ok(model_open(&model, folder, &err), err);
        sparse_warning(&warnings, model, &settings);
        assert_int_equal(warnings.count, i < 2 ? 0 : 1);
        if (i >= 2) { // 6000 weights are looked at: the share is right to 2 %
            const char *line = find(&warnings, "the model is sparse already: about ");
            assert_non_null(line);
            const int share = atoi(line + strlen("the model is sparse already: about "));
            assert_in_range(share, (int)(100 * zeros[i]) - 2, (int)(100 * zeros[i]) + 2);
        }
        warnings_free(&warnings);
        model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_beyond_the_positions_are_told),
        cmocka_unit_test_setup_teardown(texts_that_are_not_what_their_names_say_are_told_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_first_of_many_files_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_that_is_sparse_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
