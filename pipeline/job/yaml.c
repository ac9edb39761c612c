#include "pipeline/job/yaml.h"

#include "io/file/limits.h"
#include "io/text/printable.h"
#include "pipeline/text/number.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Begins a message about a line of the document.
static enum status refuse_line(const struct job_document *document, size_t line, struct error *err,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));
static enum status refuse_line(const struct job_document *document, size_t line, struct error *err,
                               const char *format, ...)
{
    char reason[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (document->set != NULL)
        return error_set(err, STATUS_USAGE, "--set %s: %s", document->set, reason);
    return error_set(err, STATUS_USAGE, "%s:%zu: %s", document->source->path, line, reason);
}

// The character with a meaning of its own in YAML that made LibYAML stop, whose words for it help nobody;
// NULL: another reason.
static const char *special_beginning(const yaml_parser_t *parser)
{
    static const struct {
        const char *said, *special;
    } reasons[] = {
        {"while scanning an alias", "*"},
        {"found undefined alias", "*"},
        {"while scanning an anchor", "&"},
        {"while scanning a tag", "!"},
        {"found undefined tag handle", "!"},
        {"while scanning a directive", "%"},
        {"while scanning a block scalar", "| or >"},
    };
    // Nothing begins with these.
    static const char *const others[] = {"@", "`", "%", "\t"};

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(parser->problem, reasons[i].said) == 0 ||
            (parser->context != NULL && strcmp(parser->context, reasons[i].said) == 0))
            return reasons[i].special;
    if (strcmp(parser->problem, "found character that cannot start any token") == 0)
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (*parser->buffer.pointer == (unsigned char)*others[i])
                return others[i];
    return NULL;
}

static enum status refuse_special(const struct job_document *document, size_t line, const char *special,
                                  struct error *err)
{
    return refuse_line(document, line + 1, err, "a text that begins with %s needs quotes: '%c...'", special,
                       *special);
}

static enum status refuse_syntax(const struct job_document *document, const yaml_parser_t *parser,
                                 struct error *err)
{
    const char *name = document->set == NULL ? document->source->path : "--set";

    // LibYAML also fails without a word when it has no memory for a copy of its own.
    if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL)
        RETURN_ERROR(err, STATUS_MEMORY, "%s: out of memory for the job file", name);
    if (parser->error == YAML_READER_ERROR) // knows bytes, not lines
        RETURN_ERROR(err, STATUS_USAGE, "%s: not valid YAML: %s at byte %zu", name, parser->problem,
                     parser->problem_offset);
    const char *special = special_beginning(parser);
    if (special != NULL && *special == '\t')
        return refuse_line(document, parser->problem_mark.line + 1, err,
                           "a tab stands where YAML wants blanks; indent with these");
    if (special != NULL)
        return refuse_special(document,
                              parser->context_mark.line < parser->problem_mark.line && parser->context != NULL
                                  ? parser->context_mark.line
                                  : parser->problem_mark.line,
                              special, err);
    return refuse_line(document, parser->problem_mark.line + 1, err, "not valid YAML: %s%s%s",
                       parser->problem, parser->context != NULL ? " " : "",
                       parser->context != NULL ? parser->context : "");
}

// A scalar: its text goes into names, lines and scripts.
static enum status check_text(struct job_document *document, int index, bool is_delimiter, struct error *err)
{
    const yaml_node_t *node = yaml_document_get_node(&document->yaml, index);

    if (node->type != YAML_SCALAR_NODE)
        return STATUS_OK;
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length)
        return refuse_line(document, node->start_mark.line + 1, err,
                           "a text must not contain a NUL character");
    if (!is_delimiter && !is_printable_text(text, node->data.scalar.length))
        return refuse_line(document, node->start_mark.line + 1, err,
                           "a text must not contain control characters, such as the end of a line");
    return STATUS_OK;
}

// What stands between a question and its answer (evaluate.tasks) may be the end of a line; nothing else may.
static bool names_delimiter(struct job_document *document, int index)
{
    const yaml_node_t *node = yaml_document_get_node(&document->yaml, index);
    return node->type == YAML_SCALAR_NODE && strcmp((const char *)node->data.scalar.value, "delimiter") == 0;
}

