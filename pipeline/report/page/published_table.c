#include "pipeline/report/page/published_table.h"

#include "pipeline/report/data/members.h"
#include "pipeline/report/page/page.h"
#include "pipeline/text/column.h"

static void print_number(const json_t *published, const char *key, const char *format, int width, FILE *out)
{
    const json_t *number = json_object_get(published, key);
    if (json_is_number(number))
        fprintf(out, format, width, json_number_value(number));
    else
        fprintf(out, " %*s", width, "-");
}

void published_print(const json_t *rows, const char *run, FILE *out)
{
    char head[48];
    int column = NAME_COLUMN;
    size_t i;
    json_t *row;

    if (json_array_size(rows) == 0)
        return;
    json_array_foreach(rows, i, row)
    {
        column = column_with(column, text_of(row, "variant"));
    }
    snprintf(head, sizeof head, "published%s%s", run != NULL ? " " : "", run != NULL ? run : "");
    fprintf(out, "\n%-*s %9s %12s %12s %12s  %s\n", column, head, "at length", "published", "measured",
            "difference", "source");
    json_array_foreach(rows, i, row)
    {
        const json_t *published = json_object_get(row, "published");
        fprintf(out, "%-*s %9lld", column, text_of(row, "variant"),
                (long long)json_integer_value(json_object_get(published, "length")));
        print_number(published, "perplexity", " %*.4f", 12, out);
        print_number(published, "measured", " %*.4f", 12, out);
        print_number(published, "difference", " %+*.4f", 12, out);
        fprintf(out, "  %s\n", text_of(published, "source"));
    }
}

static void write_cell(const json_t *published, const char *key, const char *format, FILE *out)
{
    const json_t *number = json_object_get(published, key);

    if (json_is_number(number)) {
        fprintf(out, "<td data-value=\"%.17g\">", json_number_value(number));
        fprintf(out, format, json_number_value(number));
        fputs("</td>", out);
    } else {
        fputs("<td>&ndash;</td>", out);
    }
}

void published_write_html(const json_t *rows, const char *run, FILE *out)
{
    static const char *const names[] = {"published at length", "published", "measured at length", "measured",
                                        "difference"};
    size_t i;
    json_t *row;

    if (json_array_size(rows) == 0)
        return;
    fprintf(out,
            "<h2>Published%s%s</h2>\n<div class=\"wide\"><table class=\"sortable\"><thead><tr>"
            "<th scope=\"col\" class=\"text\"><button type=\"button\">variant</button></th>",
            run != NULL ? " " : "", run != NULL ? run : "");
    for (i = 0; i < sizeof names / sizeof *names; i++)
        fprintf(out, "<th scope=\"col\"><button type=\"button\">%s</button></th>", names[i]);
    fputs(
        "<th scope=\"col\" class=\"text\"><button type=\"button\">source</button></th></tr></thead>\n<tbody>",
        out);
    json_array_foreach(rows, i, row)
    {
        const json_t *published = json_object_get(row, "published");
        fputs("<tr><td class=\"text\">", out);
        html_text(out, text_of(row, "variant"));
        fputs("</td>", out);
        write_cell(published, "length", "%.0f", out);
        write_cell(published, "perplexity", "%.4f", out);
        write_cell(published, "measured_length", "%.0f", out);
        write_cell(published, "measured", "%.4f", out);
        write_cell(published, "difference", "%+.4f", out);
        fputs("<td class=\"text\">", out);
        html_text(out, text_of(published, "source"));
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div>\n<p class=\"note\">Perplexities that were published, from the job's "
          "<code>expected</code>. There is no difference between perplexities at different sequence "
          "lengths.</p>\n",
          out);
}
