#include "pipeline/report/report.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "pipeline/text/json_memory.h"

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

enum status report_run(const char *run, bool json, FILE *out, struct error *err)
{
    struct text as_csv = {0}, as_html = {0};
    json_t *report = NULL, *plots = NULL;
    const char *no_plots = NULL;
    char path[PATH_SIZE];
    FILE *file;
    enum status status;

    GOTO_IF_ERROR(report_gather(&report, run, err), done);
    GOTO_IF_ERROR(json_memory_check("the report", err), done);
    GOTO_IF_ERROR(open_text(&file, &as_csv, err), done);
    report_write_csv(report, file);
    GOTO_IF_ERROR(close_text(file, err), done);
    GOTO_IF_ERROR(report_draw(&plots, &no_plots, report, err), done);
    GOTO_IF_ERROR(open_text(&file, &as_html, err), done);
    report_write_html(report, plots, no_plots, file);
    GOTO_IF_ERROR(close_text(file, err), done);
    GOTO_IF_ERROR(write_file(run, "report.csv", &as_csv, err), done);
    GOTO_IF_ERROR(write_file(run, "report.html", &as_html, err), done);
    path_format(path, sizeof path, "%s/report.json", run);
    GOTO_IF_ERROR(sealed_json_write(path, report, err), done);
    if (json) {
        json_dumpf(report, out, JSON_INDENT(2));
        fputc('\n', out);
    } else {
        fprintf(out, "%s/report.html\n%s/report.csv\n%s/report.json\n", run, run, run);
        if (no_plots != NULL)
            fprintf(out, "%s\n", no_plots);
    }
done:
    free(as_csv.bytes);
    free(as_html.bytes);
    json_decref(plots);
    json_decref(report);
    return status;
}
