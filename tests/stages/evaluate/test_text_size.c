// What a plan says of the size of texts, against what the evaluation makes of them.
#include "io/corpus/sample.h"
#include "io/model/open.h"
#include "io/tasks/task.h"
#include "io/tasks/tokens.h"
#include "stages/evaluate/text_size.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

enum { LENGTH = 64 };

struct fixture {
    char *folder, *model_path;
    struct model *model;
    struct tokenizer *tokenizer;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    char path[4096];

    f->folder = temporary_folder_create();
    f->model_path = source_path("jobs/demo/kjv-llama-1m");
    assert_ok(model_open(&f->model, f->model_path, &err), err);
    snprintf(path, sizeof path, "%s/tokenizer.json", f->model_path);
    assert_ok(tokenizer_load(&f->tokenizer, path, &err), err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tokenizer_free(f->tokenizer);
    model_close(f->model);
    free(f->model_path);
    temporary_folder_remove(f->folder);
    free(f);
    return 0;
}

// The demonstration's text, `copies` times, as a text or as lines of JSON.
static char *demo_text(size_t copies, bool as_json, size_t *size)
{
    struct error err = {0};
    struct corpus *corpus;
    char *path = source_path("jobs/demo/test.jsonl"), *text, *end;

    assert_ok(corpus_load(&corpus, path, &err), err);
    free(path);
    text = end = malloc(copies * (corpus->offsets[corpus->count] * 2 + 20 * corpus->count) + 1);
    assert_non_null(text);
    for (size_t k = 0; k < copies; k++)
        for (size_t d = 0; d < corpus->count; d++) {
            end += sprintf(end, "%s", as_json ? "{\"text\": \"" : "");
            for (size_t i = corpus->offsets[d]; i < corpus->offsets[d + 1]; i++) {
                const char c = corpus->text[i];
                const bool escaped = as_json && (c == '"' || c == '\\' || c == '\n');
                if (escaped)
                    *end++ = '\\';
                *end++ = escaped && c == '\n' ? 'n' : c;
            }
            end += sprintf(end, "%s", as_json ? "\"}\n" : "\n");
        }
    *size = (size_t)(end - text);
    corpus_free(corpus);
    return text;
}

static double measured(const struct fixture *f, char *path)
{
    struct text_settings text = {.data = path, .is_plain = true};
    struct settings settings = {
        .model = f->model_path, .num_texts = 1, .texts = &text, .evaluate_length = LENGTH};
    struct error err = {0};

    assert_ok(texts_measure(&settings, f->model, &err), err);
    return text.tokens;
}

// Windows of the evaluation.
static double windows(const struct fixture *f, const char *path)
{
    struct error err = {0};
    struct corpus *corpus;
    int32_t *ids;
    size_t count;

    assert_ok(corpus_load(&corpus, path, &err), err);
    assert_ok(sample_windows(&ids, &count, f->tokenizer, corpus, LENGTH, &err), err);
    corpus_free(corpus);
    free(ids);
    return (double)count;
}

static void a_small_text_is_counted_exactly(void **state)
{
    const struct fixture *f = *state;
    size_t size;
    char *text = demo_text(1, true, &size);
    // Given some 40 kB of whole lines, Then the windows that are measured are the evaluation's
    size = 40000;
    while (text[size - 1] != '\n')
        size--;
    char *path = strdup(write_file(f->folder, "small.jsonl", text, size));
    assert_true(floor(measured(f, path) / LENGTH) == windows(f, path));
    free(path);
    free(text);
}

static void check_large(const struct fixture *f, const char *name, bool as_json, bool compressed)
{
    size_t size;
    char *text = demo_text(40, as_json, &size);
    char *path;

    assert_true(size > (size_t)3 << 20);
    if (compressed) {
        path = strdup(write_file(f->folder, name, "", 0));
        gzFile file = gzopen(path, "wb");
        assert_int_equal(gzwrite(file, text, (unsigned)size), (int)size);
        assert_int_equal(gzclose(file), Z_OK);
    } else {
        path = strdup(write_file(f->folder, name, text, size));
    }
    const double found = floor(measured(f, path) / LENGTH), expected = windows(f, path);
    if (!(fabs(found - expected) <= 0.03 * expected))
        fail_msg("%s: %g windows measured, %g there", name, found, expected);
    free(path);
    free(text);
}

static void a_large_text_is_measured_by_its_beginning(void **state)
{
    check_large(*state, "large.txt", false, false);
    check_large(*state, "large.jsonl", true, false);
    check_large(*state, "large.jsonl.gz", true, true);
}

static void a_text_of_less_than_a_window_is_refused(void **state)
{
    const struct fixture *f = *state;
    char *path = strdup(write_file(f->folder, "tiny.txt", "In the beginning", 16));
    struct text_settings text = {.data = path, .is_plain = true};
    struct settings settings = {
        .model = f->model_path, .num_texts = 1, .texts = &text, .evaluate_length = LENGTH};
    struct error err = {0};

    assert_int_equal(texts_measure(&settings, f->model, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "less than one window");
    assert_true(text.tokens == 0);
    free(path);
}

static void a_cut_inside_a_character_leaves_it_out(void **state)
{
    const struct fixture *f = *state;
    const size_t most = 300000; // the beginning is at least as long
    char *text = malloc(most * 3);
    struct error err = {0};
    struct corpus *corpus;
    double share;

    for (size_t i = 0; i < most; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    const char *path = write_file(f->folder, "euro.txt", text, 3 * most);
    assert_ok(corpus_load_beginning(&corpus, &share, path, &(struct document_field){0}, most, &err), err);
    assert_int_equal(corpus->offsets[1] % 3, 0);
    assert_true(corpus->offsets[1] + 3 > most);
    assert_true(fabs(share - (double)corpus->offsets[1] / (double)(3 * most)) < 1e-5);
    corpus_free(corpus);
    free(text);
}

static void a_task_is_counted_as_its_tokens(void **state)
{
    const struct fixture *f = *state;
    char *path = source_path("tests/golden/tasks/hellaswag_val.jsonl");
    struct task_settings task = {.name = (char *)"one", .data = path, .format = TASK_RECOGNISED};
    struct settings settings = {.model = f->model_path, .num_tasks = 1, .tasks = &task};
    struct task_encoder encoder = {.tokenizer = f->tokenizer,
                                   .model = f->model_path,
                                   .max_length = f->model->config.max_position_embeddings,
                                   .vocab_size = f->model->config.vocab_size};
    struct task_examples *examples;
    struct task_tokens tokens;
    struct error err = {0};
    double inputs = 0;

    assert_ok(texts_measure(&settings, f->model, &err), err);
    assert_ok(task_load(&examples, path, TASK_RECOGNISED, 0, NULL, &err), err);
    assert_ok(task_tokenise(&tokens, examples, &encoder, path, &err), err);
    inputs = (double)tokens.num_ids - (double)tokens.num_options;
    assert_true(tokens.num_examples <= 200);
    assert_true(task.tokens == inputs);
    task_tokens_free(&tokens);
    task_examples_free(examples);
    free(path);
}

// As MMLU, whose subjects differ: the first third of the questions is short, the rest long.
static void a_task_is_measured_all_over(void **state)
{
    const struct fixture *f = *state;
    static const char brief[] =
        "{\"query\": \"And God said\", \"choices\": [\"light\", \"water\"], \"gold\": 0}\n";
    static const char lengthy[] = "{\"query\": \"And the earth was without form, and void; and darkness was "
                                  "upon the face of the deep. And "
                                  "the Spirit of God moved upon the face of the waters. And God said\", "
                                  "\"choices\": [\"light\", \"water\", "
                                  "\"earth\"], \"gold\": 0}\n";
    enum { BRIEF = 300, LENGTHY = 633 };
    double exact[2] = {0, 0};
    char *text = malloc(BRIEF * sizeof brief + LENGTHY * sizeof lengthy), *end = text;

    assert_non_null(text);
    for (size_t i = 0; i < BRIEF; i++)
        end = stpcpy(end, brief);
    for (size_t i = 0; i < LENGTHY; i++)
        end = stpcpy(end, lengthy);
    const char *const files[] = {brief, lengthy, text};
    for (size_t i = 0; i < 3; i++) {
        struct task_settings task = {.name = (char *)"one", .format = TASK_MULTIPLE_CHOICE};
        struct settings settings = {.model = f->model_path, .num_tasks = 1, .tasks = &task};
        struct error err = {0};
        task.data = strdup(write_text(f->folder, "task.jsonl", files[i]));
        assert_ok(texts_measure(&settings, f->model, &err), err);
        const double expected = BRIEF * exact[0] + LENGTHY * exact[1];
        if (i < 2)
            exact[i] = task.tokens;
        else if (!(fabs(task.tokens - expected) <= 0.01 * expected))
            fail_msg("%g tokens measured, %g there", task.tokens, expected);
        free(task.data);
    }
    assert_true(exact[1] > 5 * exact[0]);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_text_is_counted_exactly),
        cmocka_unit_test(a_large_text_is_measured_by_its_beginning),
        cmocka_unit_test(a_text_of_less_than_a_window_is_refused),
        cmocka_unit_test(a_cut_inside_a_character_leaves_it_out),
        cmocka_unit_test(a_task_is_counted_as_its_tokens),
        cmocka_unit_test(a_task_is_measured_all_over),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