static enum status check_texts(struct job_document *document, struct error *err)
{
    FORWARD_IF_ERROR(check_text(document, 1, false, err)); // the root
    for (int i = 1;; i++) {
        const yaml_node_t *node = yaml_document_get_node(&document->yaml, i);
        if (node == NULL)
            return STATUS_OK;
        if (node->type == YAML_SEQUENCE_NODE)
            for (const int *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
                 item++)
                FORWARD_IF_ERROR(check_text(document, *item, false, err));
        if (node->type != YAML_MAPPING_NODE)
            continue;
        for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top; pair++) {
            FORWARD_IF_ERROR(check_text(document, pair->key, false, err));
            FORWARD_IF_ERROR(check_text(document, pair->value, names_delimiter(document, pair->key), err));
        }
    }
}

static enum status refuse_second_document(const struct job_document *document, yaml_parser_t *parser,
                                          struct error *err)
{
    yaml_document_t second;
    enum status status = STATUS_OK;

    if (!yaml_parser_load(parser, &second))
        return refuse_syntax(document, parser, err);
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    if (root != NULL)
        status = refuse_line(document, second.start_mark.line + 1, err,
                             "a second YAML document begins here, a job is only one");
    yaml_document_delete(&second);
    return status;
}

static bool is_null_word(const char *word)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static struct job_node view(const yaml_node_t *yaml)
{
    struct job_node node = {.kind = NODE_SCALAR, .line = yaml->start_mark.line + 1, .text = "", .yaml = yaml};

    switch (yaml->type) {
    case YAML_SCALAR_NODE:
        node.text = (const char *)yaml->data.scalar.value;
        node.size = yaml->data.scalar.length;
        node.plain = yaml->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node.is_null = node.plain && is_null_word(node.text);
        break;
    case YAML_SEQUENCE_NODE:
        node.kind = NODE_LIST;
        node.count = (size_t)(yaml->data.sequence.items.top - yaml->data.sequence.items.start);
        break;
    case YAML_MAPPING_NODE:
        node.kind = NODE_MAPPING;
        node.count = (size_t)(yaml->data.mapping.pairs.top - yaml->data.mapping.pairs.start);
        break;
    case YAML_NO_NODE:
        break;
    }
    return node;
}

// libyaml only reads the document here, but its prototypes do not say const.
static yaml_document_t *writable(const struct job_document *document)
{
    return (yaml_document_t *)&document->yaml;
}

// Whether the text of a scalar is of the kind that a tag names; quoted texts are no numbers here.
static bool fits_tag(const char *tag, const char *text, bool is_plain)
{
    double number;
    const bool is_word = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    const bool is_number = number_parse(text, &number), is_whole = strpbrk(text, ".eE") == NULL;
    const bool is_null = is_null_word(text);

    if (strcmp(tag, "str") == 0)
        return !is_plain || (!is_word && !is_null && !is_number);
    if (strcmp(tag, "int") == 0 || strcmp(tag, "float") == 0)
        return is_plain && is_number && is_whole == (tag[0] == 'i');
    return is_plain && ((strcmp(tag, "bool") == 0 && is_word) || (strcmp(tag, "null") == 0 && is_null));
}

// tag: of those that YAML defines, such as "str".
static enum status check_tag(const struct job_document *document, const yaml_event_t *event, const char *tag,
                             struct error *err)
{
    const char *text = event->type == YAML_SCALAR_EVENT           ? (const char *)event->data.scalar.value
                       : event->type == YAML_SEQUENCE_START_EVENT ? "a list"
                                                                  : "a section";
    const bool fits = event->type == YAML_SCALAR_EVENT
                          ? fits_tag(tag, text, event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
                          : strcmp(tag, event->type == YAML_SEQUENCE_START_EVENT ? "seq" : "map") == 0;
    char shown[48], shown_tag[32];

    if (fits)
        return STATUS_OK;
    return refuse_line(document, event->start_mark.line + 1, err,
                       "the tag !!%s does not fit %s: no value needs a tag, and quotes make a text",
                       job_printable(tag, shown_tag, sizeof shown_tag),
                       text[0] != '\0' ? job_printable(text, shown, sizeof shown) : "''");
}

// Refuses what YAML takes for a tag or an anchor and would leave out without a word. An anchor is good for
// what an alias names again, which is never nothing.
static enum status check_beginning(const struct job_document *document, const yaml_event_t *event,
                                   struct error *err)
{
    static const char standard[] = "tag:yaml.org,2002:";
    const char *tag = event->type == YAML_SCALAR_EVENT ? (const char *)event->data.scalar.tag
                      : event->type == YAML_SEQUENCE_START_EVENT
                          ? (const char *)event->data.sequence_start.tag
                      : event->type == YAML_MAPPING_START_EVENT ? (const char *)event->data.mapping_start.tag
                                                                : NULL;

