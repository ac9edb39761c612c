#include "pipeline/record/run_json/task_record.h"

#include "pipeline/job/texts.h"
#include "pipeline/record/run_json/changed_input.h"
#include "pipeline/record/run_json/json_difference.h"

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

void task_record_name(json_t *list, const char *key, const char *name)
{
    json_t *last = json_array_size(list) > 0 ? json_array_get(list, json_array_size(list) - 1) : NULL;
    if (last != NULL)
        json_object_set_new(last, key, json_string(name));
}

static json_t *prints_of(const json_t *record, const char *list)
{
    return json_object_get(json_object_get(record, "fingerprints"), list);
}

// The parts of a task's record that its result depends on, without paths.
static json_t *identity_of(const json_t *record, const json_t *task)
{
    const char *name = json_string_value(json_object_get(task, "name"));
    json_t *identity =
        json_pack("{s:O?, s:O?, s:O?, s:O?, s:[]}", "format", json_object_get(task, "format"), "limit",
                  json_object_get(task, "limit"), "delimiter", json_object_get(task, "delimiter"), "shots",
                  json_object_get(task, "shots"), "contents");
    size_t i;
    json_t *stamp;

    json_array_foreach(prints_of(record, "tasks"), i, stamp)
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

// The stamps of `name`, in the list of fingerprints called `list`.
static json_t *stamps_of(const json_t *record, const char *list, const char *key, const char *name)
{
    json_t *stamps = json_array(), *stamp;
    size_t i;

    json_array_foreach(prints_of(record, list), i, stamp)
    {
        if (is_text(stamp, key, name))
            json_array_append(stamps, stamp);
    }
    return stamps;
}

// Compares what a task or a text of that name was and is read from, in order: the names of files do not
// count.
static enum status compare_stamps(const struct input_place *place, const json_t *now, const json_t *before,
                                  const char *list, const char *key, const char *name, struct error *err)
{
    json_t *new = stamps_of(now, list, key, name), *old = stamps_of(before, list, key, name);
    enum status status = STATUS_OK;

    for (size_t i = 0; (i < json_array_size(old) || i < json_array_size(new)) && status == STATUS_OK; i++) {
        const json_t *a = json_array_get(old, i), *b = json_array_get(new, i);
        if (!json_equal(json_object_get(a, "xxh3"), json_object_get(b, "xxh3")))
            status = input_refuse(place, a, b, err);
    }
    json_decref(old);
    json_decref(new);
    return status;
}

static enum status compare_task(const json_t *now, const json_t *before, const json_t *new_task,
                                const json_t *old_task, const char *path, struct error *err)
{
    json_t *new = identity_of(now, new_task), *old = identity_of(before, old_task);
    const struct input_place place = {path, "evaluate.tasks",
                                      "give the task another name, or use another run directory"};
    const char *name = json_string_value(json_object_get(old_task, "name"));
    char difference[256];
    const bool differs = json_difference(old, new, difference, sizeof difference);

    json_decref(new);
    json_decref(old);
    FORWARD_IF_ERROR(compare_stamps(&place, now, before, "tasks", "task", name, err));
    RETURN_ERROR_IF(differs, err, STATUS_USAGE,
                    "%s: contradicts the job: task %s: %s; give it another name or use another run directory",
                    path, name, difference);
    return STATUS_OK;
}

// The list under object.key, made if it is not there.
static json_t *list_of(json_t *object, const char *key)
{
    if (json_object_get(object, key) == NULL)
        json_object_set_new(object, key, json_array());
    return json_object_get(object, key);
}

static void keep_stamps(json_t *now, const json_t *before, const char *list, const char *key,
                        const char *name)
{
    json_t *kept = stamps_of(before, list, key, name);
    json_array_extend(list_of(json_object_get(now, "fingerprints"), list), kept);
    json_decref(kept);
}

static void keep_task(json_t *now, const json_t *before, json_t *task, const char *name)
{
    json_array_append(list_of(json_object_get(json_object_get(now, "job"), "evaluate"), "tasks"), task);
    keep_stamps(now, before, "tasks", "task", name);
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

// ---- texts ----------------------------------------------------------------------------------------------

static json_t *evaluate_of(const json_t *record)
{
    return json_object_get(json_object_get(record, "job"), "evaluate");
}

static json_t *texts_of(const json_t *record)
{
    return json_object_get(evaluate_of(record), "perplexity");
}

// The hashes of what a text's result depends on: the text, and the tokenizer where that counts.
static json_t *text_contents(const json_t *record, const char *name)
{
    json_t *contents = json_array(), *stamp;
    size_t i;

    json_array_foreach(prints_of(record, "texts"), i, stamp)
    {
        if (is_text(stamp, "text", name))
            json_array_append(contents, json_object_get(stamp, "xxh3"));
    }
    return contents;
}

// The text of that name, or the one that has none: that is a string, or has only a field besides.
static const json_t *find_text(const json_t *record, const char *name)
{
    for (size_t i = 0; i < texts_json_count(texts_of(record)); i++) {
        const json_t *text = texts_json_at(texts_of(record), i);
        if (name != NULL ? is_text(text, "name", name) : json_object_get(text, "name") == NULL)
            return text;
    }
    return NULL;
}

// The field that is read of a text's objects; NULL: the usual one.
static const json_t *text_field(const json_t *record, const char *name)
{
    return json_object_get(find_text(record, name), "field");
}

static enum status compare_field(const json_t *now, const json_t *before, const char *name, const char *path,
                                 struct error *err)
{
    const char *new = json_string_value(text_field(now, name)),
               *old = json_string_value(text_field(before, name));
    const char *fields[] = {old != NULL ? old : "text", new != NULL ? new : "text"};

    RETURN_ERROR_IF(
        strcmp(fields[0], fields[1]) != 0, err, STATUS_USAGE,
        "%s: the run was begun with evaluate.perplexity.field %s, and the job says %s now; put it "
        "back, give the text another name, or use another run directory",
        path, fields[0], fields[1]);
    return STATUS_OK;
}

static enum status compare_text(const json_t *now, const json_t *before, const char *name, const char *path,
                                struct error *err)
{
    const struct input_place place = {path, "evaluate.perplexity",
                                      "give the text another name, or use another run directory"};
    return compare_stamps(&place, now, before, "texts", "text", name, err);
}

// Adds a text of the earlier job to those of the new one; that without a name comes first.
static void keep_text(json_t *now, const json_t *before, const json_t *text)
{
    json_t *evaluate = evaluate_of(now), *texts = json_array();
    const char *name = json_string_value(json_object_get(text, "name"));

    if (name == NULL)
        json_array_append(texts, (json_t *)text);
    for (size_t i = 0; i < texts_json_count(texts_of(now)); i++)
        json_array_append(texts, (json_t *)texts_json_at(texts_of(now), i));
    if (name != NULL)
        json_array_append(texts, (json_t *)text);
    json_object_set_new(evaluate, "perplexity", texts);
    if (name != NULL)
        keep_stamps(now, before, "texts", "text", name);
    else
        json_object_set(json_object_get(now, "fingerprints"), "evaluation", prints_of(before, "evaluation"));
}

// A text without a name: fingerprints.evaluation is it, and the tokenizer where that counts.
static enum status compare_nameless(const json_t *now, const json_t *before, const char *path,
                                    struct error *err)
{
    const json_t *old = prints_of(before, "evaluation"), *new = prints_of(now, "evaluation");
    const struct input_place place = {path, "evaluate.perplexity", "use another run directory"};

    for (size_t i = 0; i < 2; i++) {
        const json_t *a = json_array_get(old, i), *b = json_array_get(new, i);
        // The tokenizer is on record only where the calibration did not use it.
        const bool counts = i == 0 || (a != NULL && b != NULL);
        if (counts && !json_equal(json_object_get(a, "xxh3"), json_object_get(b, "xxh3")))
            return input_refuse(&place, a, b, err);
    }
    return STATUS_OK;
}

// The new job measures no text: all that the earlier one says of the evaluation but its tasks is taken over.
static void keep_evaluation(json_t *now, const json_t *before)
{
    static const char *const lists[] = {"evaluation", "texts"};
    json_t *evaluate = json_copy(evaluate_of(before)), *tasks = json_object_get(evaluate_of(now), "tasks");

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (prints_of(before, lists[i]) != NULL)
            json_object_set(json_object_get(now, "fingerprints"), lists[i], prints_of(before, lists[i]));
    json_object_del(evaluate, "tasks"); // compared on their own
    if (tasks != NULL)
        json_object_set(evaluate, "tasks", tasks);
    json_object_set_new(json_object_get(now, "job"), "evaluate", evaluate);
}

enum status text_record_compare(json_t *now, const json_t *before, const char *path, struct error *err)
{
    const json_t *texts = texts_of(before);
    const json_t *a = json_object_get(evaluate_of(before), "length");
    const json_t *b = json_object_get(evaluate_of(now), "length");

    if (texts_json_count(texts) == 0)
        return STATUS_OK;
    if (texts_json_count(texts_of(now)) == 0) {
        keep_evaluation(now, before);
        return STATUS_OK;
    }
    for (size_t i = 0; i < texts_json_count(texts); i++) {
        const json_t *text = texts_json_at(texts, i);
        const char *name = json_string_value(json_object_get(text, "name"));
        const bool there =
            name != NULL ? find_text(now, name) != NULL : json_array_size(prints_of(now, "evaluation")) > 0;
        if (!there)
            keep_text(now, before, text);
        else if (name != NULL)
            FORWARD_IF_ERROR(compare_text(now, before, name, path, err));
        else
            FORWARD_IF_ERROR(compare_nameless(now, before, path, err));
        if (there)
            FORWARD_IF_ERROR(compare_field(now, before, name, path, err));
    }
    RETURN_ERROR_IF(
        !json_equal(a, b), err, STATUS_USAGE,
        "%s: contradicts the job: evaluate.length: %lld before, %lld now; use another run directory", path,
        (long long)json_integer_value(a), (long long)json_integer_value(b));
    return STATUS_OK;
}

// ---- what results depend on -----------------------------------------------------------------------------

json_t *task_record_identity(const json_t *record, const char *name)
{
    const json_t *task = find_task(record, name);
    return task != NULL ? identity_of(record, task) : NULL;
}

json_t *text_record_identity(const json_t *record, const char *name)
{
    json_t *contents = json_array(), *stamp;
    size_t i;

    if (name != NULL) {
        json_decref(contents);
        contents = text_contents(record, name);
    } else {
        json_array_foreach(prints_of(record, "evaluation"), i, stamp)
            json_array_append(contents, json_object_get(stamp, "xxh3"));
    }
    return json_pack("{s:O?, s:o, s:O*}", "length", json_object_get(evaluate_of(record), "length"),
                     "contents", contents, "field", text_field(record, name));
}
