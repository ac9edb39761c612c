#include "pipeline/run/admit/admission.h"

#include "io/file/json.h"
#include "io/file/run_paths.h"
#include "kernels/amount.h"
#include "pipeline/plan/capacity.h"
#include "pipeline/plan/disk_need.h"
#include "pipeline/run/admit/places.h"
#include "pipeline/run/committed/committed_files.h"
#include "stages/export/export.h"
#include "stages/export/exported_files.h"

#include <jansson.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- the outputs ---------------------------------------------------------------------------------------

static bool any_output_exists(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants && settings->output != NULL; v++) {
        char path[PATH_SIZE];
        struct stat info;
        export_path(path, sizeof path, settings, &settings->variants[v]);
        if (lstat(path, &info) == 0)
            return true;
    }
    return false;
}

static bool has_file(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    path_format(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

// Whether the folder's coppice.json says that this run made it, and of which variant.
static bool is_of_run(const char *folder, const struct run_record *record, char *variant, size_t size)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    path_format(path, sizeof path, "%s/" EXPORT_RECORD, folder);
    (void)json_read(&json, path, NULL);
    const char *identity = json_string_value(json_object_get(json, "identity"));
    const char *name = json_string_value(json_object_get(json_object_get(json, "variant"), "name"));
    const bool is_ours = identity != NULL && name != NULL &&
                         strncmp(identity, record->identity, strlen(record->identity)) == 0;
    snprintf(variant, size, "%s", is_ours ? name : "");
    json_decref(json);
    return is_ours;
}

// The models of a sweep are in folders of their own, and the only one of a job is `output` itself. Where the
// folder is that of an earlier job of the other kind, this says what to do.
static enum status refuse_grown(const char *folder, const char *variant, const char *job, struct error *err)
{
    return error_set(
        err, STATUS_USAGE,
        "%s: output: %s is itself the model of %s, from when the job had this variant alone, and the "
        "models of several go into folders in it: choose another output, or move that folder away "
        "and back to %s/%s, where it is taken as done",
        job, folder, variant, folder, variant);
}

static enum status refuse_foreign(const char *folder, const struct run_context *context,
                                  const struct variant *variant, struct error *err)
{
    const json_t *variants = json_object_get(json_object_get(context->record->json, "job"), "variants");
    const json_t *other;
    size_t i;

    json_array_foreach(variants, i, other)
    {
        const char *name = json_string_value(json_object_get(other, "name"));
        char path[PATH_SIZE], found[256];
        path_format(path, sizeof path, "%s/%s", folder, name != NULL ? name : "");
        if (is_of_run(path, context->record, found, sizeof found))
            return error_set(
                err, STATUS_USAGE,
                "%s: output: %s has this run's models in folders of their own, from when the job "
                "had several variants; a job of one writes into output itself: make it %s/%s",
                context->options->path, folder, folder, variant->name);
    }
    return error_set(err, STATUS_USAGE,
                     "%s: output: %s exists and is not this run's: remove it or choose another",
                     context->options->path, folder);
}

static bool is_model(const char *folder)
{
    return has_file(folder, "config.json") &&
           (has_file(folder, EXPORT_RECORD) || has_file(folder, "model.safetensors") ||
            has_file(folder, "model.safetensors.index.json"));
}

// An export of this run that is there, and that lost a file or a part of one since, is none. Its bytes are
// for `coppice verify`.
static enum status check_export(const char *folder, struct error *err)
{
    char path[PATH_SIZE];
    json_t *json;

    path_format(path, sizeof path, "%s/" EXPORT_RECORD, folder);
    FORWARD_IF_ERROR(json_read(&json, path, err));
    const enum status status = exported_files_check(json, folder, err);
    json_decref(json);
    return status;
}

// An output that another run wrote is not overwritten; one that is still to be made needs a folder to be in.
static enum status check_output(const struct run_context *context, const struct variant *variant,
                                struct error *err)
{
    char path[PATH_SIZE], identity[40], other[256];

    export_path(path, sizeof path, context->settings, variant);
    run_record_variant(identity, sizeof identity, context->record, variant->name);
    const enum export_state state = export_state_of(path, identity, err);
    if (state == EXPORT_UNKNOWN)
        return STATUS_FAILED;
    if (state == EXPORT_FOREIGN)
        return refuse_foreign(path, context, variant, err);
    if (state == EXPORT_DONE)
        return check_export(path, err);
    const char *folder = dirname(path);
    if (context->settings->num_variants > 1 && is_of_run(folder, context->record, other, sizeof other))
        return refuse_grown(folder, other, context->options->path, err);
    RETURN_ERROR_IF(is_model(folder), err, STATUS_USAGE,
                    "%s: output: %s is a model, and another would be written into its folder: choose another",
                    context->options->path, folder);
    return place_check(folder, "output", context->options->path, err);
}

static enum status check_outputs(const struct run_context *context, struct error *err)
{
    const struct settings *settings = context->settings;
    for (size_t v = 0; v < settings->num_variants && settings->output != NULL; v++)
        FORWARD_IF_ERROR(check_output(context, &settings->variants[v], err));
    return STATUS_OK;
}

// ---- the disks -----------------------------------------------------------------------------------------

static enum status too_small(const char *what, const char *path, uint64_t needed, uint64_t there,
                             struct error *err)
{
    char need[32], has[32];
    return error_set(err, STATUS_FAILED,
                     "%s: %s %s at least of disk for what is left, %s are free there; --no-check begins "
                     "all the same",
                     path, what, amount_format((double)needed, "B", need, sizeof need),
                     amount_format((double)there, "B", has, sizeof has));
}

static enum status check_disks(const struct run_context *context, struct error *err)
{
    const struct settings *settings = context->settings;
    struct capacity capacity;
    struct disk_need need;
    struct plan_cost cost;

    FORWARD_IF_ERROR(plan_cost(&cost, context->plan, (size_t)context->world->node_size, err));
    disk_need_least(&need, context->plan, &cost, context->record);
    capacity_measure(&capacity, settings->run, settings->output);
    if (capacity.output_shares_the_run && need.run + need.output > capacity.run_free)
        return too_small("the run directory and the output need", settings->run, need.run + need.output,
                         capacity.run_free, err);
    if (need.run > capacity.run_free)
        return too_small("the run directory needs", settings->run, need.run, capacity.run_free, err);
    if (need.output > capacity.output_free)
        return too_small("the output needs", settings->output, need.output, capacity.output_free, err);
    return STATUS_OK;
}

// ---- all of it -----------------------------------------------------------------------------------------

static enum status check_places(const struct run_context *context, struct error *err)
{
    FORWARD_IF_ERROR(check_outputs(context, err));
    return context->options->no_check ? STATUS_OK : check_disks(context, err);
}

static enum status read_inputs(struct admission *admission, const struct run_context *context,
                               struct error *err)
{
    const struct stage stage = {context->world, context->model, context->settings, {0}, NULL};
    const bool first = admission->record.is_first;

    if (context->stages & 1U << STAGE_SEQUENCES)
        FORWARD_IF_ERROR(sequences_draw(&admission->sequences, &stage, first, err));
    if (context->stages & 1U << STAGE_HELD_OUT)
        FORWARD_IF_ERROR(held_out_draw(&admission->held_out, &stage, first, err));
    return test_data_read(&admission->data, context, &stage, err);
}

enum status admission_check(struct admission *admission, const struct run_context *context, bool only_looks,
                            struct error *err)
{
    const bool root = context->world->rank == 0;
    enum fingerprint_mode mode = context->options->strict ? FINGERPRINT_ALL : FINGERPRINT_CHANGED;
    enum status status = STATUS_OK;

    // Which run an output or another file that is there belongs to, is told by the fingerprints.
    if (only_looks && !context->options->strict && !any_output_exists(context->settings) &&
        !committed_files_exist(context->settings->run))
        mode = FINGERPRINT_NONE;
    FORWARD_IF_ERROR(
        run_record_open(&admission->record, context->world, context->model, context->settings, mode, err));
    if (root)
        status = check_places(context, err);
    FORWARD_IF_ERROR(team_agree(context->world, status, err));
    if (mode != FINGERPRINT_NONE || !admission->record.is_first)
        FORWARD_IF_ERROR(
            committed_files_check_origin(&admission->record, context->settings->run, context->world, err));
    return only_looks && context->options->no_check ? STATUS_OK : read_inputs(admission, context, err);
}

void admission_free(struct admission *admission)
{
    sequences_draft_free(&admission->sequences);
    held_out_draft_free(&admission->held_out);
    test_data_free(&admission->data);
    run_record_free(&admission->record);
}
