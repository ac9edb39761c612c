#include "pipeline/job/read.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/item.h"
#include "pipeline/job/peers.h"
#include "pipeline/job/texts.h"

#include <stdio.h>
#include <string.h>

// ---- one key -------------------------------------------------------------------------------------------

// Refuses a node of the wrong kind for the whole key.
static enum status refuse_value(const struct reader *reader, const struct job_key_row *row,
                                const struct job_node *node)
{
    char takes[256], got[80];
    const char *more = job_key_is_swept(row) ? ", or a list of such" : "";

    job_node_describe(node, got, sizeof got);
    if (type_is_array(row->type))
        return job_refuse(reader->document, node->line, row->path, reader->err, "must be a list, got %s",
                          got);
    return job_refuse(reader->document, node->line, row->path, reader->err, "must be %s%s, got %s",
                      job_key_describe(row, takes, sizeof takes), more, got);
}

// Results are stored under the names of tasks, so that no two may be the same.
static enum status check_last_task(const struct reader *reader, const struct job_value *value, size_t line)
{
    const char *name = value->items[value->count - 1].task.name;
    for (size_t i = 0; i + 1 < value->count; i++)
        if (strcmp(value->items[i].task.name, name) == 0)
            return job_refuse(reader->document, line, "evaluate.tasks", reader->err,
                              "two tasks are called %s: give one another name, {name: ..., data: ...}", name);
    return STATUS_OK;
}

// The same of texts. The items of values are wider than those of lists.
static enum status settle_last_text(const struct reader *reader, const struct job_value *value, size_t line)
{
    const size_t last = value->count - 1;
    for (size_t i = 0; i < last; i++)
        FORWARD_IF_ERROR(text_settle_pair(&value->items[i].text_settings, &value->items[last].text_settings,
                                          reader->document, line, reader->err));
    return STATUS_OK;
}

// Reads the items of a list, or the pairs of a mapping.
static enum status read_items(const struct reader *reader, const struct job_key_row *row,
                              const struct job_node *node, struct job_value *value)
{
    FORWARD_IF_ERROR(allocate(&value->items, node->count, sizeof *value->items, row->path, reader->err));
    for (size_t i = 0; i < node->count; i++) {
        value->count = i + 1; // so that what was read is freed when this one fails
        if (row->type == TYPE_RATIOS) {
            FORWARD_IF_ERROR(ratio_read(reader, row, node, i, &value->items[i].ratio));
            continue;
        }
        if (row->type == TYPE_EXPECTED) {
            FORWARD_IF_ERROR(
                expected_read(&value->items[i].expected, reader->document, node, i, reader->err));
            continue;
        }
        const struct job_node item = job_list_item(reader->document, node, i);
        FORWARD_IF_ERROR(item_read(reader, row, &item, &value->items[i]));
        if (row->type == TYPE_TEXTS)
            FORWARD_IF_ERROR(settle_last_text(reader, value, item.line));
        if (row->type == TYPE_TASKS)
            FORWARD_IF_ERROR(check_last_task(reader, value, item.line));
    }
    return STATUS_OK;
}

// Whether the node is one value rather than a list of values.
static bool is_single(const struct reader *reader, const struct job_key_row *row, const struct job_node *node)
{
    if (row->type == TYPE_TEXTS)
        return node->kind != NODE_LIST || node->count == 0;
    if (type_is_array(row->type))
        return false;
    if (!job_key_is_swept(row) || node->kind != NODE_LIST)
        return true;
    // One value of this type is a list already.
    return row->type == TYPE_DIRECTIONS &&
           (node->count == 0 || job_list_item(reader->document, node, 0).kind != NODE_LIST);
}

static enum status read_value(const struct reader *reader, const struct job_key_row *row,
                              const struct job_node *node, struct job_value *value)
{
    job_value_free(row, value); // the command line's stands instead of the file's
    value->given = true;
    value->line = job_setting_line(reader->document, node);
    if (is_single(reader, row, node)) {
        FORWARD_IF_ERROR(allocate(&value->items, 1, sizeof *value->items, row->path, reader->err));
        value->count = 1;
        return item_read(reader, row, node, value->items);
    }
    if (type_is_mapping(row->type) && node->kind != NODE_MAPPING)
        return item_refuse(reader, row, node);
    if (!type_is_mapping(row->type) && node->kind != NODE_LIST)
        return refuse_value(reader, row, node);
    if (job_key_is_swept(row) && node->count == 0)
        return refuse_value(reader, row, node);
    return read_items(reader, row, node, value);
}

