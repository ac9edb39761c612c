#include "pipeline/run/diagnose.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/model/open.h"
#include "io/store/store.h"
#include "pipeline/job/ignored_keys.h"
#include "pipeline/job/job.h"
#include "pipeline/job/json.h"
#include "pipeline/job/load.h"
#include "pipeline/plan/unit.h"
#include "pipeline/record/results/diagnostics_means.h"
#include "pipeline/record/run_json/run_record.h"
#include "pipeline/run/process/bus_error.h"
#include "pipeline/text/column.h"
#include "pipeline/text/say.h"
#include "stages/diagnose.h"
#include "stages/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct diagnosis {
    struct stage stage;
    struct layer_weights weights;
    struct settings *settings; // of the record, in the run directory as it is called now
    struct model *model;
    FILE *out, *errors;
    json_t *results; // {VARIANT: ...}
};

static void result_path(char path[PATH_SIZE], const struct diagnosis *d, const struct variant *variant)
{
    run_result_path(path, d->settings->run, variant_name(variant), RESULT_DIAGNOSTICS);
}

// What the user does about a variant whose weights are not all there: a job that does not keep them removed
// them when its results were there, and says so.
static void say_left_out(const struct diagnosis *d, const struct variant *variant)
{
    const bool were_removed = !d->settings->keep_weights && results_are_done(d->settings, variant, NULL);

    if (were_removed)
        say(d->errors,
            "%s is left out: its weights were not kept; coppice run --set compensate.keep_weights=true "
            "JOB.yaml "
            "makes them again",
            variant->name);
    else
        say(d->errors, "%s is left out: its weights are not complete; coppice run JOB.yaml makes the rest",
            variant->name);
}

// Whether all layers of the variant are there. Collective: rank 0 looks.
static enum status is_complete(bool *complete, const struct diagnosis *d, const struct variant *variant,
                               struct error *err)
{
    uint8_t seen = 1;
    char path[PATH_SIZE];
    for (size_t l = 0; variant != NULL && l < d->model->config.num_hidden_layers && seen == 1; l++) {
        // As layer_weights_load finds them.
        run_layer_path(path, d->settings->run,
                       weights_are_written(d->settings, variant) ? RUN_WEIGHTS : RUN_MASKS, variant->name, l);
        seen = store_exists(path);
    }
    FORWARD_IF_ERROR(team_broadcast(d->stage.team, &seen, 1, 0, err));
    *complete = seen != 0;
    return STATUS_OK;
}

static enum status measure(json_t **result, struct diagnosis *d, const struct variant *variant,
                           struct error *err)
{
    json_t *layers = json_array(), *layer;

    for (size_t l = 0; l < d->model->config.num_hidden_layers; l++) {
        const enum status status = diagnose_layer(&layer, &d->stage, &d->weights, variant, l, err);
        if (status != STATUS_OK) {
            json_decref(layers);
            return status;
        }
        json_array_append_new(layers, layer);
    }
    *result = json_pack("{s:i, s:s, s:o}", "format", 1, "variant", variant_name(variant), "layers", layers);
    return STATUS_OK;
}

// One variant: what was measured before is read; otherwise it is measured, and rank 0 writes it.
static enum status diagnose_variant(struct diagnosis *d, const struct variant *variant, struct error *err)
{
    const struct team *team = d->stage.team;
    char path[PATH_SIZE];
    json_t *result = NULL;
    bool complete;
    enum status status = STATUS_OK;

    result_path(path, d, variant);
    FORWARD_IF_ERROR(is_complete(&complete, d, variant, err));
    if (!complete) {
        if (d->errors != NULL)
            say_left_out(d, variant);
        return STATUS_OK;
    }
    if (!team_any(team, team->rank == 0 && sealed_json_read(&result, path, NULL) == STATUS_OK)) {
        FORWARD_IF_ERROR(measure(&result, d, variant, err));
        if (team->rank == 0)
            status = json_memory_check(path, err);
        if (team->rank == 0 && status == STATUS_OK)
            status = sealed_json_write_from(path, result, settings_origin(d->settings), err);
    }
    if (result != NULL)
        json_object_set_new(d->results, variant_name(variant), result);
    if (status == STATUS_OK)
        status = json_memory_check(path, err);
    return team_agree(team, status, err);
}

