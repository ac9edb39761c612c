#include "pipeline/run/committed/verified_file.h"

#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "pipeline/plan/stages.h"
#include "pipeline/record/history.h"
#include "pipeline/record/run_json/outputs.h"
#include "pipeline/record/run_json/run_record.h"
#include "pipeline/run/committed/committed_file.h"
#include "pipeline/run/committed/committed_files.h"
#include "stages/export/exported_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status add(struct verified_files *list, struct verified_file file, struct error *err)
{
    if (list->count == list->room) {
        const size_t room = list->room > 0 ? 2 * list->room : 64;
        struct verified_file *files = realloc(list->files, room * sizeof *files);
        RETURN_ERROR_IF(files == NULL, err, STATUS_MEMORY, "out of memory for a list of %zu files", room);
        list->files = files;
        list->room = room;
    }
    file.path = strdup(file.path);
    RETURN_ERROR_IF(file.path == NULL, err, STATUS_MEMORY, "out of memory for a file name");
    list->files[list->count++] = file;
    return STATUS_OK;
}

static enum status add_committed(struct verified_files *list, const char *run, struct error *err)
{
    struct committed_files committed = {0};
    enum status status = committed_files_list(&committed, run, err);

    for (size_t i = 0; i < committed.count && status == STATUS_OK; i++)
        status = add(list, (struct verified_file){.path = committed.paths[i]}, err);
    committed_files_free(&committed);
    return status;
}

// The record itself, and what it names where it is sound and of this export. A folder comes under its name
// when all is in it: one without the record has lost it. One that is not there was never made, or is
// elsewhere now.
static enum status add_export(struct verified_files *list, const char *folder, const char *identity,
                              struct error *err)
{
    char path[PATH_SIZE];
    const char *name;
    json_t *record = NULL, *entry;

    if (access(folder, F_OK) != 0)
        return STATUS_OK;
    path_format(path, sizeof path, "%s/" EXPORT_RECORD, folder);
    const bool is_sound = sealed_json_read(&record, path, NULL) == STATUS_OK;
    const char *found = json_string_value(json_object_get(record, "identity"));
    if (is_sound && (found == NULL || strcmp(found, identity) != 0)) {
        json_decref(record);
        return STATUS_OK;
    }
    enum status status = add(
        list, (struct verified_file){.path = path, .folder = strlen(folder) + 1, .is_exported = true}, err);
    if (json_array_append_new(list->records, is_sound ? record : json_null()) != 0 && status == STATUS_OK)
        status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    if (status != STATUS_OK)
        return status;
    json_object_foreach(json_object_get(record, "files"), name, entry)
    {
        path_format(path, sizeof path, "%s/%s", folder, name);
        FORWARD_IF_ERROR(
            add(list,
                (struct verified_file){
                    .path = path, .folder = strlen(folder) + 1, .entry = entry, .is_exported = true},
                err));
    }
    return STATUS_OK;
}

static bool was_exported(const struct history *history, const char *variant)
{
    for (size_t i = 0; i < history->num_units; i++)
        if (strcmp(history->units[i].stage, stage_name(STAGE_EXPORT)) == 0 &&
            strcmp(history->units[i].variant, variant) == 0)
            return true;
    return false;
}

// Not damage: people move models away.
static enum status add_absent(struct verified_files *list, const struct run_record *record, const char *run,
                              struct error *err)
{
    json_t *outputs = outputs_of(record->json), *newest = json_object(), *output, *folder;
    struct history history = {0};
    const char *name;
    size_t i;

    json_array_foreach(outputs, i, output)
    {
        name = json_string_value(json_object_get(output, "variant"));
        if (name != NULL)
            json_object_set(newest, name, json_object_get(output, "folder"));
    }
    const enum status status = history_read(&history, run, err);
    json_object_foreach(newest, name, folder)
    {
        if (json_is_string(folder) && was_exported(&history, name) &&
            access(json_string_value(folder), F_OK) != 0 && errno == ENOENT)
            json_array_append(list->absent, folder);
    }
    history_free(&history);
    json_decref(newest);
    json_decref(outputs);
    return status;
}

static enum status add_exports(struct verified_files *list, const struct run_record *record,
                               struct error *err)
{
    json_t *outputs = outputs_of(record->json), *output;
    enum status status = STATUS_OK;
    char identity[40];
    size_t i;

    json_array_foreach(outputs, i, output)
    {
        const char *name = json_string_value(json_object_get(output, "variant"));
        const char *folder = json_string_value(json_object_get(output, "folder"));
        if (name == NULL || folder == NULL || status != STATUS_OK)
            continue;
        run_record_variant(identity, sizeof identity, record, name);
        status = add_export(list, folder, identity, err);
    }
    json_decref(outputs);
    return status == STATUS_OK ? json_memory_check("run.json", err) : status;
}

enum status verified_files_list(struct verified_files *list, const char *run, struct error *err)
{
    struct run_record record = {0};
    enum status status;

    list->records = json_array();
    list->absent = json_array();
    FORWARD_IF_ERROR(add_committed(list, run, err));
    status = STATUS_OK;
    if (run_record_read(&record, run, NULL) == STATUS_OK)
        status = add_exports(list, &record, err);
    if (status == STATUS_OK && record.json != NULL)
        status = add_absent(list, &record, run, err);
    run_record_free(&record);
    return status;
}

void verified_files_free(struct verified_files *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].path);
    free(list->files);
    json_decref(list->records);
    json_decref(list->absent);
    *list = (struct verified_files){0};
}

enum status verified_file_check(const struct verified_file *file, struct error *err)
{
    char folder[PATH_SIZE];

    RETURN_ERROR_IF(file->is_exported && access(file->path, F_OK) != 0 && errno == ENOENT, err,
                    STATUS_DAMAGED, "%s: is gone", file->path);
    if (file->entry == NULL)
        return committed_file_check(file->path, err);
    path_format(folder, sizeof folder, "%.*s", (int)file->folder - 1, file->path);
    return exported_file_check(folder, file->path + file->folder, file->entry, true, err);
}
