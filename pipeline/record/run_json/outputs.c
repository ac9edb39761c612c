#include "pipeline/record/run_json/outputs.h"

#include "io/file/run_paths.h"
#include "stages/export/export.h"
#include "stages/export/exported_files.h"

#include <string.h>
#include <unistd.h>

static bool is_same(const json_t *entry, const char *variant, const char *folder)
{
    const char *name = json_string_value(json_object_get(entry, "variant"));
    const char *path = json_string_value(json_object_get(entry, "folder"));
    return name != NULL && path != NULL && strcmp(name, variant) == 0 && strcmp(path, folder) == 0;
}

// At the end of the list, wherever it was before.
static void add(json_t *list, const char *variant, const char *folder)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if (is_same(json_array_get(list, i), variant, folder))
            json_array_remove(list, i);
    json_array_append_new(list, json_pack("{s:s, s:s}", "variant", variant, "folder", folder));
}

// The record knows the output of its last job only, and all variants of all jobs, the last job's before the
// others: a job of one variant wrote into the output itself.
static void add_of_last_job(json_t *list, const json_t *record)
{
    const json_t *job = json_object_get(record, "job");
    const json_t *variants = json_object_get(job, "variants");
    const char *output = json_string_value(json_object_get(job, "output"));
    char path[PATH_SIZE];
    const json_t *variant;
    size_t i;

    if (output == NULL)
        return;
    path_format(path, sizeof path, "%s/" EXPORT_RECORD, output);
    const bool is_one = json_array_size(variants) == 1 || access(path, F_OK) == 0;
    json_array_foreach(variants, i, variant)
    {
        const char *name = json_string_value(json_object_get(variant, "name"));
        path_format(path, sizeof path, "%s/%s", output, name != NULL ? name : "");
        if (name != NULL && (i == 0 || !is_one))
            add(list, name, is_one ? output : path);
    }
}

json_t *outputs_of(const json_t *record)
{
    json_t *list = json_copy(json_object_get(record, "outputs"));

    if (json_object_get(record, "outputs") == NULL) {
        list = json_array();
        add_of_last_job(list, record);
    }
    return list;
}

void outputs_record(json_t *now, const json_t *before, const struct settings *settings)
{
    json_t *list = before != NULL ? outputs_of(before) : json_array();
    char path[PATH_SIZE];

    for (size_t v = 0; v < settings->num_variants && settings->output != NULL; v++) {
        export_path(path, sizeof path, settings, &settings->variants[v]);
        add(list, settings->variants[v].name, path);
    }
    if (json_array_size(list) > 0)
        json_object_set(now, "outputs", list);
    json_decref(list);
}

const char *outputs_newest(const json_t *record, const struct variant *variant)
{
    const json_t *list = json_object_get(record, "outputs");

    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "variant"));
        if (name != NULL && strcmp(name, variant->name) == 0)
            return json_string_value(json_object_get(entry, "folder"));
    }
    return NULL;
}