// ---- for people -----------------------------------------------------------------------------------------

static void print_results(const struct diagnosis *d)
{
    const char *name;
    int column = NAME_COLUMN;
    json_t *result;

    json_object_foreach(d->results, name, result)
    {
        column = column_with(column, name);
    }
    fprintf(d->out, "%-*s", column, "means over layers");
    for (size_t m = 0; m < DIAGNOSTICS_MEANS; m++)
        fprintf(d->out, " %12s", diagnostics_mean_names[m]);
    fprintf(d->out, "\n");
    json_object_foreach(d->results, name, result)
    {
        json_t *means = diagnostics_means(result);
        fprintf(d->out, "%-*s", column, name);
        for (size_t m = 0; m < DIAGNOSTICS_MEANS; m++) {
            const json_t *mean = json_object_get(means, diagnostics_mean_names[m]);
            if (mean != NULL)
                fprintf(d->out, " %12.4f", json_number_value(mean));
            else
                fprintf(d->out, " %12s", "-");
        }
        fprintf(d->out, "\n");
        json_decref(means);
    }
}

// ---- the command ------------------------------------------------------------------------------------------

// The job as it stands in run.json of a run directory, or of the one that a job file names.
static enum status open_settings(struct settings **settings, const struct options *options, struct error *err)
{
    const struct job_sets sets = {options->sets, options->num_sets};
    const char *path = options->path;
    struct settings *job = NULL;
    struct run_record record = {0};
    struct stat info;
    enum status status;

    RETURN_ERROR_IF(stat(path, &info) != 0, err, STATUS_USAGE, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(info.st_mode)) {
        FORWARD_IF_ERROR(job_load(&job, path, &sets, NULL, err));
        path = job->run;
    } else {
        RETURN_ERROR_IF(sets.count > 0, err, STATUS_USAGE,
                        "--set is for a job file, and %s is a run directory", path);
    }
    GOTO_IF_ERROR(run_record_read(&record, path, err), done);
    GOTO_IF_ERROR(settings_from_json(settings, json_object_get(record.json, "job"), path, err), done);
    (*settings)->made_from = record.made_from;
    free((*settings)->run);
    (*settings)->run = strdup(path);
    if ((*settings)->run == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory for a name");
done:
    run_record_free(&record);
    settings_free(job);
    return status;
}

static enum status diagnose_all(struct diagnosis *d, struct error *err)
{
    FORWARD_IF_ERROR(layer_weights_create(&d->weights, &d->stage, err));
    FORWARD_IF_ERROR(diagnose_variant(d, NULL, err));
    for (size_t v = 0; v < d->settings->num_variants; v++)
        FORWARD_IF_ERROR(diagnose_variant(d, &d->settings->variants[v], err));
    return STATUS_OK;
}

enum status diagnose_run(const struct options *options, const struct team *world, FILE *out, FILE *errors,
                         struct error *err)
{
    struct diagnosis d = {.out = out, .errors = errors, .results = json_object()};
    enum status status;

    GOTO_IF_ERROR(team_agree(world, open_settings(&d.settings, options, err), err), done);
    GOTO_IF_ERROR(team_agree(world, settings_open_model(&d.model, d.settings, err), err), done);
    bus_error_name(d.model->checkpoint);
    d.stage = (struct stage){.team = world, .model = d.model, .settings = d.settings};
    status = diagnose_all(&d, err);
    layer_weights_free(&d.weights);
    if (status == STATUS_OK && out != NULL && options->json) {
        json_print(d.results, out);
    } else if (status == STATUS_OK && out != NULL) {
        print_results(&d);
    }
done:
    json_decref(d.results);
    bus_error_name(NULL);
    model_close(d.model);
    settings_free(d.settings);
    return status;
}
