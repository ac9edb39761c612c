#include "pipeline/job/read.h"
#include "pipeline/job/tasks.h"
#include "pipeline/job/yaml.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- saying no -----------------------------------------------------------------------------------------

struct reader {
    const struct job_document *document;
    struct job_values *values;
    struct error *err;
};

static enum status refuse_item(const struct reader *reader, const struct job_key_row *row,
                               const struct job_node *node)
{
    char requirement[256], got[80];
    job_key_requirement(row, requirement, sizeof requirement);
    return job_refuse(reader->document, node->line, row->path, reader->err, "%s, got %s", requirement,
                      job_node_describe(node, got, sizeof got));
}

static enum status refuse_shape(const struct reader *reader, const struct job_key_row *row,
                                const struct job_node *node)
{
    char requirement[256], got[80];
    const char *shape = row->shape == SHAPE_SWEEP ? ", or a list of such" : "";

    job_key_requirement(row, requirement, sizeof requirement);
    job_node_describe(node, got, sizeof got);
    if (node->kind == NODE_LIST && node->count == 0)
        return job_refuse(reader->document, node->line, row->path, reader->err, "%s%s, got an empty list",
                          requirement, shape);
    if (row->shape == SHAPE_PAIR)
        return job_refuse(reader->document, node->line, row->path, reader->err,
                          "must be a list of two numbers, [low, high], got %s", got);
    if (row->shape == SHAPE_LIST && row->type != TYPE_DIRECTIONS)
        return job_refuse(reader->document, node->line, row->path, reader->err, "must be a list, got %s",
                          got);
    return job_refuse(reader->document, node->line, row->path, reader->err, "%s%s, got %s", requirement,
                      shape, got);
}

static enum status refuse_later(const struct reader *reader, const struct job_key_row *row,
                                const struct job_node *node)
{
    char got[80];
    return job_refuse(reader->document, node->line, row->path, reader->err,
                      "%s is not supported by this version", job_node_describe(node, got, sizeof got));
}

// ---- one item ------------------------------------------------------------------------------------------

static bool in_range(const struct job_key_row *row, double value)
{
    return (row->flags & KEY_ABOVE_LOW ? value > row->low : value >= row->low) && value <= row->high;
}

static size_t find_word(const char *word, const char *const *words, size_t count)
{
    size_t i = 0;
    while (i < count && strcmp(word, words[i]) != 0)
        i++;
    return i;
}

static enum status read_choice(const struct reader *reader, const struct job_key_row *row,
                               const struct job_node *node, union job_item *item)
{
    char requirement[256], got[80];
    size_t count;
    const char *const *words = row->choices(&count);
    const size_t index = find_word(node->text, words, count);

    if (index < count) {
        item->choice = (unsigned)index;
        return STATUS_OK;
    }
    for (const char *const *later = row->later; later != NULL && *later != NULL; later++)
        if (strcmp(node->text, *later) == 0)
            return refuse_later(reader, row, node);
    const char *near = suggest_nearest(node->text, words, count);
    if (near == NULL)
        return refuse_item(reader, row, node);
    job_key_requirement(row, requirement, sizeof requirement);
    return job_refuse(reader->document, node->line, row->path, reader->err, "%s, got %s, did you mean %s?",
                      requirement, job_node_describe(node, got, sizeof got), near);
}

static bool parse_pattern(const char *text, size_t *keep, size_t *of)
{
    char left[8];
    uint64_t n, m;
    const char *colon = strchr(text, ':');

    if (colon == NULL || (size_t)(colon - text) >= sizeof left)
        return false;
    memcpy(left, text, (size_t)(colon - text));
    left[colon - text] = '\0';
    if (!whole_parse(left, &n) || !whole_parse(colon + 1, &m) || n < 1 || n > m || m > 32)
        return false;
    *keep = (size_t)n;
    *of = (size_t)m;
    return true;
}

static enum status read_item(const struct reader *reader, const struct job_key_row *row,
                             const struct job_node *node, union job_item *item)
{
    bool good = node->kind == NODE_SCALAR && node->text[0] != '\0';

    if (good)
        switch (row->type) {
        case TYPE_TEXT:
            good = !node->is_null;
            if (good && row->flags & KEY_FOR_LATER)
                return refuse_later(reader, row, node);
            if (good) {
                FORWARD_IF_ERROR(allocate(&item->text, node->size + 1, 1, row->path, reader->err));
                memcpy(item->text, node->text, node->size + 1);
            }
            break;
        case TYPE_WHOLE:
            good = node->plain && whole_parse(node->text, &item->whole) &&
                   item->whole <= (uint64_t)INT64_MAX && in_range(row, (double)item->whole);
            break;
        case TYPE_NUMBER:
            good = node->plain && number_parse(node->text, &item->number) && in_range(row, item->number);
            break;
        case TYPE_FLAG:
            item->flag = strcmp(node->text, "true") == 0;
            good = node->plain && (item->flag || strcmp(node->text, "false") == 0);
            break;
        case TYPE_CHOICE:
            return read_choice(reader, row, node, item);
        case TYPE_PATTERN:
            good = parse_pattern(node->text, &item->pattern.keep, &item->pattern.of);
            break;
        case TYPE_DIRECTIONS:
        case TYPE_RATIOS:
        case TYPE_TASK:
            good = false;
            break;
        }
    if (!good)
        return refuse_item(reader, row, node);
    if (row->flags & KEY_FOR_LATER && row->type == TYPE_FLAG && item->flag)
        return refuse_later(reader, row, node);
    return STATUS_OK;
}

