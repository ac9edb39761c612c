#include "pipeline/job/tasks.h"

#include "io/text/file_name.h"
#include "pipeline/job/job_path.h"
#include "pipeline/text/suggest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 64, MOST_SHOTS = 100 };

// The keys of a section, in the order in which they are looked up.
enum task_key {
    TASK_KEY_DATA,
    TASK_KEY_NAME,
    TASK_KEY_FORMAT,
    TASK_KEY_LIMIT,
    TASK_KEY_DELIMITER,
    TASK_KEY_SHOTS,
    TASK_KEY_SHOTS_FROM,
    TASK_KEYS
};
static const char *const key_names[TASK_KEYS] = {"data",      "name",  "format",    "limit",
                                                 "delimiter", "shots", "shots_from"};
static const char *const key_paths[TASK_KEYS] = {
    "evaluate.tasks.data",      "evaluate.tasks.name",  "evaluate.tasks.format",    "evaluate.tasks.limit",
    "evaluate.tasks.delimiter", "evaluate.tasks.shots", "evaluate.tasks.shots_from"};

const char *const *task_member_names(size_t *count)
{
    *count = TASK_KEYS;
    return key_names;
}

static enum status refuse(const struct job_document *document, const struct job_node *node, enum task_key key,
                          const char *requirement, struct error *err)
{
    char got[80];
    return job_refuse(document, node->line, key_paths[key], err, "%s, got %s", requirement,
                      job_node_describe(node, got, sizeof got));
}

const char task_name_requirement[] =
    "must be of letters, digits, -, _ and ., not beginning with ., 64 at most";

bool task_name_is_good(const char *text, size_t size)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    return size > 0 && size <= NAME_MAX_LENGTH && text[0] != '.' && strspn(text, allowed) >= size;
}

static enum status read_format(struct task_settings *task, const struct job_document *document,
                               const struct job_node *node, struct error *err)
{
    char list[256];
    size_t count, used = 0;
    const char *const *words = task_format_names(&count);

    const size_t index = node->kind == NODE_SCALAR ? find_word(node->text, words, count) : count;
    if (index < count) {
        task->format = (enum task_format)index;
        return STATUS_OK;
    }
    used = (size_t)snprintf(list, sizeof list, "must be one of");
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s %s", i > 0 ? "," : "", words[i]);
    return refuse(document, node, TASK_KEY_FORMAT, list, err);
}

static enum status read_value(struct task_settings *task, enum task_key key,
                              const struct job_document *document, const struct job_node *node,
                              struct error *err)
{
    const bool is_text = node->kind == NODE_SCALAR && !node->is_null && node->text[0] != '\0';
    uint64_t limit;

    switch (key) {
    case TASK_KEY_DATA:
        return is_text ? job_path_take(&task->data, document, node, JOB_PATH_INPUT, key_paths[key], err)
                       : refuse(document, node, key, "must be a file", err);
    case TASK_KEY_NAME:
        if (!is_text || !task_name_is_good(node->text, node->size))
            return refuse(document, node, key, task_name_requirement, err);
        return job_node_copy(&task->name, node, "evaluate.tasks", err);
    case TASK_KEY_FORMAT:
        return read_format(task, document, node, err);
    case TASK_KEY_LIMIT:
        if (!job_node_whole(node, &limit) || limit < 1 || limit > 1000000000)
            return refuse(document, node, key, "must be a whole number from 1 to 1000000000", err);
        task->limit = (size_t)limit;
        return STATUS_OK;
    case TASK_KEY_SHOTS:
        if (!job_node_whole(node, &limit) || limit > MOST_SHOTS)
            return refuse(document, node, key, "must be a whole number from 0 to 100", err);
        task->shots = (size_t)limit;
        return STATUS_OK;
    case TASK_KEY_SHOTS_FROM:
        return is_text ? job_path_take(&task->shots_from, document, node, JOB_PATH_INPUT, key_paths[key], err)
                       : refuse(document, node, key, "must be a file", err);
    default: // a delimiter may be empty
        if (node->kind != NODE_SCALAR || node->is_null)
            return refuse(document, node, key, "must be a text, in quotes", err);
        return job_node_copy(&task->delimiter, node, "evaluate.tasks", err);
    }
}

enum status task_name_of_file(char **name, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    size_t size = unpacked_name_size(base);

    *name = NULL;
    for (size_t dot = size; dot-- > 1;)
        if (base[dot] == '.') {
            size = dot;
            break;
        }
    if (!task_name_is_good(base, size))
        return STATUS_OK;
    FORWARD_IF_ERROR(allocate(name, size + 1, 1, "evaluate", err));
    memcpy(*name, base, size);
    return STATUS_OK;
}

static enum status default_name(struct task_settings *task, const struct job_document *document,
                                const struct job_node *node, struct error *err)
{
    const char *slash = strrchr(task->data, '/');
    char shown[80];

    FORWARD_IF_ERROR(task_name_of_file(&task->name, task->data, err));
    if (task->name != NULL)
        return STATUS_OK;
    return job_refuse(document, node->line, "evaluate.tasks", err,
                      "'%s' gives no name of letters, digits, -, _ and .: write {name: ..., data: ...}",
                      job_printable(slash != NULL ? slash + 1 : task->data, shown, sizeof shown));
}

static enum status refuse_unknown(const struct job_document *document, const struct job_node *name,
                                  struct error *err)
{
    char shown[64];
    const char *near = name->kind == NODE_SCALAR ? suggest_nearest(name->text, key_names, TASK_KEYS) : NULL;
    const char *key = job_name_describe(name, shown, sizeof shown);