// ---- mappings ------------------------------------------------------------------------------------------

// Writes "section.name" for messages. The name is the user's: it is shortened and made printable.
static const char *format_path(const char *section, const char *name, char *path, size_t size)
{
    char shown[64];
    snprintf(path, size, "%s%s%s", section, section[0] != '\0' ? "." : "",
             job_printable(name, shown, sizeof shown));
    return path;
}

static enum status refuse_unknown(const struct reader *reader, const char *section,
                                  const struct job_node *name)
{
    char path[128], answer[256];
    const char *dot = strchr(name->text, '.'), *near = job_key_suggest(section, name->text);
    const struct peer_word *peer = peer_word_find(name->text);

    format_path(section, name->text, path, sizeof path);
    if (peer != NULL)
        return job_refuse(reader->document, name->line, path, reader->err, "unknown key: %s",
                          peer_word_answer(peer, answer, sizeof answer));
    if (near != NULL)
        return job_refuse(reader->document, name->line, path, reader->err, "unknown key, did you mean %s?",
                          near);
    for (size_t i = 0; i < NUM_JOB_KEYS && section[0] == '\0' && dot != NULL; i++)
        if (strcmp(name->text, job_key_row((enum job_key)i)->path) == 0)
            return job_refuse(reader->document, name->line, path, reader->err,
                              "unknown key, write %s inside the section %.*s", dot + 1,
                              (int)(dot - name->text), name->text);
    return job_refuse(reader->document, name->line, path, reader->err, "unknown key");
}

static enum status read_mapping(const struct reader *reader, struct job_values *values,
                                const struct job_node *mapping, const char *section);

static enum status read_section(const struct reader *reader, struct job_values *values, const char *section,
                                const struct job_node *node)
{
    char got[80];
    // A section whose keys are all commented out is an empty one.
    if (node->is_null)
        return STATUS_OK;
    if (node->kind != NODE_MAPPING)
        return job_refuse(reader->document, node->line, section, reader->err,
                          "must be a section of keys, got %s", job_node_describe(node, got, sizeof got));
    return read_mapping(reader, values, node, section);
}

static enum status read_pair(const struct reader *reader, struct job_values *values,
                             const struct job_node *name, const struct job_node *value, const char *section)
{
    char got[80];

    if (name->kind != NODE_SCALAR)
        return job_refuse(reader->document, name->line, section[0] != '\0' ? section : "the job", reader->err,
                          "a key must be a word, got %s", job_node_describe(name, got, sizeof got));
    if (name->text[0] == '\0')
        return job_refuse(reader->document, name->line, section[0] != '\0' ? section : "the job", reader->err,
                          "an empty key stands here");
    const enum job_key key = job_key_find(section, name->text);
    if (key != NUM_JOB_KEYS)
        return read_value(reader, job_key_row(key), value, &values->of[key]);
    if (section[0] == '\0' && job_is_section(name->text))
        return read_section(reader, values, name->text, value);
    return refuse_unknown(reader, section, name);
}

static enum status read_mapping(const struct reader *reader, struct job_values *values,
                                const struct job_node *mapping, const char *section)
{
    for (size_t i = 0; i < mapping->count; i++) {
        struct job_node name, value, earlier, unused;
        job_mapping_pair(reader->document, mapping, i, &name, &value);
        for (size_t j = 0; j < i && name.kind == NODE_SCALAR; j++) {
            job_mapping_pair(reader->document, mapping, j, &earlier, &unused);
            if (strcmp(name.text, earlier.text) == 0) {
                char path[128];
                format_path(section, name.text, path, sizeof path);
                return job_refuse(reader->document, name.line, path, reader->err,
                                  "given twice, first on line %zu", earlier.line);
            }
        }
        FORWARD_IF_ERROR(read_pair(reader, values, &name, &value, section));
    }
    return STATUS_OK;
}

// ---- the job -------------------------------------------------------------------------------------------

// The line of the section in which a missing key belongs; 0 when the section is missing too.
static size_t section_line(const struct reader *reader, const struct job_node *root, const char *path)
{
    const size_t length = strcspn(path, ".");
    for (size_t i = 0; i < root->count; i++) {
        struct job_node name, value;
        job_mapping_pair(reader->document, root, i, &name, &value);
        if (name.size == length && strncmp(name.text, path, length) == 0)
            return name.line;
    }
    return 0;
}

