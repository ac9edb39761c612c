#include "io/model/card_metadata.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

static const char *const kept[] = {"license",      "license_name", "license_link", "language",
                                   "library_name", "pipeline_tag", "datasets",     "tags"};

// The metadata within text; *size 0: there is none.
static const char *front_matter(const char *text, size_t *size)
{
    const char *begin = text, *end;

    *size = 0;
    if (strncmp(begin, "\xef\xbb\xbf", 3) == 0)
        begin += 3;
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

// NULL: no text. A text that is not UTF-8 is none.
static json_t *scalar(const yaml_node_t *node)
{
    return node != NULL && node->type == YAML_SCALAR_NODE
               ? json_stringn((const char *)node->data.scalar.value, node->data.scalar.length)
               : NULL;
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

static void take_members(json_t *metadata, yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);

    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top;
         pair++) {
        json_t *key = scalar(yaml_document_get_node(document, pair->key));
        for (size_t k = 0; key != NULL && k < sizeof kept / sizeof *kept; k++) {
            json_t *value = strcmp(json_string_value(key), kept[k]) == 0
                                ? value_of(document, yaml_document_get_node(document, pair->value))
                                : NULL;
            if (value != NULL)
                json_object_set_new(metadata, kept[k], value);
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
    if (size > 0 && yaml_parser_initialize(&parser)) {
        yaml_parser_set_input_string(&parser, (const unsigned char *)matter, size);
        if (yaml_parser_load(&parser, &document)) {
            take_members(*metadata, &document);
            yaml_document_delete(&document);
        } else {
            *notice = strdup(parser.problem != NULL ? parser.problem : "not understood");
        }
        yaml_parser_delete(&parser);
    }
    free(text);
    return STATUS_OK;
}
