// The list of families in FAMILIES.md is the table of families, each with the checkpoints that it is compared
// on: COPPICE_UPDATE_GOLDEN=1 ctest --preset release -R io.model.document writes it anew.
#include "io/model/families/table.h"
#include "io/model/families/wrappers.h"
#include "tests/support/source_path.h"

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

static const char heading[] = "## Families\n";
enum { TEXT_SIZE = 1 << 16, MOST_CHECKPOINTS = 512 };

struct checkpoint_entry {
    char name[256], model_type[64], version[16];
    char inner[64]; // of the text model inside
};
static struct checkpoint_entry entries[MOST_CHECKPOINTS];
static size_t num_entries;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_entry *)a)->name, ((const struct checkpoint_entry *)b)->name);
}

static void copy_member(char *out, size_t size, const json_t *config, const char *key)
{
    const char *text = json_string_value(json_object_get(config, key));
    snprintf(out, size, "%s", text != NULL ? text : "?");
}

static void read_checkpoints(void)
{
    char *root = source_path("tests/golden/families"), path[4096];
    DIR *folder = opendir(root);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        snprintf(path, sizeof path, "%s/%s/config.json", root, entry->d_name);
        json_t *config = json_load_file(path, 0, NULL);
        if (config == NULL)
            continue;
        assert_true(num_entries < MOST_CHECKPOINTS);
        struct checkpoint_entry *next = &entries[num_entries++];
        snprintf(next->name, sizeof next->name, "%s", entry->d_name);
        copy_member(next->model_type, sizeof next->model_type, config, "model_type");
        copy_member(next->version, sizeof next->version, config, "transformers_version");
        copy_member(next->inner, sizeof next->inner, json_object_get(config, "text_config"), "model_type");
        json_decref(config);
    }
    closedir(folder);
    free(root);
    qsort(entries, num_entries, sizeof *entries, by_name);
}

// Writes behind the `used` characters of text[TEXT_SIZE]; returns how many there are then.
static size_t append(char *text, size_t used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text + used, TEXT_SIZE - used, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && used + (size_t)length < TEXT_SIZE);
    return used + (size_t)length;
}

static size_t append_row(char *text, size_t used, const char *model_type, const char *refused)
{
    const char *version = NULL;
    size_t found = 0;

    used = append(text, used, "| %s | ", model_type);
    for (size_t i = 0; i < num_entries; i++) {
        if (strcmp(entries[i].model_type, model_type) != 0 && strcmp(entries[i].inner, model_type) != 0)
            continue;
        used = append(text, used, "%s%s", found++ == 0 ? "" : ", ", entries[i].name);
        version = version == NULL || strcmp(entries[i].version, version) < 0 ? entries[i].version : version;
    }
    return append(text, used, "%s | %s | %s |\n", found == 0 ? "none" : "",
                  version != NULL ? version : "none", refused != NULL ? refused : "");
}

static char *list_of_families(void)
{
    char *text = calloc(1, TEXT_SIZE);
    size_t count, used = 0;
    const struct wrapper *wrappers = wrapper_rows(&count);

    assert_non_null(text);
    used = append(text, used, "| model_type | compared on | transformers | refused |\n|---|---|---|---|\n");
    for (size_t i = 0; family_at(i) != NULL; i++)
        used = append_row(text, used, family_at(i)->model_type, family_at(i)->refused);
    used = append(text, used,
                  "\nAround the text models of these, whose other parts are carried over:\n\n"
                  "| model_type | compared on | transformers | refused |\n|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++)
        used = append_row(text, used, wrappers[i].model_type, NULL);
    return text;
}

// The whole file; the caller frees.
static char *read_document(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, TEXT_SIZE);
    assert_non_null(file);
    assert_non_null(text);
    assert_in_range(fread(text, 1, TEXT_SIZE - 1, file), 1, TEXT_SIZE - 2);
    fclose(file);
    return text;
}

static void the_document_lists_what_the_table_has(void **state)
{
    char *path = source_path("io/model/FAMILIES.md");
    (void)state;
    read_checkpoints();
    char *expected = list_of_families(), *document = read_document(path);
    char *section = strstr(document, heading);
    assert_non_null(section);
    char *list = strstr(section, "| model_type");
    if (getenv("COPPICE_UPDATE_GOLDEN") != NULL) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        if (list != NULL)
            *list = '\0';
        assert_true(fputs(document, file) >= 0 && fputs(expected, file) >= 0 && fclose(file) == 0);
        free(document);
        document = read_document(path);
        list = strstr(strstr(document, heading), "| model_type");
    }
    assert_non_null(list);
    if (strcmp(list, expected) != 0)
        fail_msg("COPPICE_UPDATE_GOLDEN=1 ctest --preset release -R io.model.document writes the list anew");
    free(path);
    free(expected);
    free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_lists_what_the_table_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
