#include "pipeline/report/cells.h"

#include "pipeline/report/members.h"

#include <string.h>

void write_number(const struct page *page, const json_t *value, int digits)
{
    if (json_is_integer(value))
        fprintf(page->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_number(value))
        fprintf(page->out, "%.*g", digits, json_number_value(value));
    else
        fputs("&ndash;", page->out);
}

void number_cell(const struct page *page, const json_t *value, int digits)
{
    fputs("<td", page->out);
    if (json_is_number(value))
        fprintf(page->out, " data-value=\"%.17g\"", json_number_value(value));
    fputs(">", page->out);
    write_number(page, value, digits);
    fputs("</td>", page->out);
}

void text_cell(const struct page *page, const char *text)
{
    fputs("<td class=\"text\">", page->out);
    html_text(page->out, text);
    fputs("</td>", page->out);
}

void write_plot(const struct page *page, const char *id)
{
    size_t i;
    json_t *item;

    json_array_foreach(page->plots, i, item)
    {
        const char *svg = json_string_value(json_object_get(item, "svg"));
        if (svg == NULL || strcmp(text_of(item, "id"), id) != 0)
            continue;
        fputs("<figure role=\"img\" aria-label=\"", page->out);
        html_text(page->out, text_of(item, "title"));
        fprintf(page->out, "\">%s<figcaption><b>", svg);
        html_text(page->out, text_of(item, "title"));
        fputs(".</b> ", page->out);
        html_text(page->out, text_of(item, "note"));
        fputs("</figcaption></figure>\n", page->out);
    }
}

void begin_table(const struct page *page, const char *const *names, size_t count)
{
    fputs("<div class=\"wide\"><table class=\"sortable\">", page->out);
    fputs("<thead><tr>", page->out);
    for (size_t i = 0; i < count; i++) {
        const int text = names[i][0] == '<';
        fprintf(page->out, "<th scope=\"col\"%s><button type=\"button\">", text ? " class=\"text\"" : "");
        html_text(page->out, names[i] + text);
        fputs("</button></th>", page->out);
    }
    fputs("</tr></thead>\n<tbody>", page->out);
}

void end_table(const struct page *page)
{
    fputs("</tbody></table></div>\n", page->out);
}
