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

// NULL: no text, or a null.
static json_t *scalar(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE || is_null(node))
        return NULL;
    char *text = printable_copy((const char *)node->data.scalar.value, node->data.scalar.length);
    json_t *json = text != NULL ? json_string(text) : NULL;
    free(text);
    return json;
}

static json_t *value_of(yaml_document_t *document, const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SEQUENCE_NODE)
        return scalar(node);
    json_t *list = json_array();
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
         item++) {
        json_t *text = scalar(yaml_document_get_node(document, *item));
        if (text != NULL)
            json_array_append_new(list, text);
    }
    return list;
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

// *notice: of the first member that is not taken as it is.
static void take_members(json_t *metadata, char **notice, yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);

    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top;
         pair++) {
        json_t *key = scalar(yaml_document_get_node(document, pair->key));
        const yaml_node_t *node = yaml_document_get_node(document, pair->value);
        for (size_t k = 0; key != NULL && k < sizeof kept / sizeof *kept; k++) {
            if (strcmp(json_string_value(key), kept[k]) != 0)
                continue;
            json_t *value = value_of(document, node);
            if (value != NULL)
                json_object_set_new(metadata, kept[k], value);
            if (*notice == NULL && is_left_out(document, node) &&
                asprintf(notice, "%s: neither a text nor a list of texts", kept[k]) < 0)
                *notice = NULL;
        }
        json_decref(key);
    }
}

enum status card_metadata_read(json_t **metadata, char **notice, const char *folder, struct error *err)
{
    char path[PATH_SIZE], *text = NULL;
    struct stat info;
    yaml_parser_t parser;
    yaml_document_t document;
    size_t size;

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
    } else if (size > 0 && yaml_parser_initialize(&parser)) {
        yaml_parser_set_input_string(&parser, (const unsigned char *)matter, size);
        if (yaml_parser_load(&parser, &document)) {
            take_members(*metadata, notice, &document);
            yaml_document_delete(&document);
        } else {
            *notice = strdup(parser.problem != NULL ? parser.problem : "not understood");
        }
        yaml_parser_delete(&parser);
    }
    free(text);
    return STATUS_OK;
}
