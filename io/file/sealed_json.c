#include "io/file/sealed_json.h"

#include "io/file/commit.h"
#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char *const seal_name = "xxh3", *const made_from_name = "made_from", *const file_name = "file";

// 16 hexadecimal digits.
static void hash_to_text(char text[17], uint64_t hash)
{
    snprintf(text, 17, "%016llx", (unsigned long long)hash);
}

// 16 hexadecimal digits of everything but the seal. False when memory ran out.
static bool compute_seal(char text[17], json_t *object)
{
    const bool is_sealed = json_object_get(object, seal_name) != NULL;
    json_t *rest = json_copy(object);
    char *dump = NULL;

    json_object_del(rest, seal_name);
    // json_copy leaves out what it has no memory for.
    if (json_object_size(rest) + is_sealed == json_object_size(object))
        dump = json_dumps(rest, JSON_COMPACT);
    json_decref(rest);
    if (dump == NULL)
        return false;
    hash_to_text(text, XXH3_64bits(dump, strlen(dump)));
    free(dump);
    return true;
}

// Numbers as they were written before they were the shortest that read back the same.
static bool is_as_before(const json_t *object, const char *bytes, size_t size)
{
    char *text = json_dumps(object, JSON_INDENT(2));
    const bool same = text != NULL && strlen(text) + 1 == size && memcmp(text, bytes, size - 1) == 0 &&
                      bytes[size - 1] == '\n';
    free(text);
    return same;
}

// The bytes of the file of a sealed object. Caller frees; NULL when memory ran out.
static char *file_text(const json_t *object)
{
    char *text = json_text(object, JSON_INDENT(2));
    if (text != NULL) {
        const size_t length = strlen(text);
        char *longer = realloc(text, length + 2);
        if (longer == NULL) {
            free(text);
            return NULL;
        }
        memcpy(longer + length, "\n", 2);
        text = longer;
    }
    return text;
}

enum status sealed_json_write(const char *path, json_t *object, struct error *err)
{
    char seal[17], folder[PATH_SIZE];
    char *text = NULL;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(json_memory_check(path, err));
    json_object_del(object, seal_name); // so that it comes last
    if (!compute_seal(seal, object) || json_object_set_new(object, seal_name, json_string(seal)) != 0 ||
        (text = file_text(object)) == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    path_format(folder, sizeof folder, "%s", path);
    if (status == STATUS_OK)
        status = make_directories(dirname(folder), err);
    if (status == STATUS_OK)
        status = commit_bytes(path, text, strlen(text), err);
    free(text);
    return status;
}

enum status sealed_json_write_from(const char *path, json_t *object, struct file_origin origin,
                                   struct error *err)
{
    char text[17], name[ORIGIN_NAME_SIZE];

    hash_to_text(text, origin.made_from);
    origin_name(name, origin, path);
    if ((origin.made_from != 0 && json_object_set_new(object, made_from_name, json_string(text)) != 0) ||
        (name[0] != '\0' && json_object_set_new(object, file_name, json_string(name)) != 0))
        return error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    return sealed_json_write(path, object, err);
}

uint64_t sealed_json_made_from(const json_t *object)
{
    const char *text = json_string_value(json_object_get(object, made_from_name));
    return text != NULL ? strtoull(text, NULL, 16) : 0;
}

enum status sealed_json_read(json_t **json, const char *path, struct error *err)
{
    json_t *object = NULL;
    char *bytes = NULL, *text = NULL;
    char seal[17];
    size_t size;
    enum status status;

    status = read_run_file(&bytes, &size, path, err);
    if (status == STATUS_INPUT) // a file of ours, not the user's
        status = err != NULL ? (err->status = STATUS_FAILED) : STATUS_FAILED;
    FORWARD_IF_ERROR(status);
    status = json_parse(&object, bytes, size, path, err);
    if (status == STATUS_INPUT)
        status = err != NULL ? (err->status = STATUS_DAMAGED) : STATUS_DAMAGED;
    if (status == STATUS_OK) {
        const char *found = json_string_value(json_object_get(object, seal_name));
        text = file_text(object);
        if (text == NULL || !compute_seal(seal, object))
            status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
        else if (found == NULL || strcmp(found, seal) != 0 ||
                 ((strlen(text) != size || memcmp(text, bytes, size) != 0) &&
                  !is_as_before(object, bytes, size)))
            status = error_set(err, STATUS_DAMAGED, "%s: does not match its checksum", path);
        const char *name = json_string_value(json_object_get(object, file_name));
        if (status == STATUS_OK && name != NULL)
            status = origin_check(path, name, err);
    }
    free(bytes);
    free(text);
    if (status == STATUS_OK && json != NULL)
        *json = object;
    else
        json_decref(object);
    return status;
}