    if (tag != NULL && strncmp(tag, standard, sizeof standard - 1) != 0)
        return refuse_special(document, event->start_mark.line, "!", err);
    if (tag != NULL)
        FORWARD_IF_ERROR(check_tag(document, event, tag + sizeof standard - 1, err));
    if (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor != NULL &&
        event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.length == 0)
        return refuse_special(document, event->start_mark.line, "&", err);
    return STATUS_OK;
}

// Refuses lists in lists beyond any job's before LibYAML reads them whole, which takes time with the square
// of their depth. What is no YAML is left to the reading.
static enum status check_events(const struct job_document *document, const char *text, size_t size,
                                struct error *err)
{
    yaml_parser_t parser;
    yaml_event_type_t type = YAML_STREAM_START_EVENT;
    enum status status = STATUS_OK;
    size_t depth = 0;

    RETURN_ERROR_IF(!yaml_parser_initialize(&parser), err, STATUS_MEMORY, "out of memory for the job file");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    while (type != YAML_STREAM_END_EVENT && status == STATUS_OK) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            if (parser.error == YAML_MEMORY_ERROR || parser.problem == NULL)
                status = refuse_syntax(document, &parser, err);
            break;
        }
        type = event.type;
        depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
        if (depth > LIMIT_JOB_DEPTH)
            status = refuse_line(document, event.start_mark.line + 1, err,
                                 "lists and sections are %d deep in one another here, deeper than any key's",
                                 LIMIT_JOB_DEPTH + 1);
        else
            status = check_beginning(document, &event, err);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return status;
}

// Names of one list or section are compared pair by pair.
static enum status check_sizes(const struct job_document *document, struct error *err)
{
    for (int i = 1;; i++) {
        const yaml_node_t *node = yaml_document_get_node(writable(document), i);
        if (node == NULL)
            return STATUS_OK;
        const struct job_node seen = view(node);
        if (seen.kind != NODE_SCALAR && seen.count > LIMIT_JOB_ITEMS)
            return refuse_line(document, seen.line, err,
                               "%s of %zu entries begins here, and at most %d are taken",
                               seen.kind == NODE_LIST ? "a list" : "a section", seen.count, LIMIT_JOB_ITEMS);
    }
}

enum status job_document_load(struct job_document *document, const char *text, size_t size, struct error *err)
{
    const char *name = document->set == NULL ? document->source->path : "--set";
    yaml_parser_t parser;
    enum status status;

