// Odd keys of config.json against Hugging Face transformers: what is absent, null, empty or contradicts
// another key means what it means there, or is refused (tests/golden/make_config_golden.py,
// config_cases.json).
#include "io/model/open.h"
#include "tests/support/golden.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_folder.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// As in test_families.c; the golden numbers have six digits.
static const double tolerance = 1e-4;

enum { MOST_BYTES = 1 << 20 }; // of a file with tensors

static json_t *load_json(const char *relative)
{
    char *path = source_path(relative);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    free(path);
    return json;
}

static json_t *load_from(const char *family, const char *file)
{
    char relative[256];
    snprintf(relative, sizeof relative, "tests/golden/families/%s/%s", family, file);
    return load_json(relative);
}

// Copies a file, with the head's tensor under another name, of the same length.
static void copy_without_head(const char *from, const char *to)
{
    static const char head[] = "lm_head.weight", other[] = "no_head.weight";
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    char *bytes = calloc(1, MOST_BYTES);
    assert_non_null(bytes);
    const size_t size = fread(bytes, 1, MOST_BYTES, in), length = strlen(head);
    assert_true(size < MOST_BYTES);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, head, length) == 0)
            memcpy(bytes + i, other, length);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    fclose(in);
    free(bytes);
}

static void link_tensors(const char *family, const char *folder, bool headless)
{
    char relative[256], path[4096];

    snprintf(relative, sizeof relative, "tests/golden/families/%s", family);
    char *source = source_path(relative);
    DIR *entries = opendir(source);
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (strstr(entry->d_name, "safetensors") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", source, entry->d_name);
        if (headless)
            copy_without_head(path, path_in(folder, entry->d_name));
        else
            assert_int_equal(symlink(path, path_in(folder, entry->d_name)), 0);
    }
    closedir(entries);
    free(source);
}

// "text_config.KEY" is a key of the object inside: *key loses what comes before it.
static json_t *object_of(json_t *config, const char **key)
{
    static const char inside[] = "text_config.";
    if (strncmp(*key, inside, strlen(inside)) != 0)
        return config;
    *key += strlen(inside);
    return json_object_get(config, "text_config");
}

// The family's checkpoint with the case's keys in its config.json.
static char *changed_model(const char *family, json_t *changes, bool headless)
{
    char *folder = temporary_folder_create();
    json_t *value, *config = load_from(family, "config.json");
    const char *key;

    json_object_foreach(changes, key, value)
    {
        const char *name = key;
        json_t *object = object_of(config, &name);
        if (json_is_string(value) && strcmp(json_string_value(value), "absent") == 0)
            json_object_del(object, name);
        else
            assert_int_equal(json_object_set(object, name, value), 0);
    }
    assert_int_equal(json_dump_file(config, path_in(folder, "config.json"), 0), 0);
    json_decref(config);
    link_tensors(family, folder, headless);
    return folder;
}

static bool is_refused(const char *folder, struct error *err)
{
    struct model *model;

    if (model_open(&model, folder, err) == STATUS_OK) {
        model_close(model);
        return false;
    }
    return err->status == STATUS_INPUT &&
           (strstr(err->message, "config.json") != NULL || strstr(err->message, "lm_head") != NULL) &&
           strchr(err->message, '\n') == NULL;
}

// The largest error of a token's log-likelihood.
static double deviation(const char *family, const char *folder, json_t *expected)
{
    struct golden_result result;
    json_t *golden = load_from(family, "golden.json"), *ids = json_array();

    for (size_t i = 0; i <= json_array_size(expected); i++)
        json_array_append(ids, json_array_get(json_object_get(golden, "ids"), i));
    json_t *part =
        json_pack("{s:o, s:O, s:[], s:[]}", "ids", ids, "log_likelihood", expected, "positions", "logits");
    assert_int_equal(json_dump_file(part, path_in(folder, "golden.json"), 0), 0);
    golden_compare(&result, folder, path_in(folder, "golden.json"));
    json_decref(part);
    json_decref(golden);
    return result.log_likelihood_error;
}

// Checks one case; returns whether it is as in the reference.
static bool check_case(json_t *one)
{
    const char *family = json_string_value(json_object_get(one, "family"));
    json_t *changes = json_object_get(one, "set"), *outcome = json_object_get(one, "outcome");
    const bool headless = json_is_true(json_object_get(one, "headless"));
    char *folder = changed_model(family, changes, headless), *text = json_dumps(changes, JSON_COMPACT);
    struct error err = {0};
    const bool refused = is_refused(folder, &err);
    // Refused here alone: nothing is silently different.
    const bool expected = json_is_string(outcome) || json_is_true(json_object_get(one, "stricter"));
    double error = 0.0;

    if (!refused && err.status == STATUS_OK && json_is_array(outcome))
        error = deviation(family, folder, outcome);
    const bool fine = refused == expected && (refused || err.status == STATUS_OK) && error < tolerance;
    if (!fine)
        print_error("%s%s with %s: %s, log-likelihood error %.2g; in the reference it is %s\n", family,
                    headless ? " without a head" : "", text, err.status == STATUS_OK ? "opened" : err.message,
                    error, json_is_string(outcome) ? "refused" : "computed");
    free(text);
    temporary_folder_remove(folder);
    return fine;
}

static void odd_configs_mean_what_they_mean_in_the_reference(void **state)
{
    json_t *one, *cases = load_json(*state);
    size_t i, wrong = 0;

    json_array_foreach(cases, i, one) wrong += check_case(one) ? 0 : 1;
    print_message("%zu cases\n", json_array_size(cases));
    json_decref(cases);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {.name = "odd keys mean what they mean in the reference",
         .test_func = odd_configs_mean_what_they_mean_in_the_reference,
         .initial_state = (void *)"tests/golden/config_cases.json"},
        {.name = "odd keys of experts and of latent attention, too",
         .test_func = odd_configs_mean_what_they_mean_in_the_reference,
         .initial_state = (void *)"tests/golden/config_cases_experts.json"},
        {.name = "odd keys inside and outside of text_config, too",
         .test_func = odd_configs_mean_what_they_mean_in_the_reference,
         .initial_state = (void *)"tests/golden/config_cases_wrappers.json"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
