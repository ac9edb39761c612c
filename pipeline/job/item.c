#include "pipeline/job/item.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/job_path.h"
#include "pipeline/job/tasks.h"
#include "pipeline/job/texts.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"

#include <string.h>

enum { MOST_NEIGHBOURS = 32 }; // M of N:M

static const char *const budget_member_names[] = {"perplexity"};

const char *const *item_member_names(const struct job_key_row *row, size_t *count)
{
    switch (row->type) {
    case TYPE_TEXTS:
        return text_member_names(count);
    case TYPE_TASKS:
        return task_member_names(count);
    case TYPE_EXPECTED:
        return expected_member_names(count);
    case TYPE_BUDGET:
        *count = sizeof budget_member_names / sizeof *budget_member_names;
        return budget_member_names;
    default:
        *count = 0;
        return NULL;
    }
}

enum status item_refuse(const struct reader *reader, const struct job_key_row *row,
                        const struct job_node *node)
{
    char takes[256], got[80];
    return job_refuse(reader->document, node->line, row->path, reader->err, "must be %s, got %s",
                      job_key_describe(row, takes, sizeof takes), job_node_describe(node, got, sizeof got));
}

static enum status read_choice(const struct reader *reader, const struct job_key_row *row,
                               const struct job_node *node, union job_item *item)
{
    char takes[256], got[80];
    size_t count;
    const char *const *words = row->choices(&count);

    item->whole = find_word(node->text, words, count);
    if (item->whole < count)
        return STATUS_OK;
    const char *near = suggest_nearest(node->text, words, count);
    if (near == NULL)
        return item_refuse(reader, row, node);
    return job_refuse(reader->document, node->line, row->path, reader->err,
                      "must be %s, got %s, did you mean %s?", job_key_describe(row, takes, sizeof takes),
                      job_node_describe(node, got, sizeof got), near);
}

bool pattern_parse(const char *text, size_t *keep, size_t *of)
{
    char left[8];
    uint64_t n, m;
    const char *colon = strchr(text, ':');

    if (colon == NULL || (size_t)(colon - text) >= sizeof left)
        return false;
    memcpy(left, text, (size_t)(colon - text));
    left[colon - text] = '\0';
    if (!whole_parse(left, &n) || !whole_parse(colon + 1, &m) || n < 1 || n > m || m > MOST_NEIGHBOURS)
        return false;
    *keep = (size_t)n;
    *of = (size_t)m;
    return true;
}

// [], [columns], [rows] or [columns, rows].
static enum status read_directions(const struct reader *reader, const struct job_key_row *row,
                                   const struct job_node *node, union job_item *item)
{
    size_t count;
    const char *const *words = direction_names(&count);

    if (node->kind != NODE_LIST)
        return item_refuse(reader, row, node);
    memset(item->directions, 0, sizeof item->directions);
    for (size_t i = 0; i < node->count; i++) {
        const struct job_node word = job_list_item(reader->document, node, i);
        const size_t index = word.kind == NODE_SCALAR ? find_word(word.text, words, count) : count;
        if (index == count)
            return item_refuse(reader, row, &word);
        // Columns are always compensated before rows: another order would ask for what is not done.
        for (size_t later = index; later < count; later++)
            if (item->directions[later])
                return job_refuse(reader->document, word.line, row->path, reader->err,
                                  "columns come before rows, each at most once");
        item->directions[index] = true;
    }
    return STATUS_OK;
}

static bool read_number(const struct job_key_row *row, const struct job_node *node, double *number)
{
    return job_node_number(node, number) && job_key_in_range(row, *number);
}

static enum status read_pair(const struct reader *reader, const struct job_key_row *row,
                             const struct job_node *node, union job_item *item)
{
    char got[80];

    if (node->kind != NODE_LIST || (node->count != 2 && node->count != 0))
        return job_refuse(reader->document, node->line, row->path, reader->err,
                          "must be a list of two numbers, [low, high], got %s",
                          job_node_describe(node, got, sizeof got));
    if (node->count == 0)
        return item_refuse(reader, row, node);
    for (size_t i = 0; i < node->count; i++) {
        const struct job_node number = job_list_item(reader->document, node, i);
        if (!read_number(row, &number, &item->pair[i]))
            return item_refuse(reader, row, &number);
    }
    return STATUS_OK;
}

