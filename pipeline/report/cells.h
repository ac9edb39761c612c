// cells.h - the pieces that an HTML report is made of: tables, cells, plots.
#pragma once
#include "pipeline/report/page.h"
#include <jansson.h>
#include <stddef.h>

// The page that is being written.
struct page {
    const json_t *report, *plots; // as report_write_html gets them
    FILE *out;
};

// A number with so many digits, or a dash where there is none.
void write_number(const struct page *page, const json_t *value, int digits);

// A table whose rows a reader can sort by a click on a column's head. names: the columns; "<" before a name
// says that the column holds text.
void begin_table(const struct page *page, const char *const *names, size_t count);
void end_table(const struct page *page);

// Cells. A number sorts by its full value, not by the digits that are shown.
void number_cell(const struct page *page, const json_t *value, int digits);
void text_cell(const struct page *page, const char *text);

// The plot of this id with its title and note; nothing when it was not drawn.
void write_plot(const struct page *page, const char *id);
