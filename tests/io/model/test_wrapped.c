// Text models whose logits are known (tests/golden), under the names that they have inside a larger model:
// every wrapper whose language model is one of them computes the same with each of its names.
#include "io/model/families/table.h"
#include "io/model/families/wrappers.h"
#include "io/model/weights/safetensors.h"
#include "io/model/wrapper.h"
#include "io/text/ending.h"
#include "tests/support/golden.h"
#include "tests/support/made_tensors.h"
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

#include <cmocka.h>

static const double tolerance = 1e-4; // as in test_families.c

// Checkpoints by their model_type.
static const struct text {
    const char *model_type, *folder;
} texts[] = {{"llama", "families/llama3"},
             {"mistral", "families/mistral"},
             {"ministral3", "families/ministral3"},
             {"qwen2", "families/qwen2"},
             {"qwen3", "families/qwen3"},
             {"phi3", "families/phi3"},
             {"gemma3_text", "families/gemma3"},
             {"gemma4_text", "families/gemma4-published"},
             {"llama4_text", "families/llama4"},
             {"qwen3_5_text", "families/qwen3-5"},
             {"qwen3_5_moe_text", "families/qwen3-5-moe"}};
enum { NUM_TEXTS = sizeof texts / sizeof *texts };

static const struct text *find_text(const char *model_type)
{
    for (size_t i = 0; i < NUM_TEXTS; i++)
        if (strcmp(texts[i].model_type, model_type) == 0)
            return &texts[i];
    return NULL;
}

// One way to put a text model into a larger one.
struct wrapping {
    const struct wrapper *wrapper;
    const struct text *text;
    const char *prefix, *head;
};

static char *file_of(const struct text *text, const char *file)
{
    char relative[256];
    snprintf(relative, sizeof relative, "tests/golden/%s/%s", text->folder, file);
    return source_path(relative);
}

static void write_config(const struct wrapping *wrapping, const char *folder)
{
    char *path = file_of(wrapping->text, "config.json");
    json_t *inside = json_load_file(path, 0, NULL), *root = json_object();
    const json_t *tie = json_object_get(inside, "tie_word_embeddings");

    assert_non_null(inside);
    json_object_set_new(root, "model_type", json_string(wrapping->wrapper->model_type));
    json_object_set_new(root, "tie_word_embeddings", json_boolean(json_is_true(tie)));
    json_object_set(root, "hidden_size", json_object_get(inside, "hidden_size"));
    if (json_is_null(json_object_get(inside, "pad_token_id")))
        json_object_del(inside, "pad_token_id");
    json_object_set_new(root, "text_config", inside);
    assert_int_equal(json_dump_file(root, path_in(folder, "config.json"), 0), 0);
    json_decref(root);
    free(path);
}

// The file's tensors under their names inside.
static void add_tensors(struct made_tensors *made, const struct wrapping *wrapping,
                        const struct safetensors_file *file)
{
    const struct family *family = family_find(wrapping->text->model_type);
    const size_t head = strlen(family->lm_head), prefix = strlen(family->prefix);
    char name[256];

    for (size_t i = 0; i < file->count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        const bool is_head = strncmp(tensor->name, family->lm_head, head) == 0;
        assert_true(is_head || strncmp(tensor->name, family->prefix, prefix) == 0);
        snprintf(name, sizeof name, "%s%s", is_head ? wrapping->head : wrapping->prefix,
                 tensor->name + (is_head ? head : prefix));
        made_tensors_add(made, name, tensor->dtype_name, tensor->rank, tensor->shape, tensor->data,
                         (size_t)(tensor->end - tensor->begin));
    }
}

static void write_tensors(const struct wrapping *wrapping, const char *folder)
{
    struct made_tensors *made = made_tensors_create();
    char *source = file_of(wrapping->text, "."), path[4096];
    DIR *entries = opendir(source);

    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        struct safetensors_file *file;
        struct error err = {0};
        if (!ends_with(entry->d_name, ".safetensors"))
            continue;
        snprintf(path, sizeof path, "%s/%s", source, entry->d_name);
        assert_ok(safetensors_open(&file, path, &err), err);
        add_tensors(made, wrapping, file);
        safetensors_close(file);
    }
    closedir(entries);
    made_tensors_write(made, path_in(folder, "model.safetensors"));
    free(source);
}

static void compare(const struct wrapping *wrapping)
{
    char *folder = temporary_folder_create(), *golden = file_of(wrapping->text, "golden.json");
    struct golden_result result;

    write_config(wrapping, folder);
    write_tensors(wrapping, folder);
    golden_compare(&result, folder, golden);
    if (!(result.logit_error < tolerance && result.log_likelihood_error < tolerance))
        fail_msg("%s inside %s as %s and %s: relative logit error %.2g, log-likelihood error %.2g",
                 wrapping->text->model_type, wrapping->wrapper->model_type, wrapping->prefix, wrapping->head,
                 result.logit_error, result.log_likelihood_error);
    temporary_folder_remove(folder);
    free(golden);
}

// With this text model: all names, or the first ones alone.
static size_t compare_names(const struct wrapper *wrapper, const struct text *text, bool all)
{
    size_t p = 0;

    for (; wrapper->prefixes[p] != NULL && (all || p == 0); p++) {
        const char *head = wrapper->heads[1] != NULL ? wrapper->heads[p % 2] : wrapper->heads[0];
        compare(&(struct wrapping){wrapper, text, wrapper->prefixes[p], head});
    }
    return p;
}

static size_t compare_all(const struct wrapper *wrapper)
{
    size_t count = 0;

    for (size_t t = 0; wrapper->texts[t] != NULL; t++) {
        const struct text *text = find_text(wrapper->texts[t]);
        if (text != NULL)
            count += compare_names(wrapper, text, count == 0);
    }
    return count;
}

static void a_text_model_inside_another_is_the_same(void **state)
{
    // Of these no text model is there by itself, or it has a factor after the head that the wrapper leaves
    // out.
    static const char *const without[] = {"aya_vision", "cohere2_vision", "glm4v",
                                          "glm4v_moe",  "glm46v",         "qwen2_vl",
                                          "qwen2_5_vl", "qwen3_vl_moe",   "qwen3_vl"};
    size_t count, compared = 0, left_out = 0;
    const struct wrapper *rows = wrapper_rows(&count);
    (void)state;

    for (size_t i = 0; i < count; i++) {
        bool expected = true;
        for (size_t k = 0; k < sizeof without / sizeof *without; k++)
            expected &= strcmp(rows[i].model_type, without[k]) != 0;
        const size_t ways = compare_all(&rows[i]);
        if ((ways > 0) != expected)
            fail_msg("%s: %zu comparisons", rows[i].model_type, ways);
        compared += ways;
        left_out += ways == 0;
    }
    print_message("%zu comparisons\n", compared);
    assert_int_equal(left_out, sizeof without / sizeof *without);
    assert_true(compared > 50);
}

// `quantization_config` stands in text_config, and the root has none.
static void codes_may_be_announced_inside(void **state)
{
    static const struct text fp8 = {"llama", "quantised/fp8-block"};
    (void)state;
    compare(&(struct wrapping){wrapper_find("llava"), &fp8, "model.language_model.", "lm_head"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_model_inside_another_is_the_same),
        cmocka_unit_test(codes_may_be_announced_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
