// cells.h - the pieces that an HTML report is made of: tables, cells, plots.
#pragma once
#include "pipeline/report/data/levels.h"
#include "pipeline/report/page/page.h"
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
void head_cell(const struct page *page, const char *text);    // of a row
void fact_cell(const struct page *page, const json_t *value); // text, number or flag
// A perplexity in the text: "22.40", "1234.5", "1.23e+06".
void write_perplexity(const struct page *page, double perplexity);
// A value of the measure, as above or in per cent.
void write_measure(const struct page *page, const struct measure *measure, double value);
// A number times scale with so many digits after the point, and its error after it where that is a number.
void measured_cell(const struct page *page, const json_t *value, const json_t *error, double scale,
                   int digits);
// A share in per cent with a bar of that length.
void share_cell(const struct page *page, double share); // NAN: none

// The plot of this id with its title and note; nothing when it was not drawn.
void write_plot(const struct page *page, const char *id);