    RETURN_ERROR_IF(size > LIMIT_JOB_BYTES, err, STATUS_USAGE,
                    "%s: has %zu bytes, and a job has at most %zu: is it one?", name, size, LIMIT_JOB_BYTES);
    FORWARD_IF_ERROR(check_events(document, text, size, err));
    RETURN_ERROR_IF(!yaml_parser_initialize(&parser), err, STATUS_MEMORY,
                    "%s: out of memory for the job file", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (!yaml_parser_load(&parser, &document->yaml)) {
        status = refuse_syntax(document, &parser, err);
        yaml_parser_delete(&parser);
        return status;
    }
    const bool is_empty = yaml_document_get_root_node(&document->yaml) == NULL;
    if (is_empty && document->set != NULL)
        status = refuse_line(document, 1, err, "there is no value; null takes a key out of the job");
    else if (is_empty)
        status = error_set(err, STATUS_USAGE, "%s: the file is empty", name);
    else
        status = check_texts(document, err);
    if (status == STATUS_OK)
        status = check_sizes(document, err);
    if (status == STATUS_OK)
        status = refuse_second_document(document, &parser, err);
    yaml_parser_delete(&parser);
    if (status != STATUS_OK)
        yaml_document_delete(&document->yaml);
    return status;
}

void job_document_free(struct job_document *document)
{
    yaml_document_delete(&document->yaml);
}

struct job_node job_document_root(const struct job_document *document)
{
    return view(yaml_document_get_root_node(writable(document)));
}

struct job_node job_list_item(const struct job_document *document, const struct job_node *list, size_t index)
{
    return view(yaml_document_get_node(writable(document), list->yaml->data.sequence.items.start[index]));
}

void job_mapping_pair(const struct job_document *document, const struct job_node *mapping, size_t index,
                      struct job_node *name, struct job_node *value)
{
    const yaml_node_pair_t *pair = &mapping->yaml->data.mapping.pairs.start[index];
    *name = view(yaml_document_get_node(writable(document), pair->key));
    *value = view(yaml_document_get_node(writable(document), pair->value));
}

size_t job_setting_line(const struct job_document *document, const struct job_node *node)
{
    return document->set == NULL ? node->line : 0;
}

const char *job_printable(const char *text, char *shown, size_t size)
{
    size_t length = strlen(text);
    const bool cut = length > size - 4;

    if (cut)
        for (length = size - 4; length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;)
            length--; // not in the middle of a UTF-8 character
    for (size_t i = 0; i < length; i++)
        shown[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i];
    memcpy(shown + length, cut ? "..." : "", cut ? sizeof "..." : 1);
    return shown;
}

enum status job_node_copy(char **copy, const struct job_node *node, const char *key, struct error *err)
{
    FORWARD_IF_ERROR(allocate(copy, node->size + 1, 1, key, err));
    memcpy(*copy, node->text, node->size + 1);
    return STATUS_OK;
}

// YAML 1.1 reads such whole numbers as octal ones, YAML 1.2 does not, and other programs as they like.
static bool begins_with_zero(const char *text)
{
    text += *text == '+' || *text == '-';
    return text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

bool job_node_number(const struct job_node *node, double *number)
{
    return node->kind == NODE_SCALAR && node->plain && !begins_with_zero(node->text) &&
           number_parse(node->text, number);
}

bool job_node_whole(const struct job_node *node, uint64_t *whole)
{
    return node->kind == NODE_SCALAR && node->plain && !begins_with_zero(node->text) &&
           whole_parse(node->text, whole);
}

const char *job_node_describe(const struct job_node *node, char *text, size_t size)
{
    char shown[48];
    double number;

    if (node->kind != NODE_SCALAR)
        snprintf(text, size,
                 node->kind == NODE_MAPPING ? "a section"
                 : node->count == 0         ? "an empty list"
                                            : "a list");
    else if (node->is_null)
        snprintf(text, size, "nothing");
    else if (node->plain && number_parse(node->text, &number))
        snprintf(text, size, "%s%s", job_printable(node->text, shown, sizeof shown),
                 begins_with_zero(node->text) ? ", octal in YAML 1.1: leave out the zero in front" : "");
    else
        snprintf(text, size, "%s'%s'", node->plain ? "" : "the text ",
                 job_printable(node->text, shown, sizeof shown));
    return text;
}

const char *job_name_describe(const struct job_node *name, char *text, size_t size)
{
    if (name->kind != NODE_SCALAR)
        return name->kind == NODE_LIST ? "a list" : "a section";
    return name->text[0] == '\0' ? "''" : job_printable(name->text, text, size);
}

enum status job_refuse(const struct job_document *document, size_t line, const char *key, struct error *err,
                       const char *format, ...)
{
    char reason[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (document->set != NULL)
        return error_set(err, STATUS_USAGE, "--set %s: %s", key, reason);
    if (line == 0)
        return error_set(err, STATUS_USAGE, "%s: %s: %s", document->source->path, key, reason);
    return error_set(err, STATUS_USAGE, "%s:%zu: %s: %s", document->source->path, line, key, reason);
}
