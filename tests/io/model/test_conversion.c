// A file that is named as a model: what it is, by its bytes, and what to do.
#include "io/model/open.h"
#include "io/tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/coppice-test-conversion-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const char *write_file(const char *name, const char *bytes, size_t size)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    return path;
}

static void a_file_is_answered_by_what_it_is(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t size;
        const char *parts[3];
    } cases[] = {
        {"llama.gguf",
         "GGUF\3\0\0\0",
         8,
         {"a GGUF file", "gguf_file='llama.gguf'", ".save_pretrained('FOLDER')"}},
        {"a.bin", "GGUF\3\0\0\0", 8, {"a GGUF file", "gguf_file='a.bin'", "pip install transformers gguf"}},
        {"pytorch_model.bin",
         "PK\3\4....",
         8,
         {"weights of PyTorch", "C.from_pretrained('/tmp/", "config.json"}},
        {"old.bin", "\200\2ctorch", 8, {"weights of PyTorch", "", ""}},
        {"model.safetensors",
         "\20\0\0\0\0\0\0\0{\"a\":1}",
         15,
         {"a file; a model is a folder", "?", "/tmp/"}},
        {"config.json", "{\"model_type\"", 13, {"a file; a model is a folder", "?", "/tmp/"}},
        {"notes.txt", "what", 4, {"a file; a model is a folder with config.json", "", ""}},
        {"empty", "", 0, {"a file; a model is a folder with config.json", "", ""}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_file(cases[i].name, cases[i].bytes, cases[i].size);
        struct model *model;
        struct error err = {0};
        assert_int_equal(model_open(&model, path, &err), STATUS_INPUT);
        assert_null(model);
        assert_memory_equal(err.message, path, strlen(path));
        assert_null(strchr(err.message, '\n'));
        for (size_t p = 0; p < 3; p++)
            if (strstr(err.message, cases[i].parts[p]) == NULL)
                fail_msg("no '%s' in: %s", cases[i].parts[p], err.message);
        unlink(path);
    }
}

static void a_tokenizer_of_another_form_is_answered(void **state)
{
    static const char *const names[] = {"tokenizer.model", "spiece.model", "vocab.json"};
    struct tokenizer *tokenizer;
    char path[200];
    struct error err = {0};
    (void)state;
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_int_equal(tokenizer_load(&tokenizer, path, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "tokenizer.json: is not there, nor is a tokenizer of another form"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char expected[400];
        const char *other = write_file(names[i], "x", 1);
        snprintf(expected, sizeof expected, "%s: is not there, and %s is: ", path, names[i]);
        assert_int_equal(tokenizer_load(&tokenizer, path, &err), STATUS_INPUT);
        assert_memory_equal(err.message, expected, strlen(expected));
        snprintf(expected, sizeof expected, "T.from_pretrained('%s').save_pretrained('%s')", folder, folder);
        assert_non_null(strstr(err.message, expected));
        unlink(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_answered_by_what_it_is),
        cmocka_unit_test(a_tokenizer_of_another_form_is_answered),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
