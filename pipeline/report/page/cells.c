#include "pipeline/report/page/cells.h"

#include "pipeline/report/data/members.h"

#include <math.h>
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

void head_cell(const struct page *page, const char *text)
{
    fputs("<th scope=\"row\" class=\"text\">", page->out);
    html_text(page->out, text);
    fputs("</th>", page->out);
}

void fact_cell(const struct page *page, const json_t *value)
{
    if (json_is_string(value)) {
        text_cell(page, json_string_value(value));
        return;
    }
    fputs("<td class=\"text\">", page->out);
    if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", page->out);
    else
        write_number(page, value, 6);
    fputs("</td>", page->out);
}

void write_perplexity(const struct page *page, double perplexity)
{
    if (perplexity < 100)
        fprintf(page->out, "%.2f", perplexity);
    else if (perplexity < 1e5)
        fprintf(page->out, "%.1f", perplexity);
    else
        fprintf(page->out, "%.3g", perplexity);
}

void write_measure(const struct page *page, const struct measure *measure, double value)
{
    if (measure->lower_is_better)
        write_perplexity(page, value);
    else
        fprintf(page->out, "%.1f %%", 100 * value);
}

void measured_cell(const struct page *page, const json_t *value, const json_t *error, double scale,
                   int digits)
{
    if (!json_is_number(value)) {
        fputs("<td>&ndash;</td>", page->out);
        return;
    }
    fprintf(page->out, "<td data-value=\"%.17g\">%.*f", json_number_value(value), digits,
            scale * json_number_value(value));
    if (json_is_number(error))
        fprintf(page->out, " <small>&plusmn; %.*f</small>", digits, scale * json_number_value(error));
    fputs("</td>", page->out);
}

void share_cell(const struct page *page, double share)
{
    if (!isfinite(share))
        fputs("<td>&ndash;</td>", page->out);
    else
        fprintf(page->out, "<td class=\"bar\" style=\"--share:%.0f%%\" data-value=\"%.17g\">%.2f %%</td>",
                share < 0   ? 0
                : share > 1 ? 100
                            : 100 * share,
                share, 100 * share);
}

// The sample of a line: 30 by 12 pixels, its mark in the middle.
static void write_mark(const struct page *page, const char *mark, const char *colour)
{
    static const struct {
        const char *name, *path;
    } shapes[] = {{"circle", "M11 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0"},
                  {"square", "M11.5 2.5h7v7h-7z"},
                  {"triangle", "M15 1.5l4.5 8h-9z"},
                  {"down", "M15 10.5l4.5-8h-9z"},
                  {"diamond", "M15 1l5 5l-5 5l-5-5z"},
                  {"fill", "M5 1h20v10h-20z"}};
    const bool open = strncmp(mark, "open-", 5) == 0;

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, mark + (open ? 5 : 0)) == 0)
            fprintf(page->out, "<path d=\"%s\" fill=\"%s\" stroke=\"%s\"/>", shapes[i].path,
                    open ? "none" : colour, open ? colour : "none");
}

static void write_legend(const struct page *page, const json_t *legend)
{
    size_t i;
    json_t *line;

    fputs("<ul class=\"legend\">", page->out);
    json_array_foreach(legend, i, line)
    {
        const char *mark = text_of(line, "mark"), *colour = text_of(line, "colour");
        fputs("<li><svg width=\"30\" height=\"12\" aria-hidden=\"true\">", page->out);
        if (strcmp(mark, "fill") != 0)
            fprintf(page->out,
                    "<path d=\"M0 6h30\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\" "
                    "stroke-dasharray=\"%s\"/>",
                    colour, text_of(line, "dash"));
        write_mark(page, mark, colour);
        fputs("</svg> ", page->out);
        html_text(page->out, text_of(line, "name"));
        fputs("</li>", page->out);
    }
    fputs("</ul>", page->out);
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
        fputs("<figure><div role=\"img\" aria-label=\"", page->out);
        html_text(page->out, text_of(item, "title"));
        fputs(". ", page->out);
        html_text(page->out, text_of(item, "note"));
        fprintf(page->out, " The tables have the values.\">%s</div>", svg);
        write_legend(page, json_object_get(item, "legend"));
        fputs("<figcaption><b>", page->out);
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
