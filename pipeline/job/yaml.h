// yaml.h - a YAML document as nodes with kinds, texts and lines: all that the job file's schema needs of
// libyaml.
#pragma once
#include "kernels/error.h"
#include "pipeline/job/source.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

struct job_document {
    const struct job_source *source;
    const char *set; // NULL: this is the job file; otherwise the key whose value the command line sets
    yaml_document_t yaml;
};

enum job_node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING };

// A view into the document.
struct job_node {
    enum job_node_kind kind;
    size_t line;      // from 1
    const char *text; // scalar: NUL-terminated, without NUL inside
    size_t size;      // scalar: bytes of text
    bool plain;       // scalar: written without quotes
    bool is_null;     // scalar: nothing, ~ or null
    size_t count;     // list: items; mapping: pairs
    const yaml_node_t *yaml;
};

// Fills in the YAML of text[size], for `source` and `set` that the caller has filled in. STATUS_USAGE
// "FILE:LINE: not valid YAML: ..." for what is no YAML, empty, or more than one document. After success freed
// with job_document_free.
enum status job_document_load(struct job_document *document, const char *text, size_t size,
                              struct error *err);
void job_document_free(struct job_document *document);

struct job_node job_document_root(const struct job_document *document);
struct job_node job_list_item(const struct job_document *document, const struct job_node *list, size_t index);
void job_mapping_pair(const struct job_document *document, const struct job_node *mapping, size_t index,
                      struct job_node *name, struct job_node *value);

// The line as settings keep it (setting_place in stages/stage.h): 0 for the command line.
size_t job_setting_line(const struct job_document *document, const struct job_node *node);

// Copies text for messages: control characters become '?', and a text of more than size - 4 bytes ends in
// "...". Returns shown.
const char *job_printable(const char *text, char *shown, size_t size);

// A number, all of a scalar without quotes, as text/number.h has it; none begins with a zero before a digit.
bool job_node_number(const struct job_node *node, double *number);
bool job_node_whole(const struct job_node *node, uint64_t *whole);

// Describes a node for messages: "1.5", "'abc'", "a list", "nothing". Returns text.
const char *job_node_describe(const struct job_node *node, char *text, size_t size);

// The same of the name of a key, without quotes: "zebra", "''", "a list".
const char *job_name_describe(const struct job_node *name, char *text, size_t size);

// *copy <- a scalar's text; the caller frees it. key: for the message when memory ran out.
enum status job_node_copy(char **copy, const struct job_node *node, const char *key, struct error *err);

// STATUS_USAGE "FILE:LINE: KEY: ..."; line 0: "FILE: KEY: ..."; of the command line "--set KEY: ...".
enum status job_refuse(const struct job_document *document, size_t line, const char *key, struct error *err,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));
