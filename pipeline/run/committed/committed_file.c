#include "pipeline/run/committed/committed_file.h"

#include "io/file/sealed_json.h"
#include "io/store/store.h"

#include <string.h>

static bool is_json(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL && strcmp(dot, ".json") == 0;
}

enum status committed_file_check(const char *path, struct error *err)
{
    return is_json(path) ? sealed_json_read(NULL, path, err) : store_verify(path, err);
}

enum status committed_file_made_from(uint64_t *made_from, const char *path, struct error *err)
{
    json_t *json;

    if (!is_json(path))
        return store_made_from(made_from, path, err);
    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    *made_from = sealed_json_made_from(json);
    json_decref(json);
    return STATUS_OK;
}