static enum status check_required(const struct reader *reader, const struct job_values *values,
                                  const struct job_node *root)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        if (row->flags & KEY_REQUIRED && !is_given(values, (enum job_key)i))
            return job_refuse(reader->document, section_line(reader, root, row->path), row->path, reader->err,
                              "is missing");
    }
    if (!is_given(values, KEY_SPARSITY) && !is_given(values, KEY_PATTERN) && !is_given(values, KEY_BUDGET))
        return job_refuse(reader->document, section_line(reader, root, "prune.sparsity"), "prune.sparsity",
                          reader->err, "is missing, and so are prune.pattern and prune.budget");
    return STATUS_OK;
}

// ---- the command line ----------------------------------------------------------------------------------

// "prune.method" of "prune.method=ria". STATUS_USAGE when it is no key.
static enum status find_set_key(enum job_key *key, const char *text, struct error *err)
{
    char path[128], section[128], answer[256];
    const size_t length = strcspn(text, "=");

    RETURN_ERROR_IF(text[length] == '\0' || length == 0, err, STATUS_USAGE,
                    "--set must be KEY=VALUE, such as prune.sparsity=0.6, got '%.200s'", text);
    snprintf(path, sizeof path, "%.*s", length < sizeof path ? (int)length : (int)sizeof path - 1, text);
    *key = job_key_named(path);
    if (*key != NUM_JOB_KEYS)
        return STATUS_OK;
    RETURN_ERROR_IF(job_is_section(path), err, STATUS_USAGE,
                    "--set %s: is a section of the job file: set its keys, as in --set prune.sparsity=0.6",
                    path);
    const char *dot = strrchr(path, '.'), *word = dot != NULL ? dot + 1 : path, *near;
    const struct peer_word *peer = peer_word_find(word);
    const enum job_key named = job_key_of_word(word);

    RETURN_ERROR_IF(peer != NULL, err, STATUS_USAGE, "--set %s: unknown key: %s", path,
                    peer_word_answer(peer, answer, sizeof answer));
    snprintf(section, sizeof section, "%.*s", dot != NULL ? (int)(dot - path) : 0, path);
    near = named != NUM_JOB_KEYS ? job_key_row(named)->path : job_key_suggest(section, word);
    RETURN_ERROR_IF(near != NULL, err, STATUS_USAGE, "--set %s: unknown key, did you mean %s?", path, near);
    RETURN_ERROR(err, STATUS_USAGE, "--set %s: unknown key; 'coppice help keys' has all keys", path);
}

// One "KEY=VALUE": the value is YAML, as it would stand in the file. null takes the key out of the job.
static enum status read_set(struct job_values *values, const struct job_source *source, const char *text,
                            struct error *err)
{
    struct job_document document = {.source = source};
    const struct reader reader = {&document, err};
    enum job_key key;

    FORWARD_IF_ERROR(find_set_key(&key, text, err));
    const struct job_key_row *row = job_key_row(key);
    const char *value = strchr(text, '=') + 1;
    document.set = row->path;
    FORWARD_IF_ERROR(job_document_load(&document, value, strlen(value), err));
    const struct job_node root = job_document_root(&document);
    enum status status = STATUS_OK;
    if (root.is_null)
        job_value_free(row, &values->of[key]);
    else
        status = read_value(&reader, row, &root, &values->of[key]);
    job_document_free(&document);
    return status;
}

enum status job_values_read(struct job_values *values, const char *text, size_t size,
                            const struct job_source *source, struct error *err)
{
    struct job_document document = {.source = source};
    struct job_node root;
    const struct reader reader = {&document, err};
    char got[80];
    enum status status;

    values->path = source->path;
    FORWARD_IF_ERROR(job_document_load(&document, text, size, err));
    root = job_document_root(&document);
    if (root.kind != NODE_MAPPING)
        status = job_refuse(&document, root.line, "the job", err, "must be keys and values, got %s",
                            job_node_describe(&root, got, sizeof got));
    else
        status = read_mapping(&reader, values, &root, "");
    for (size_t i = 0; i < source->sets.count && status == STATUS_OK; i++)
        status = read_set(values, source, source->sets.texts[i], err);
    if (status == STATUS_OK)
        status = check_required(&reader, values, &root);
    job_document_free(&document);
    return status;
}
