#include "pipeline/record/results/compensation_record.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "stages/layer/linear_record.h"

#include <string.h>
#include <unistd.h>

static void record_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant)
{
    run_result_path(path, settings->run, variant->name, RESULT_COMPENSATION);
}

// One weights file on its way into the record.
struct layer_record {
    const struct store_reader *weights;
    size_t layer;
    json_t *linears;
};

static enum status add_linear(void *context, const char *linear, struct error *err)
{
    static const enum dataset energies[] = {DATASET_ENERGY_BEFORE, DATASET_ENERGY_PRUNED,
                                            DATASET_ENERGY_COMPENSATED};
    const struct layer_record *record = context;
    char group[DATASET_PATH_SIZE];
    json_t *row = json_pack("{s:I, s:s}", "layer", (json_int_t)record->layer, "linear", linear);
    struct attribute_copy copy = {row, record->weights, group, STATUS_OK, err};

    group_path(group, linear);
    for (size_t k = 0; k < sizeof energies / sizeof *energies; k++)
        attribute_copy_real(&copy, dataset_name(energies[k]), dataset_name(energies[k]));
    if (copy.status == STATUS_OK)
        copy.status = linear_record_add(row, NULL, record->weights, linear, err);
    if (json_array_append_new(record->linears, row) != 0 && copy.status == STATUS_OK)
        return error_set(err, STATUS_MEMORY, "out of memory for the results of a compensation");
    return copy.status;
}

enum status compensation_record_write(const struct settings *settings, const struct variant *variant,
                                      size_t layers, struct error *err)
{
    struct layer_record record = {.linears = json_array()};
    char path[PATH_SIZE];
    json_t *json = json_pack("{s:s, s:o}", "variant", variant->name, "linears", record.linears);
    enum status status = STATUS_OK;

    for (record.layer = 0; record.layer < layers && status == STATUS_OK; record.layer++) {
        struct store_reader *weights = NULL;
        run_layer_path(path, settings->run, RUN_WEIGHTS, variant->name, record.layer);
        status = store_look(&weights, path, err);
        record.weights = weights;
        if (status == STATUS_OK)
            status = store_groups(weights, add_linear, &record, err);
        store_close(weights);
    }
    record_path(path, settings, variant);
    if (status == STATUS_OK)
        status = json != NULL ? sealed_json_write_from(path, json, settings_origin(settings), err)
                              : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}

json_t *compensation_record_read(const struct settings *settings, const struct variant *variant,
                                 struct error *err)
{
    char path[PATH_SIZE];
    json_t *json = NULL;
    record_path(path, settings, variant);
    if (access(path, F_OK) != 0 || sealed_json_read(&json, path, err) != STATUS_OK)
        return NULL;
    return json;
}

const json_t *compensation_record_find(const json_t *record, size_t layer, const char *linear)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(record, "linears"), i, row)
    {
        const char *name = json_string_value(json_object_get(row, "linear"));
        if (json_integer_value(json_object_get(row, "layer")) == (json_int_t)layer && name != NULL &&
            strcmp(name, linear) == 0)
            return row;
    }
    return NULL;
}
