#include "io/model/card_metadata.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"
#include "io/text/printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

static const char *const kept[] = {"license",      "license_name", "license_link", "language",
                                   "library_name", "pipeline_tag", "datasets",     "tags"};

enum { MOST_BYTES = 1 << 20 }; // of metadata

// The metadata within text; *size 0: there is none.
static const char *front_matter(const char *text, size_t *size)
{
    const char *begin = text, *end;

    *size = 0;
    if (strncmp(begin, "\xef\xbb\xbf", 3) == 0)
        begin += 3;
    begin += strspn(begin, " \t\r\n"); // as the Hub reads it
    if (strncmp(begin, "---", 3) != 0 || begin[3 + strspn(begin + 3, " \t\r")] != '\n')
        return begin;
    begin = strchr(begin, '\n') + 1;
    for (end = begin; *end != '\0'; end = strchr(end, '\n') + 1) {
        if (strncmp(end, "---", 3) == 0 && strchr("\n", end[3 + strspn(end + 3, " \t\r")]) != NULL) {
            *size = (size_t)(end - begin);
            break;
        }
        if (strchr(end, '\n') == NULL)
            break;
    }
    return begin;
}

// A plain scalar that YAML's core schema takes for nothing.
static bool is_null(const yaml_node_t *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    const char *tag = (const char *)node->tag;

    if (tag != NULL && strcmp(tag, YAML_NULL_TAG) == 0)
        return true;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
            strcmp((const char *)node->data.scalar.value, nulls[i]) == 0)
            return true;
    return false;
}

// *json is NULL of what is no text, and of a null. False: out of memory.
static bool scalar(json_t **json, const yaml_node_t *node)
{
    *json = NULL;
    if (node == NULL || node->type != YAML_SCALAR_NODE || is_null(node))
        return true;
    char *text = printable_copy((const char *)node->data.scalar.value, node->data.scalar.length);
    if (text != NULL)
        *json = json_string(text);
    free(text);
    return *json != NULL;
}

// The same of a text or a list.
static bool value_of(json_t **json, yaml_document_t *document, const yaml_node_t *node)
{
    bool whole = true;

    if (node == NULL || node->type != YAML_SEQUENCE_NODE)
        return scalar(json, node);
    json_t *list = json_array(), *text;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && whole; item++)
        whole = scalar(&text, yaml_document_get_node(document, *item)) &&
                (text == NULL || json_array_append_new(list, text) == 0);
    *json = list;
    return whole && list != NULL;
}

// Whether there is a value that is left out: a mapping, or a list of other than texts.
static bool is_left_out(yaml_document_t *document, const yaml_node_t *node)
{
    bool any = false;

    if (node == NULL || node->type == YAML_SCALAR_NODE)
        return false;
    if (node->type != YAML_SEQUENCE_NODE)
        return true;
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
         item++)
        any = any || yaml_document_get_node(document, *item)->type != YAML_SCALAR_NODE;
    return any;
}

// *notice: of the first member that is not taken as it is. False: out of memory.
static bool take_member(json_t *metadata, char **notice, const char *key, yaml_document_t *document,
                        const yaml_node_t *node)
{
    json_t *value;

    if (!value_of(&value, document, node)) {
        json_decref(value);
        return false;
    }
    if (value != NULL && json_object_set_new(metadata, key, value) != 0)
        return false;
    if (*notice == NULL && is_left_out(document, node) &&
        asprintf(notice, "%s: neither a text nor a list of texts", key) < 0) {
        *notice = NULL;
        return false;
    }
    return true;
}

static bool take_members(json_t *metadata, char **notice, yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    bool whole = true;

    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return true;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top && whole; pair++) {
        json_t *key;
        const yaml_node_t *node = yaml_document_get_node(document, pair->value);
        whole = scalar(&key, yaml_document_get_node(document, pair->key));
        for (size_t k = 0; key != NULL && whole && k < sizeof kept / sizeof *kept; k++)
            if (strcmp(json_string_value(key), kept[k]) == 0)
                whole = take_member(metadata, notice, kept[k], document, node);
        json_decref(key);
    }
    return whole;
}

// Whether there was enough memory. What is not understood is a notice.
static bool parse(json_t *metadata, char **notice, const char *text, size_t size)
{
    yaml_parser_t parser;
    yaml_document_t document;
    bool whole;

    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (yaml_parser_load(&parser, &document)) {
        whole = take_members(metadata, notice, &document);
        yaml_document_delete(&document);
    } else {
        *notice = strdup(parser.problem != NULL ? parser.problem : "not understood");
        whole = *notice != NULL && parser.error != YAML_MEMORY_ERROR;
    }
    yaml_parser_delete(&parser);
    return whole;
}

enum status card_metadata_read(json_t **metadata, char **notice, const char *folder, struct error *err)
{
    char path[PATH_SIZE], *text = NULL;
    struct stat info;
    size_t size;
    bool whole = true;

    *notice = NULL;
    *metadata = json_object();
    RETURN_ERROR_IF(*metadata == NULL, err, STATUS_MEMORY, "out of memory for the model card");
    path_format(path, sizeof path, "%s/README.md", folder);
    if (stat(path, &info) != 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(read_file(&text, NULL, path, err));
    const char *matter = front_matter(text, &size);
    if (size > MOST_BYTES) {
        *notice = strdup("longer than a mebibyte");
        whole = *notice != NULL;
    } else if (size > 0) {
        whole = parse(*metadata, notice, matter, size);
    }
    free(text);
    RETURN_ERROR_IF(!whole, err, STATUS_MEMORY, "out of memory for %s", path);
    return STATUS_OK;
}
