// What is read of a run directory besides its HDF5 files.
#include "io/file/process_identity.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "pipeline/plan/record.h"
#include "pipeline/record/history.h"
#include "pipeline/report/compare.h"
#include "pipeline/report/data/gather.h"
#include "pipeline/report/data/times.h"
#include "pipeline/report/page/html.h"
#include "pipeline/report/variant_table.h"
#include "tests/fuzz/parsers.h"
#include "tests/fuzz/promise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Any change is found: what is accepted is, byte for byte, what would be written.
bool fuzz_sealed(const uint8_t *data, size_t size)
{
    struct error err = {0};
    json_t *json;
    size_t written;

    const char *path = work_file("sealed.json", data, size), *copy = work_path("copy.json");
    if (!OUTCOME(sealed_json_read(&json, path, &err), err, MAY(STATUS_DAMAGED)))
        return false;
    PROMISE(sealed_json_write(copy, json, &err) == STATUS_OK);
    void *bytes = file_bytes(copy, &written);
    PROMISE(written == size && memcmp(bytes, data, size) == 0);
    free(bytes);
    json_decref(json);
    return true;
}

static bool is_ended(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void check_units(const struct history_unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct history_unit *unit = &units[i];
        PROMISE(is_ended(unit->stage, sizeof unit->stage) && is_ended(unit->variant, sizeof unit->variant));
        PROMISE(is_ended(unit->task, sizeof unit->task) && is_ended(unit->process, sizeof unit->process));
        PROMISE(is_ended(unit->node, sizeof unit->node) && is_ended(unit->slurm_job, sizeof unit->slurm_job));
        PROMISE(unit->layer >= -1);
    }
}

bool fuzz_log(const uint8_t *data, size_t size)
{
    struct history history;
    struct error err = {0};

    work_file("log/log.jsonl", data, size);
    if (!OUTCOME(history_read(&history, work_path("log"), &err), err, 0))
        return false;
    check_units(history.units, history.num_units);
    check_units(history.begun, history.num_begun);
    json_t *starts = starts_to_json(&history), *times = times_to_json(&history), *model = json_object();
    PROMISE(starts != NULL && times != NULL);
    variant_times_add(model, &history, "dense");
    variant_times_add(model, &history, "wanda-0.5");
    history_ends_futile(&history, "run", "");
    json_decref(starts);
    json_decref(times);
    json_decref(model);
    const bool good = history.num_starts > 0;
    history_free(&history);
    return good;
}

// An identity that is understood is written as it was read.
bool fuzz_lock(const uint8_t *data, size_t size)
{
    struct process_identity identity, again;
    char *text = malloc(size + 1), out[4096];

    PROMISE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    const bool good = process_identity_parse(&identity, text);
    if (good) {
        PROMISE(process_identity_format(out, sizeof out, &identity) < sizeof out);
        PROMISE(process_identity_parse(&again, out));
        PROMISE(again.pid == identity.pid && again.start == identity.start && again.nonce == identity.nonce);
        PROMISE(strcmp(again.host, identity.host) == 0 && strcmp(again.boot, identity.boot) == 0);
    }
    free(text);
    return good;
}

// ---- the directory ---------------------------------------------------------------------------------------

static const char *const run_files[] = {
    "run.json",
    "plan.json",
    "log.jsonl",
    "results/dense/perplexity.json",
    "results/dense/tasks/t.json",
    "results/dense/texts/x.json",
    "results/dense/diagnostics.json",
    "results/wanda-0.5/perplexity.json",
    "results/wanda-0.5/tasks/t.json",
    "results/wanda-0.5/texts/x.json",
    "results/wanda-0.5/compensation.json",
    "results/wanda-0.5/diagnostics.json",
    "budget/dense/result.json",
    "budget/wanda-0.5/result.json",
    "budget/wanda-0.5/attempt-1.json",
    "outliers/threshold-5/layer-000.json",
    "medians/layer-000.json",
    "curves/wanda-2/layer-000.json",
};

static void write_run(json_t *files, const char *identity)
{
    for (size_t i = 0; i < sizeof run_files / sizeof *run_files; i++) {
        json_t *content = json_object_get(files, run_files[i]);
        struct error err = {0};
        char name[256];
        snprintf(name, sizeof name, "run/%s", run_files[i]);
        unlink(work_path(name));
        if (json_is_string(content))
            work_file(name, json_string_value(content), json_string_length(content));
        if (!json_is_object(content))
            continue;
        work_file(name, "", 0); // for its folders
        if (i > 1 && json_object_get(content, "made_from") == NULL)
            json_object_set_new(content, "made_from", json_string(identity));
        PROMISE(sealed_json_write(work_path(name), content, &err) == STATUS_OK);
    }
}

static void check_page(const json_t *report)
{
    char *page = NULL;
    size_t size, scripts = 0;
    FILE *out = open_memstream(&page, &size);
    json_t *none = json_array(), *rows = json_array();

    PROMISE(out != NULL);
    report_write_html(report, none, "no plots", out);
    PROMISE(fclose(out) == 0);
    PROMISE(is_utf8(page, size) && strlen(page) == size);
    // Names in it are text, whatever they are.
    for (const char *at = page; (at = strstr(at, "<script")) != NULL; at++)
        scripts++;
    PROMISE(scripts <= 1);
    free(page);
    out = open_memstream(&page, &size);
    PROMISE(out != NULL);
    variant_table_add(rows, report);
    variant_table_write_csv(rows, out);
    PROMISE(fclose(out) == 0);
    free(page);
    json_decref(rows);
    json_decref(none);
}

bool fuzz_run_directory(const uint8_t *data, size_t size)
{
    // Bad input data: where there is no plan.json, the model is looked for, which is not there.
    const unsigned allowed = MAY(STATUS_USAGE) | MAY(STATUS_DAMAGED) | MAY(STATUS_INPUT);
    json_t *files = json_loadb((const char *)data, size, 0, NULL), *report;
    struct error err = {0};
    struct run_view view;

    if (!json_is_object(files)) {
        json_decref(files);
        return false;
    }
    const char *identity = json_string_value(json_object_get(json_object_get(files, "run.json"), "identity"));
    write_run(files, identity != NULL ? identity : "0");
    json_decref(files);
    const char *run = work_path("run");
    if (OUTCOME(report_gather(&report, run, &err), err, allowed)) {
        check_page(report);
        json_decref(report);
    }
    const bool good = OUTCOME(run_view_open(&view, run, &err), err, allowed);
    if (good)
        run_view_close(&view);
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    PROMISE(out != NULL);
    const char *const runs[] = {run, run};
    OUTCOME(compare_runs(runs, 2, true, NULL, out, out, &err), err, allowed);
    PROMISE(fclose(out) == 0);
    free(text);
    return good;
}
