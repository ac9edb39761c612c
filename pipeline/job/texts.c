#include "pipeline/job/texts.h"

#include "pipeline/job/job_path.h"
#include "pipeline/job/tasks.h"
#include "pipeline/text/suggest.h"

#include <stdlib.h>
#include <string.h>

static const char key_path[] = "evaluate.perplexity";

enum text_key { TEXT_KEY_DATA, TEXT_KEY_NAME, TEXT_KEY_FIELD, TEXT_KEYS };
static const char *const key_names[TEXT_KEYS] = {"data", "name", "field"};

const char *const *text_member_names(size_t *count)
{
    *count = TEXT_KEYS;
    return key_names;
}

static bool is_text(const struct job_node *node)
{
    return node->kind == NODE_SCALAR && !node->is_null && node->text[0] != '\0';
}

static enum status read_member(struct text_settings *text, enum text_key key,
                               const struct job_document *document, const struct job_node *node,
                               struct error *err)
{
    char got[80];

    if (key == TEXT_KEY_DATA)
        return is_text(node) ? job_path_take(&text->data, document, node, JOB_PATH_INPUT,
                                             "evaluate.perplexity.data", err)
                             : job_refuse(document, node->line, "evaluate.perplexity.data", err,
                                          "must be a file, a folder or a pattern, got %s",
                                          job_node_describe(node, got, sizeof got));
    if (key == TEXT_KEY_FIELD) {
        if (!is_text(node))
            return job_refuse(document, node->line, "evaluate.perplexity.field", err,
                              "must be a field's name, got %s", job_node_describe(node, got, sizeof got));
        // As in calibration.field: the usual name may as well be left out.
        return strcmp(node->text, "text") != 0 ? job_node_copy(&text->field, node, key_path, err) : STATUS_OK;
    }
    if (!is_text(node) || !task_name_is_good(node->text, node->size))
        return job_refuse(document, node->line, "evaluate.perplexity.name", err, "%s, got %s",
                          task_name_requirement, job_node_describe(node, got, sizeof got));
    return job_node_copy(&text->name, node, key_path, err);
}

static enum status read_section(struct text_settings *text, const struct job_document *document,
                                const struct job_node *node, struct error *err)
{
    size_t lines[TEXT_KEYS] = {0};

    for (size_t i = 0; i < node->count; i++) {
        struct job_node name, value;
        char shown[64];
        job_mapping_pair(document, node, i, &name, &value);
        const size_t key = name.kind == NODE_SCALAR ? find_word(name.text, key_names, TEXT_KEYS) : TEXT_KEYS;
        if (key == TEXT_KEYS)
            return job_refuse(document, name.line, key_path, err,
                              "unknown key %s; known are data, name, field",
                              job_name_describe(&name, shown, sizeof shown));
        if (lines[key] != 0)
            return job_refuse(document, name.line, key_path, err, "%s is given twice, first on line %zu",
                              key_names[key], lines[key]);
        lines[key] = name.line;
        FORWARD_IF_ERROR(read_member(text, (enum text_key)key, document, &value, err));
    }
    return lines[TEXT_KEY_DATA] != 0
               ? STATUS_OK
               : job_refuse(document, node->line, "evaluate.perplexity.data", err, "is missing");
}

enum status text_read(struct text_settings *text, const struct job_document *document,
                      const struct job_node *node, struct error *err)
{
    char got[80];

    *text = (struct text_settings){.name = NULL};
    if (node->kind == NODE_MAPPING)
        FORWARD_IF_ERROR(read_section(text, document, node, err));
    else if (is_text(node))
        FORWARD_IF_ERROR(job_path_take(&text->data, document, node, JOB_PATH_INPUT, key_path, err));
    else
        return job_refuse(
            document, node->line, key_path, err,
            "must be a file, a folder or a pattern, {data: such, name, field} or a list of these, got %s",
            job_node_describe(node, got, sizeof got));
    text->is_plain = text->name == NULL;
    return text->name != NULL ? STATUS_OK : task_name_of_file(&text->name, text->data, err);
}

static enum status refuse_nameless(const struct text_settings *text, const struct job_document *document,
                                   size_t line, struct error *err)
{
    const char *slash = strrchr(text->data, '/');
    char shown[80];
    return job_refuse(document, line, key_path, err,
                      "'%s' gives no name of letters, digits, -, _ and .: write {name: ..., data: ...}",
                      job_printable(slash != NULL ? slash + 1 : text->data, shown, sizeof shown));
}

enum status text_settle_pair(const struct text_settings *earlier, struct text_settings *later,
                             const struct job_document *document, size_t line, struct error *err)
{
    if (earlier->name == NULL || later->name == NULL)
        return refuse_nameless(earlier->name == NULL ? earlier : later, document, line, err);
    later->is_plain = false;
    if (strcmp(earlier->name, later->name) == 0)
        return job_refuse(document, line, key_path, err,
                          "two texts are called %s: give one another name, {name: ..., data: ...}",
                          later->name);
    return STATUS_OK;
}

// ---- JSON ----------------------------------------------------------------------------------------------

static json_t *text_to_json(const struct text_settings *text)
{
    if (text->is_plain && text->field == NULL)
        return json_string(text->data);
    json_t *json = json_object();
    if ((!text->is_plain && json_object_set_new(json, "name", json_string(text->name)) != 0) ||
        json_object_set_new(json, "data", json_string(text->data)) != 0 ||
        (text->field != NULL && json_object_set_new(json, "field", json_string(text->field)) != 0)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

json_t *texts_to_json(const struct text_settings *texts, size_t count)
{
    if (count == 0)
        return json_null();
    if (count == 1 && texts->is_plain)
        return text_to_json(texts);
    json_t *array = json_array();
    for (size_t i = 0; i < count && array != NULL; i++)
        if (json_array_append_new(array, text_to_json(&texts[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

size_t texts_json_count(const json_t *json)
{
    return json_is_array(json) ? json_array_size(json) : json_is_string(json) || json_is_object(json);
}

const json_t *texts_json_at(const json_t *json, size_t index)
{
    return json_is_array(json) ? json_array_get(json, index) : json;
}

enum status text_settings_from_json(struct text_settings *text, const json_t *json, struct error *err)
{
    const json_t *name = json_object_get(json, "name"), *field = json_object_get(json, "field");

    text->is_plain = name == NULL;
    FORWARD_IF_ERROR(
        text_from_json(&text->data, json_is_string(json) ? json : json_object_get(json, "data"), err));
    if (field != NULL)
        FORWARD_IF_ERROR(text_from_json(&text->field, field, err));
    if (text->is_plain)
        return task_name_of_file(&text->name, text->data, err);
    return text_from_json(&text->name, name, err);
}

void text_settings_free(struct text_settings *text)
{
    free(text->name);
    free(text->data);
    free(text->field);
}
