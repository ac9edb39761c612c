// item.h - one value of a key, from a node of the YAML document. For read.c.
#pragma once
#include "pipeline/job/value.h"
#include "pipeline/job/yaml.h"

struct reader {
    const struct job_document *document;
    struct error *err;
};

// Reads one item of any type; a mapping of ratios is read by pairs, below. STATUS_USAGE, with what the key
// takes and what it got.
enum status item_read(const struct reader *reader, const struct job_key_row *row, const struct job_node *node,
                      union job_item *item);
// Pair `index` of a mapping of patterns to numbers.
enum status ratio_read(const struct reader *reader, const struct job_key_row *row,
                       const struct job_node *mapping, size_t index, struct ratio *ratio);

// The keys in a value that is a section, or has sections in it: data, name, field of evaluate.perplexity.
// *count 0: it has none.
const char *const *item_member_names(const struct job_key_row *row, size_t *count);

// N:M with 1 <= N <= M <= 32.
bool pattern_parse(const char *text, size_t *keep, size_t *of);

// STATUS_USAGE "FILE:LINE: KEY: must be ..., got ...".
enum status item_refuse(const struct reader *reader, const struct job_key_row *row,
                        const struct job_node *node);
