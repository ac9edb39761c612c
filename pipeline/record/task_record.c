#include "pipeline/record/task_record.h"

#include "pipeline/record/json_difference.h"

#include <string.h>

static bool is_text(const json_t *object, const char *key, const char *text)
{
    const char *found = json_string_value(json_object_get(object, key));
    return found != NULL && strcmp(found, text) == 0;
}

const json_t *task_record_find(const json_t *list, const char *file)
{
    size_t i;
    json_t *stamp;
    json_array_foreach(list, i, stamp)
    {
        if (is_text(stamp, "file", file))
            return stamp;
    }
    return NULL;
}

void task_record_name(json_t *list, const char *task)
{
    json_t *last = json_array_size(list) > 0 ? json_array_get(list, json_array_size(list) - 1) : NULL;
    if (last != NULL)
        json_object_set_new(last, "task", json_string(task));
}

// The parts of a task's record that its result depends on, without paths.
static json_t *identity_of(const json_t *record, const json_t *task)
{
    const char *name = json_string_value(json_object_get(task, "name"));
    json_t *identity = json_pack("{s:O?, s:O?, s:O?, s:[]}", "format", json_object_get(task, "format"),
                                 "limit", json_object_get(task, "limit"), "delimiter",
                                 json_object_get(task, "delimiter"), "contents");
    size_t i;
    json_t *stamp;

    json_array_foreach(json_object_get(json_object_get(record, "fingerprints"), "tasks"), i, stamp)
    {
        if (name != NULL && is_text(stamp, "task", name))
            json_array_append(json_object_get(identity, "contents"), json_object_get(stamp, "xxh3"));
    }
    return identity;
}

static json_t *tasks_of(const json_t *record)
{
    return json_object_get(json_object_get(json_object_get(record, "job"), "evaluate"), "tasks");
}

static json_t *find_task(const json_t *record, const char *name)
{
    size_t i;
    json_t *task;
    json_array_foreach(tasks_of(record), i, task)
    {
        if (is_text(task, "name", name))
            return task;
    }
    return NULL;
}

static enum status compare_task(const json_t *now, const json_t *before, const json_t *new_task,
                                const json_t *old_task, const char *path, struct error *err)
{
    json_t *new = identity_of(now, new_task), *old = identity_of(before, old_task);
    char difference[256] = "its data has changed";
    bool differs = !json_equal(json_object_get(old, "contents"), json_object_get(new, "contents"));

    if (!differs)
        differs = json_difference(old, new, difference, sizeof difference);
    json_decref(new);
    json_decref(old);
    RETURN_ERROR_IF(differs, err, STATUS_USAGE,
                    "%s: contradicts the job: task %s: %s; give it another name or use another run directory",
                    path, json_string_value(json_object_get(old_task, "name")), difference);
    return STATUS_OK;
}

// The list under object.key, made if it is not there.
static json_t *list_of(json_t *object, const char *key)
{
    if (json_object_get(object, key) == NULL)
        json_object_set_new(object, key, json_array());
    return json_object_get(object, key);
}

static void keep_task(json_t *now, const json_t *before, json_t *task, const char *name)
{
    json_t *stamps = list_of(json_object_get(now, "fingerprints"), "tasks"), *stamp;
    size_t i;

    json_array_append(list_of(json_object_get(json_object_get(now, "job"), "evaluate"), "tasks"), task);
    json_array_foreach(json_object_get(json_object_get(before, "fingerprints"), "tasks"), i, stamp)
    {
        if (is_text(stamp, "task", name))
            json_array_append(stamps, stamp);
    }
}

enum status task_record_compare(json_t *now, const json_t *before, const char *path, struct error *err)
{
    size_t i;
    json_t *task;

    json_array_foreach(tasks_of(before), i, task)
    {
        const char *name = json_string_value(json_object_get(task, "name"));
        const json_t *same = name != NULL ? find_task(now, name) : NULL;
        if (same != NULL)
            FORWARD_IF_ERROR(compare_task(now, before, same, task, path, err));
        else if (name != NULL)
            keep_task(now, before, task, name);
    }
    return STATUS_OK;
}
