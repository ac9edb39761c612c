#include "pipeline/report/report.h"

#include "io/file/commit.h"
#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/text/printable.h"
#include "pipeline/report/data/gather.h"
#include "pipeline/report/page/html.h"
#include "pipeline/report/page/page.h"
#include "pipeline/report/page/save.h"
#include "pipeline/report/plots/plots.h"
#include "pipeline/report/variant_table.h"

#include <stdlib.h>
#include <string.h>

// The contents of one file of the report.
struct text {
    char *bytes;
    size_t size;
};

static enum status open_text(FILE **out, struct text *text, struct error *err)
{
    *out = open_memstream(&text->bytes, &text->size);
    RETURN_ERROR_IF(*out == NULL, err, STATUS_MEMORY, "out of memory for the report");
    return STATUS_OK;
}

static enum status close_text(FILE *out, struct error *err)
{
    const int failed = ferror(out);
    RETURN_ERROR_IF(fclose(out) != 0 || failed, err, STATUS_MEMORY, "out of memory for the report");
    return STATUS_OK;
}

static enum status write_file(const char *run, const char *name, const struct text *text, struct error *err)
{
    char path[PATH_SIZE];
    path_format(path, sizeof path, "%s/%s", run, name);
    return commit_bytes(path, text->bytes, text->size, err);
}

static enum status write_page(struct text *page, const json_t *report, const char **no_plots,
                              struct error *err)
{
    json_t *plots = NULL;
    FILE *file;
    enum status status;

    GOTO_IF_ERROR(report_draw(&plots, no_plots, report, err), done);
    GOTO_IF_ERROR(open_text(&file, page, err), done);
    report_write_html(report, plots, *no_plots, file);
    status = close_text(file, err);
done:
    json_decref(plots);
    return status;
}

static enum status write_table(struct text *table, const json_t *report, struct error *err)
{
    json_t *rows = json_array();
    FILE *file;
    enum status status = open_text(&file, table, err);

    if (status == STATUS_OK) {
        variant_table_add(rows, report);
        variant_table_write_csv(rows, file);
        status = close_text(file, err);
    }
    json_decref(rows);
    return status;
}

// Of what stands in the run directory, everything but an earlier report is left alone.
static enum status check_run(const char *run, struct error *err)
{
    static const struct {
        const char *name, *mark;
    } files[] = {
        {"results.csv", VARIANT_TABLE_MARK}, {"report.html", PAGE_MARK}, {"report.json", "\"xxh3\": \""}};
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        path_format(path, sizeof path, "%s/%s", run, files[i].name);
        FORWARD_IF_ERROR(replaceable_check(path, files[i].mark, err));
    }
    return STATUS_OK;
}

static enum status write_run(const char *run, const struct text *page, json_t *report, struct error *err)
{
    struct text table = {0};
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(check_run(run, err));
    GOTO_IF_ERROR(write_table(&table, report, err), done);
    GOTO_IF_ERROR(write_file(run, "results.csv", &table, err), done);
    GOTO_IF_ERROR(write_file(run, "report.html", page, err), done);
    path_format(path, sizeof path, "%s/report.json", run);
    status = sealed_json_write(path, report, err);
done:
    free(table.bytes);
    return status;
}

enum status report_run(const char *run, bool json, const char *html, FILE *out, struct error *err)
{
    struct text page = {0};
    json_t *report = NULL;
    const char *no_plots = NULL;
    enum status status;

    GOTO_IF_ERROR(report_gather(&report, run, err), done);
    GOTO_IF_ERROR(json_memory_check("the report", err), done);
    GOTO_IF_ERROR(write_page(&page, report, &no_plots, err), done);
    status = html != NULL ? page_save(html, page.bytes, page.size, err) : write_run(run, &page, report, err);
    GOTO_IF_ERROR(status, done);
    if (json) {
        json_print(report, out);
    } else if (html != NULL) {
        fprintf(out, "%s\n", html);
    } else {
        char shown[PATH_SIZE];
        path_format(shown, sizeof shown, "%s", run);
        make_printable(shown);
        fprintf(out, "%s/report.html\n%s/results.csv\n%s/report.json\n", shown, shown, shown);
    }
    if (!json && no_plots != NULL)
        fprintf(out, "%s\n", no_plots);
done:
    free(page.bytes);
    json_decref(report);
    return status;
}
