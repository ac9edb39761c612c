#include "pipeline/run/work/export_work.h"

#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "pipeline/job/json.h"
#include "pipeline/record/results/allocation_json.h"
#include "pipeline/record/results/budget_json.h"
#include "pipeline/record/results/task_results.h"
#include "pipeline/record/results/text_results.h"
#include "stages/evaluate/perplexity.h"
#include "stages/export/export.h"

#include <unistd.h>

// What the export tells of the run. A result that is not there yet is left out; missing takes a line for each
// that is there and cannot be read.
static void add_perplexity(json_t *object, const char *key, const struct settings *settings,
                           const struct variant *variant, json_t *missing)
{
    struct perplexity result;
    struct error why = {0};
    char path[PATH_SIZE];
    json_t *texts = text_results_to_json(settings, variant, missing);

    perplexity_path(path, settings, 0, variant);
    if (access(path, F_OK) == 0 && perplexity_read(&result, path, &why) == STATUS_OK)
        json_object_set_new(object, key,
                            json_pack("{s:f, s:I, s:I}", "perplexity", result.perplexity, "length",
                                      (json_int_t)result.length, "windows", (json_int_t)result.windows));
    if (why.status != STATUS_OK)
        json_array_append_new(missing, json_string(why.message));
    if (texts != NULL)
        json_object_set_new(json_object_get(object, key), "texts", texts);
}

// New reference; NULL when memory ran out.
static json_t *provenance_of(const struct settings *settings, const struct run_record *record,
                             const struct variant *variant, json_t *missing)
{
    json_t *job = settings_to_json(settings), *results = json_object();
    struct error why = {0};

    json_object_del(job, "variants");
    add_perplexity(results, DENSE_NAME, settings, NULL, missing);
    add_perplexity(results, "pruned", settings, variant, missing);
    json_t *provenance =
        json_pack("{s:o, s:o, s:o, s:O?, s:o}", "versions", library_versions(settings->compute), "job", job,
                  "variant", variant_to_json(variant), "fingerprints",
                  json_object_get(record->json, "fingerprints"), "perplexity", results);
    json_t *numerics = run_record_numerics(record);
    if (json_array_size(numerics) > 1)
        json_object_set(provenance, RECORD_NUMERICS, numerics);
    json_decref(numerics);
    json_t *hub = hub_to_json(settings);
    if (hub != NULL)
        json_object_set_new(provenance, "hub", hub);
    json_t *allocation = allocation_to_json(settings, variant, &why);
    if (why.status != STATUS_OK)
        json_array_append_new(missing, json_string(why.message));
    if (allocation != NULL)
        json_object_set_new(provenance, "allocation", allocation);
    json_t *budget = budget_to_json(settings, variant);
    if (budget != NULL)
        json_object_set_new(provenance, "budget", budget);
    if (settings->num_tasks > 0)
        json_object_set_new(provenance, "tasks",
                            json_pack("{s:o, s:o}", "dense", tasks_to_json(settings, NULL, missing), "pruned",
                                      tasks_to_json(settings, variant, missing)));
    return provenance;
}

enum status export_with_provenance(const struct stage *stage, const struct run_record *record,
                                   const struct variant *variant, struct error *err)
{
    char identity[40];
    json_t *provenance = NULL, *missing = json_array();

    run_record_variant(identity, sizeof identity, record, variant->name);
    if (stage->team->rank == 0)
        provenance = provenance_of(stage->settings, record, variant, missing);
    enum status status = json_memory_check("coppice.json", err);
    if (status == STATUS_OK && json_array_size(missing) > 0)
        status = error_set(err, STATUS_FAILED, "%s", json_string_value(json_array_get(missing, 0)));
    json_decref(missing);
    status = team_agree(stage->team, status, err);
    if (status == STATUS_OK)
        status = export_variant(stage, variant, identity, provenance, err);
    json_decref(provenance);
    return status;
}