// {perplexity: NUMBER}
static enum status read_budget(const struct reader *reader, const struct job_key_row *row,
                               const struct job_node *node, union job_item *item)
{
    struct job_node name, value;

    if (node->kind != NODE_MAPPING || node->count != 1)
        return item_refuse(reader, row, node);
    job_mapping_pair(reader->document, node, 0, &name, &value);
    if (name.kind != NODE_SCALAR || strcmp(name.text, budget_member_names[0]) != 0)
        return item_refuse(reader, row, &name);
    return read_number(row, &value, &item->number) ? STATUS_OK : item_refuse(reader, row, &value);
}

static enum status read_text(const struct reader *reader, const struct job_key_row *row,
                             const struct job_node *node, union job_item *item)
{
    const enum job_path_kind kind = row == job_key_row(KEY_MODEL)    ? JOB_PATH_MODEL
                                    : row == job_key_row(KEY_RUN)    ? JOB_PATH_RUN
                                    : row == job_key_row(KEY_OUTPUT) ? JOB_PATH_MADE
                                                                     : JOB_PATH_INPUT;
    if (!(row->flags & KEY_PATH))
        return job_node_copy(&item->text, node, row->path, reader->err);
    return job_path_take(&item->text, reader->document, node, kind, row->path, reader->err);
}

static enum status read_scalar(const struct reader *reader, const struct job_key_row *row,
                               const struct job_node *node, union job_item *item)
{
    bool good = node->kind == NODE_SCALAR && node->text[0] != '\0';

    if (good)
        switch (row->type) {
        case TYPE_TEXT:
            if (!node->is_null)
                return read_text(reader, row, node, item);
            good = false;
            break;
        case TYPE_SKIP:
            item->skip.line = job_setting_line(reader->document, node);
            if (!node->is_null)
                return job_node_copy(&item->skip.pattern, node, row->path, reader->err);
            good = false;
            break;
        case TYPE_WHOLE:
            good = job_node_whole(node, &item->whole) && item->whole <= (uint64_t)INT64_MAX &&
                   job_key_in_range(row, (double)item->whole);
            break;
        case TYPE_NUMBER:
            good = read_number(row, node, &item->number);
            break;
        case TYPE_FLAG:
            item->flag = strcmp(node->text, "true") == 0;
            good = node->plain && (item->flag || strcmp(node->text, "false") == 0);
            break;
        case TYPE_CHOICE:
            return read_choice(reader, row, node, item);
        case TYPE_PATTERN:
            good = pattern_parse(node->text, &item->pattern.keep, &item->pattern.of);
            break;
        case TYPE_BUDGET:
        case TYPE_PAIR:
        case TYPE_DIRECTIONS:
        case TYPE_RATIOS:
        case TYPE_TEXTS:
        case TYPE_TASKS:
        case TYPE_EXPECTED:
            good = false;
            break;
        }
    return good ? STATUS_OK : item_refuse(reader, row, node);
}

enum status item_read(const struct reader *reader, const struct job_key_row *row, const struct job_node *node,
                      union job_item *item)
{
    switch (row->type) {
    case TYPE_BUDGET:
        return read_budget(reader, row, node, item);
    case TYPE_PAIR:
        return read_pair(reader, row, node, item);
    case TYPE_DIRECTIONS:
        return read_directions(reader, row, node, item);
    case TYPE_TEXTS:
        return text_read(&item->text_settings, reader->document, node, reader->err);
    case TYPE_TASKS:
        return task_read(&item->task, reader->document, node, reader->err);
    default:
        return read_scalar(reader, row, node, item);
    }
}

enum status ratio_read(const struct reader *reader, const struct job_key_row *row,
                       const struct job_node *mapping, size_t index, struct ratio *ratio)
{
    struct job_node name, value, earlier, unused;
    char got[80], low[32], high[32];

    job_mapping_pair(reader->document, mapping, index, &name, &value);
    if (name.kind != NODE_SCALAR || name.is_null || name.size == 0)
        return item_refuse(reader, row, &name);
    for (size_t i = 0; i < index; i++) {
        job_mapping_pair(reader->document, mapping, i, &earlier, &unused);
        if (strcmp(name.text, earlier.text) == 0)
            return job_refuse(reader->document, name.line, row->path, reader->err,
                              "'%s' is given twice, first on line %zu",
                              job_printable(name.text, got, sizeof got), earlier.line);
    }
    ratio->line = job_setting_line(reader->document, &name);
    if (!read_number(row, &value, &ratio->sparsity))
        return job_refuse(reader->document, value.line, row->path, reader->err,
                          "the sparsity of a pattern must be a number from %s to %s, got %s",
                          number_format(row->low, low, sizeof low),
                          number_format(row->high, high, sizeof high),
                          job_node_describe(&value, got, sizeof got));
    return job_node_copy(&ratio->pattern, &name, row->path, reader->err);
}