// [], [columns], [rows] or [columns, rows].
static enum status read_directions(const struct reader *reader, const struct job_key_row *row,
                                   const struct job_node *node, union job_item *item)
{
    static const char *const words[] = {"columns", "rows"};

    item->directions = 0;
    if (node->kind != NODE_LIST)
        return refuse_item(reader, row, node);
    for (size_t i = 0; i < node->count; i++) {
        const struct job_node word = job_list_item(reader->document, node, i);
        const size_t index = word.kind == NODE_SCALAR ? find_word(word.text, words, 2) : 2;
        if (index == 2)
            return refuse_item(reader, row, &word);
        const unsigned direction = index == 0 ? DIRECTION_COLUMNS : DIRECTION_ROWS;
        // Columns are always compensated before rows: another order would say what is not done.
        if (item->directions >= direction)
            return job_refuse(reader->document, word.line, row->path, reader->err,
                              "columns come before rows, each at most once");
        item->directions |= direction;
    }
    return STATUS_OK;
}

// One pair of a mapping of patterns to numbers.
static enum status read_ratio(const struct reader *reader, const struct job_key_row *row,
                              const struct job_node *mapping, size_t index, union job_item *item)
{
    struct job_node name, value, earlier, unused;
    char got[80], low[32], high[32];

    job_mapping_pair(reader->document, mapping, index, &name, &value);
    if (name.kind != NODE_SCALAR || name.is_null || name.size == 0)
        return refuse_item(reader, row, &name);
    for (size_t i = 0; i < index; i++) {
        job_mapping_pair(reader->document, mapping, i, &earlier, &unused);
        if (strcmp(name.text, earlier.text) == 0)
            return job_refuse(reader->document, name.line, row->path, reader->err,
                              "'%s' is given twice, first on line %zu",
                              job_printable(name.text, got, sizeof got), earlier.line);
    }
    item->ratio.line = name.line;
    if (value.kind != NODE_SCALAR || !value.plain || !number_parse(value.text, &item->ratio.number) ||
        !in_range(row, item->ratio.number))
        return job_refuse(reader->document, value.line, row->path, reader->err,
                          "the sparsity of a pattern must be a number from %s to %s, got %s",
                          number_format(row->low, low, sizeof low),
                          number_format(row->high, high, sizeof high),
                          job_node_describe(&value, got, sizeof got));
    FORWARD_IF_ERROR(allocate(&item->ratio.pattern, name.size + 1, 1, row->path, reader->err));
    memcpy(item->ratio.pattern, name.text, name.size + 1);
    return STATUS_OK;
}

static enum status read_ratios(const struct reader *reader, const struct job_key_row *row,
                               const struct job_node *node, struct job_value *value)
{
    if (node->kind != NODE_MAPPING)
        return refuse_item(reader, row, node);
    FORWARD_IF_ERROR(allocate(&value->items, node->count, sizeof *value->items, row->path, reader->err));
    for (size_t i = 0; i < node->count; i++) {
        FORWARD_IF_ERROR(read_ratio(reader, row, node, i, &value->items[i]));
        value->count = i + 1;
    }
    return STATUS_OK;
}

// ---- one key -------------------------------------------------------------------------------------------

static enum status read_list_item(const struct reader *reader, const struct job_key_row *row,
                                  const struct job_node *node, union job_item *item)
{
    switch (row->type) {
    case TYPE_DIRECTIONS:
        return read_directions(reader, row, node, item);
    case TYPE_TASK:
        return job_task_read(&item->task, reader->document, node, reader->err);
    default:
        return read_item(reader, row, node, item);
    }
}

// Results are kept by the tasks' names.
static enum status check_last_task(const struct reader *reader, const struct job_value *value, size_t line)
{
    const struct task_settings *last = value->items[value->count - 1].task;
    for (size_t i = 0; i + 1 < value->count; i++)
        if (strcmp(value->items[i].task->name, last->name) == 0)
            return job_refuse(reader->document, line, "evaluate.tasks", reader->err,
                              "two tasks are called %s: give one another name, {name: ..., data: ...}",
                              last->name);
    return STATUS_OK;
}

static enum status read_items(const struct reader *reader, const struct job_key_row *row,
                              const struct job_node *node, struct job_value *value)
{
    FORWARD_IF_ERROR(allocate(&value->items, node->count, sizeof *value->items, row->path, reader->err));
    for (size_t i = 0; i < node->count; i++) {
        const struct job_node item = job_list_item(reader->document, node, i);
        FORWARD_IF_ERROR(read_list_item(reader, row, &item, &value->items[i]));
        value->count = i + 1; // so that job_values_free sees what was read when the next one fails
        if (row->type == TYPE_TASK)
            FORWARD_IF_ERROR(check_last_task(reader, value, item.line));
    }
    return STATUS_OK;
}