    if (near != NULL)
        return job_refuse(document, name->line, "evaluate.tasks", err, "unknown key %s, did you mean %s?",
                          key, near);
    return job_refuse(document, name->line, "evaluate.tasks", err,
                      "unknown key %s; known are data, name, format, limit, delimiter, shots, shots_from",
                      key);
}

static enum status read_section(struct task_settings *task, const struct job_document *document,
                                const struct job_node *node, struct error *err)
{
    size_t lines[TASK_KEYS] = {0};

    for (size_t i = 0; i < node->count; i++) {
        struct job_node name, value;
        size_t key = 0;
        job_mapping_pair(document, node, i, &name, &value);
        while (key < TASK_KEYS && (name.kind != NODE_SCALAR || strcmp(name.text, key_names[key]) != 0))
            key++;
        if (key == TASK_KEYS)
            return refuse_unknown(document, &name, err);
        if (lines[key] != 0)
            return job_refuse(document, name.line, key_paths[key], err, "given twice, first on line %zu",
                              lines[key]);
        lines[key] = name.line;
        FORWARD_IF_ERROR(read_value(task, (enum task_key)key, document, &value, err));
    }
    if (task->shots_from != NULL && task->shots == 0)
        return job_refuse(document, lines[TASK_KEY_SHOTS_FROM], key_paths[TASK_KEY_SHOTS_FROM], err,
                          "means nothing without shots");
    return lines[TASK_KEY_DATA] != 0
               ? STATUS_OK
               : job_refuse(document, node->line, key_paths[TASK_KEY_DATA], err, "is missing");
}

enum status task_read(struct task_settings *task, const struct job_document *document,
                      const struct job_node *node, struct error *err)
{
    char got[80];

    *task = (struct task_settings){.format = TASK_RECOGNISED};
    if (node->kind == NODE_MAPPING)
        FORWARD_IF_ERROR(read_section(task, document, node, err));
    else if (node->kind == NODE_SCALAR && !node->is_null && node->text[0] != '\0')
        FORWARD_IF_ERROR(job_path_take(&task->data, document, node, JOB_PATH_INPUT, "evaluate.tasks", err));
    else
        return job_refuse(
            document, node->line, "evaluate.tasks", err,
            "must be a file, or {data: a file, name, format, limit, delimiter, shots, shots_from}, got %s",
            job_node_describe(node, got, sizeof got));
    return task->name != NULL ? STATUS_OK : default_name(task, document, node, err);
}

json_t *task_to_json(const struct task_settings *task)
{
    size_t count;
    const char *format = task->format != TASK_RECOGNISED ? task_format_names(&count)[task->format] : NULL;
    json_t *limit = task->limit > 0 ? json_integer((json_int_t)task->limit) : json_null();
    json_t *json = json_pack("{s:s, s:s, s:s?, s:o, s:s?}", "name", task->name, "data", task->data, "format",
                             format, "limit", limit, "delimiter", task->delimiter);
    // They came later than the others.
    int failed = json == NULL;
    if (task->shots > 0)
        failed |= json_object_set_new(json, "shots", json_integer((json_int_t)task->shots));
    if (task->shots_from != NULL)
        failed |= json_object_set_new(json, "shots_from", json_string(task->shots_from));
    if (failed == 0)
        return json;
    json_decref(json);
    return NULL;
}

enum status text_from_json(char **text, const json_t *json, struct error *err)
{
    *text = NULL;
    if (!json_is_string(json))
        return STATUS_DAMAGED;
    const size_t size = json_string_length(json) + 1;
    FORWARD_IF_ERROR(allocate(text, size, 1, "the job", err));
    memcpy(*text, json_string_value(json), size);
    return STATUS_OK;
}

enum status task_from_json(struct task_settings *task, const json_t *json, struct error *err)
{
    const json_t *format = json_object_get(json, "format"), *limit = json_object_get(json, "limit"),
                 *delimiter = json_object_get(json, "delimiter");
    size_t count, index = TASK_RECOGNISED;

    if (json_is_string(format)) {
        const char *const *words = task_format_names(&count);
        index = find_word(json_string_value(format), words, count);
        if (index == count)
            return STATUS_DAMAGED;
    }
    const json_t *shots = json_object_get(json, "shots"), *from = json_object_get(json, "shots_from");
    if (json_is_integer(limit) && json_integer_value(limit) < 1)
        return STATUS_DAMAGED;
    if (json_integer_value(shots) < 0 || json_integer_value(shots) > MOST_SHOTS)
        return STATUS_DAMAGED;
    task->shots = (size_t)json_integer_value(shots);
    if (from != NULL)
        FORWARD_IF_ERROR(text_from_json(&task->shots_from, from, err));
    task->format = (enum task_format)index;
    task->limit = (size_t)json_integer_value(limit);
    FORWARD_IF_ERROR(text_from_json(&task->name, json_object_get(json, "name"), err));
    FORWARD_IF_ERROR(text_from_json(&task->data, json_object_get(json, "data"), err));
    if (delimiter == NULL || json_is_null(delimiter))
        return STATUS_OK;
    return text_from_json(&task->delimiter, delimiter, err);
}

void task_settings_free(struct task_settings *task)
{
    free(task->name);
    free(task->data);
    free(task->delimiter);
    free(task->shots_from);
}
