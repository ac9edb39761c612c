#include "stages/prune/layer_finding.h"

#include "io/file/sealed_json.h"

enum status layer_finding_write(const char *path, json_t *json, const struct stage *stage, struct error *err)
{
    enum status status = STATUS_OK;

    if (stage->team->rank == 0)
        status = json != NULL ? sealed_json_write_from(path, json, settings_origin(stage->settings), err)
                              : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return team_agree(stage->team, status, err);
}

enum status layer_finding_layers(size_t *layers, const char *path, struct error *err)
{
    json_t *json = NULL;

    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    const json_int_t count = json_integer_value(json_object_get(json, "layers"));
    json_decref(json);
    RETURN_ERROR_IF(count < 1, err, STATUS_DAMAGED, "%s: does not say how many layers there are", path);
    *layers = (size_t)count;
    return STATUS_OK;
}