static enum status read_value(const struct reader *reader, enum job_key index, const struct job_node *node)
{
    const struct job_key_row *row = job_key_row(index);
    struct job_value *value = &reader->values->of[index];
    const bool is_list = node->kind == NODE_LIST;
    bool is_single = row->shape == SHAPE_ONE || (row->shape == SHAPE_SWEEP && !is_list);

    value->line = node->line;
    if (row->type == TYPE_RATIOS)
        return read_ratios(reader, row, node, value);
    if (row->type == TYPE_DIRECTIONS && is_list)
        is_single = node->count == 0 || job_list_item(reader->document, node, 0).kind != NODE_LIST;
    else if (!is_single && !is_list)
        return refuse_shape(reader, row, node);
    if (is_single) {
        FORWARD_IF_ERROR(allocate(&value->items, 1, sizeof *value->items, row->path, reader->err));
        FORWARD_IF_ERROR(row->type == TYPE_DIRECTIONS ? read_directions(reader, row, node, value->items)
                                                      : read_item(reader, row, node, value->items));
        value->count = 1;
        return STATUS_OK;
    }
    if ((row->shape == SHAPE_SWEEP && node->count == 0) || (row->shape == SHAPE_PAIR && node->count != 2))
        return refuse_shape(reader, row, node);
    return read_items(reader, row, node, value);
}

// ---- mappings ------------------------------------------------------------------------------------------

// "section.name" for messages; what is not the table's is shortened and made printable.
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
    char path[128];
    const char *dot = strchr(name->text, '.'), *near = job_key_suggest(section, name->text);

    format_path(section, name->text, path, sizeof path);
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

static enum status read_mapping(const struct reader *reader, const struct job_node *mapping,
                                const char *section);

static enum status read_section(const struct reader *reader, const char *section, const struct job_node *node)
{
    char got[80];
    // A section whose keys are all commented out is an empty one.
    if (node->is_null)
        return STATUS_OK;
    if (node->kind != NODE_MAPPING)
        return job_refuse(reader->document, node->line, section, reader->err,
                          "must be a section of keys, got %s", job_node_describe(node, got, sizeof got));
    return read_mapping(reader, node, section);
}

static enum status read_pair(const struct reader *reader, const struct job_node *name,
                             const struct job_node *value, const char *section)
{
    char got[80];

    if (name->kind != NODE_SCALAR)
        return job_refuse(reader->document, name->line, section[0] != '\0' ? section : "the job", reader->err,
                          "a key must be a word, got %s", job_node_describe(name, got, sizeof got));
    const enum job_key key = job_key_find(section, name->text);
    if (key != NUM_JOB_KEYS)
        return read_value(reader, key, value);
    if (section[0] == '\0' && job_is_section(name->text))
        return read_section(reader, name->text, value);
    return refuse_unknown(reader, section, name);
}

static enum status read_mapping(const struct reader *reader, const struct job_node *mapping,
                                const char *section)
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
        FORWARD_IF_ERROR(read_pair(reader, &name, &value, section));
    }
    return STATUS_OK;
}

// ---- the whole -----------------------------------------------------------------------------------------

// Where a missing key should stand: the line of its section, 0 when that is missing too.
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

static enum status check_required(const struct reader *reader, const struct job_node *root)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        if (row->flags & KEY_REQUIRED && reader->values->of[i].line == 0)
            return job_refuse(reader->document, section_line(reader, root, row->path), row->path, reader->err,
                              "is missing");
    }
    if (reader->values->of[KEY_SPARSITY].line == 0 && reader->values->of[KEY_PATTERN].line == 0)
        return job_refuse(reader->document, section_line(reader, root, "prune.sparsity"), "prune.sparsity",
                          reader->err, "is missing, or prune.pattern");
    return STATUS_OK;
}

enum status job_values_read(struct job_values *values, const char *text, size_t size, const char *name,
                            struct error *err)
{
    struct job_document document;
    struct job_node root;
    const struct reader reader = {&document, values, err};
    char got[80];
    enum status status;

    FORWARD_IF_ERROR(job_document_load(&document, text, size, name, err));
    root = job_document_root(&document);
    if (root.kind != NODE_MAPPING)
        status = job_refuse(&document, root.line, "the job", err, "must be keys and values, got %s",
                            job_node_describe(&root, got, sizeof got));
    else
        status = read_mapping(&reader, &root, "");
    if (status == STATUS_OK)
        status = check_required(&reader, &root);
    job_document_free(&document);
    return status;
}

void job_values_free(struct job_values *values)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        struct job_value *value = &values->of[i];
        const enum job_type type = job_key_row((enum job_key)i)->type;
        for (size_t j = 0; j < value->count; j++)
            if (type == TYPE_TEXT)
                free(value->items[j].text);
            else if (type == TYPE_RATIOS)
                free(value->items[j].ratio.pattern);
            else if (type == TYPE_TASK)
                job_task_free(value->items[j].task);
        free(value->items);
        *value = (struct job_value){0};
    }
}
