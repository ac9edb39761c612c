#include "pipeline/status.h"

#include "io/store.h"
#include "pipeline/job.h"
#include "pipeline/job_json.h"
#include "pipeline/plan.h"
#include "pipeline/run_record.h"

#include <stdlib.h>
#include <string.h>

// Done and all units of one stage of one variant.
struct tally {
    size_t done, all;
};

static void tally_variant(struct tally tallies[STAGE_COUNT], const struct plan *plan,
                          const struct run_record *record, const struct variant *variant)
{
    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        if (unit->variant != variant)
            continue;
        tallies[unit->stage].all++;
        if (unit_is_done(unit, plan->settings, record))
            tallies[unit->stage].done++;
    }
}

static json_t *tallies_to_json(const char *name, const struct tally tallies[STAGE_COUNT])
{
    json_t *stages = json_object();
    for (int s = 0; s < STAGE_COUNT; s++)
        if (tallies[s].all > 0)
            json_object_set_new(stages, stage_name((enum stage_kind)s),
                                json_pack("{s:I, s:I}", "done", (json_int_t)tallies[s].done, "all",
                                          (json_int_t)tallies[s].all));
    return json_pack("{s:s, s:o}", "name", name, "stages", stages);
}

static void print_tallies(const char *name, const struct tally tallies[STAGE_COUNT], FILE *out)
{
    fprintf(out, "%-36s", name);
    for (int s = 0; s < STAGE_COUNT; s++)
        if (tallies[s].all > 0)
            fprintf(out, "  %s %zu/%zu", stage_name((enum stage_kind)s), tallies[s].done, tallies[s].all);
    fprintf(out, "\n");
}

static enum status print_plan(const struct plan *plan, const struct run_record *record, const char *run,
                              bool json, FILE *out, struct error *err)
{
    const struct settings *settings = plan->settings;
    json_t *variants = json_array();
    size_t done = 0, all = 0;

    for (size_t v = 0; v < settings->num_variants + 1; v++) {
        const struct variant *variant = v == 0 ? NULL : &settings->variants[v - 1];
        const char *name = variant != NULL ? variant->name : "dense";
        struct tally tallies[STAGE_COUNT] = {{0, 0}};
        tally_variant(tallies, plan, record, variant);
        for (int s = 0; s < STAGE_COUNT; s++) {
            done += tallies[s].done;
            all += tallies[s].all;
        }
        json_array_append_new(variants, tallies_to_json(name, tallies));
        if (!json)
            print_tallies(name, tallies, out);
    }
    if (json) {
        json_t *result = json_pack("{s:s, s:I, s:I, s:b, s:O}", "run", run, "done", (json_int_t)done, "all",
                                   (json_int_t)all, "complete", done == all, "variants", variants);
        char *text = json_dumps(result, JSON_INDENT(2));
        json_decref(result);
        json_decref(variants);
        RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for the status");
        fprintf(out, "%s\n", text);
        free(text);
        return STATUS_OK;
    }
    json_decref(variants);
    fprintf(out, "%zu of %zu units done%s\n", done, all, done == all ? ": complete" : "");
    return STATUS_OK;
}

enum status status_print(const char *run, bool json, FILE *out, struct error *err)
{
    struct run_record record;
    struct settings *settings = NULL;
    struct model *model = NULL;
    struct plan plan = {0};
    enum status status;

    FORWARD_IF_ERROR(run_record_read(&record, run, err));
    GOTO_IF_ERROR(settings_from_json(&settings, json_object_get(record.json, "job"), run, err), done);
    // The run directory may have been moved since.
    free(settings->run);
    settings->run = strdup(run);
    if (settings->run == NULL) {
        status = error_set(err, STATUS_MEMORY, "out of memory");
        goto done;
    }
    GOTO_IF_ERROR(model_open(&model, settings->model, err), done);
    GOTO_IF_ERROR(plan_create(&plan, model, settings, err), done);
    status = print_plan(&plan, &record, run, json, out, err);
done:
    plan_free(&plan);
    model_close(model);
    settings_free(settings);
    run_record_free(&record);
    return status;
}
