#include "pipeline/report/page/texts.h"

#include "pipeline/report/data/text_models.h"

static void write_head(const struct page *page, const json_t *names)
{
    const char *name;
    json_t *unused;

    fputs("<h3>Texts</h3>\n<div class=\"wide\"><table class=\"sortable\"><thead><tr>"
          "<th scope=\"col\" class=\"text\"><button type=\"button\">variant</button></th>",
          page->out);
    json_object_foreach((json_t *)names, name, unused)
    {
        fputs("<th scope=\"col\"><button type=\"button\">", page->out);
        html_text(page->out, name);
        fputs("</button></th><th scope=\"col\"><button type=\"button\">times dense</button></th>", page->out);
    }
    fputs("</tr></thead>\n<tbody>", page->out);
}

void report_write_texts(const struct page *page)
{
    const json_t *models = json_object_get(page->report, "models");
    json_t *names = measured_names(models, "texts"), *model, *unused;
    const char *name;
    size_t i;

    if (json_object_size(names) > 0) {
        write_head(page, names);
        json_array_foreach(models, i, model)
        {
            const json_t *texts = json_object_get(model, "texts");
            if (json_object_size(texts) == 0)
                continue;
            fputs("<tr>", page->out);
            text_cell(page, json_string_value(json_object_get(model, "variant")));
            json_object_foreach(names, name, unused)
            {
                const json_t *result = json_object_get(texts, name);
                number_cell(page, json_object_get(result, "perplexity"), 6);
                number_cell(page, json_object_get(result, "ratio"), 4);
            }
            fputs("</tr>\n", page->out);
        }
        end_table(page);
        fputs("<p class=\"note\">Perplexity on each text. What names no text on this page is of the first "
              "one.</p>\n",
              page->out);
    }
    json_decref(names);
}
