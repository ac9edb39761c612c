#include "pipeline/report/page/tasks.h"

#include "pipeline/report/data/text_models.h"
#include "pipeline/report/page/page.h"

// A share and its standard error, in per cent.
static void write_share(FILE *out, const json_t *share, const json_t *error)
{
    if (!json_is_number(share)) {
        fputs("<td>&ndash;</td>", out);
        return;
    }
    fprintf(out, "<td data-value=\"%.17g\">%.2f", json_number_value(share), 100 * json_number_value(share));
    if (json_is_number(error))
        fprintf(out, " &plusmn; %.2f", 100 * json_number_value(error));
    fputs("</td>", out);
}

static void write_head(const json_t *names, FILE *out)
{
    const char *name;
    json_t *unused;

    fputs("<thead><tr><th scope=\"col\" class=\"text\"><button type=\"button\">variant</button></th>"
          "<th scope=\"col\" class=\"text\"><button type=\"button\">measure</button></th>",
          out);
    json_object_foreach((json_t *)names, name, unused)
    {
        fputs("<th scope=\"col\"><button type=\"button\">", out);
        html_text(out, name);
        fputs("</button></th>", out);
    }
    fputs("<th scope=\"col\"><button type=\"button\">mean</button></th></tr></thead>\n<tbody>", out);
}

static void write_row(const json_t *model, const json_t *names, const char *key, const char *error_key,
                      FILE *out)
{
    const json_t *tasks = json_object_get(model, "tasks");
    const char *name;
    json_t *unused;
    double sum = 0;
    size_t count = 0;

    fputs("<tr><td class=\"text\">", out);
    html_text(out, json_string_value(json_object_get(model, "variant")));
    fprintf(out, "</td><td class=\"text\">%s</td>", key);
    json_object_foreach((json_t *)names, name, unused)
    {
        const json_t *result = json_object_get(tasks, name), *share = json_object_get(result, key);
        write_share(out, share, json_object_get(result, error_key));
        sum += json_number_value(share);
        count += json_is_number(share);
    }
    // A mean over some of the tasks cannot be compared with one over all.
    json_t *mean = count == json_object_size(names) ? json_real(sum / (double)count) : NULL;
    write_share(out, mean, NULL);
    json_decref(mean);
    fputs("</tr>\n", out);
}

void report_write_tasks(const json_t *report, FILE *out)
{
    const json_t *models = json_object_get(report, "models");
    json_t *names = measured_names(models, "tasks"), *model;
    size_t i;

    if (json_object_size(names) > 0) {
        fputs("<h3>Tasks</h3>\n<div class=\"wide\"><table class=\"sortable\">", out);
        write_head(names, out);
        json_array_foreach(models, i, model)
        {
            if (json_object_get(model, "tasks") != NULL)
                write_row(model, names, "acc", "acc_stderr", out);
        }
        json_array_foreach(models, i, model)
        {
            if (json_object_get(model, "tasks") != NULL)
                write_row(model, names, "acc_norm", "acc_norm_stderr", out);
        }
        fputs(
            "</tbody></table></div>\n<p class=\"note\">Per cent of the examples, with the standard error. "
            "acc "
            "takes the option with the largest log-likelihood (of a task without options: the most probable "
            "words are the right ones), acc_norm the largest per byte.</p>\n",
            out);
    }
    json_decref(names);
}
