// published_table.h - tables of perplexities that were published beside the measured ones.
#pragma once
#include <jansson.h>
#include <stdio.h>

// Tables of rows [{"variant", "published": the above}], as text and as HTML; nothing without rows. run: goes
// into the head, such as "[1]"; NULL: none.
void published_print(const json_t *rows, const char *run, FILE *out);
void published_write_html(const json_t *rows, const char *run, FILE *out);
