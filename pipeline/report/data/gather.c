#include "pipeline/report/data/gather.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "pipeline/job/json.h"
#include "pipeline/plan/record.h"
#include "pipeline/record/history.h"
#include "pipeline/record/results/allocation_json.h"
#include "pipeline/record/results/budget_json.h"
#include "pipeline/record/results/compensation_record.h"
#include "pipeline/record/results/diagnostics_means.h"
#include "pipeline/record/results/task_results.h"
#include "pipeline/record/results/text_results.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/data/published.h"
#include "pipeline/report/data/series.h"
#include "pipeline/report/data/text_models.h"
#include "pipeline/report/data/times.h"
#include "pipeline/report/data/uncertainty.h"
#include "pipeline/text/json_printable.h"
#include "stages/evaluate/perplexity.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/linear_record.h"
#include "stages/stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The report while it is gathered.
struct gathering {
    const struct run_view *view;
    const struct history *history;
    size_t layers;
    json_t *models, *linears, *channels, *diagnostics, *missing;
};

static void miss(struct gathering *g, const struct error *why)
{
    json_array_append_new(g->missing, json_string(why->message));
}

static void add_real(json_t *object, const char *key, double value)
{
    // JSON has no infinities; a perplexity that overflowed is left out and said to be so.
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

static size_t layers_of(const struct plan *plan)
{
    size_t layers = 0;
    for (size_t i = 0; i < plan->num_units; i++)
        if (plan->units[i].layer >= 0 && (size_t)plan->units[i].layer >= layers)
            layers = (size_t)plan->units[i].layer + 1;
    return layers;
}

// ---- one layer of one variant ---------------------------------------------------------------------------

struct layer_files {
    struct gathering *g;
    const struct variant *variant;
    size_t layer;
    struct store_reader *masks, *weights; // NULL: not there yet, or no longer
    const json_t *compensation;           // what is left of weights that are not kept, or NULL
    uint64_t *kept, *total;               // of the variant
};

static enum status add_linear(void *context, const char *linear, struct error *err)
{
    static const enum dataset energies[] = {DATASET_ENERGY_BEFORE, DATASET_ENERGY_PRUNED,
                                            DATASET_ENERGY_COMPENSATED};
    struct layer_files *files = context;
    char group[DATASET_PATH_SIZE], name[DATASET_PATH_SIZE];
    uint64_t dims[STORE_MAX_RANK], kept, columns, total = 0;
    size_t rank;
    json_t *row = json_pack("{s:s, s:I, s:s}", "variant", files->variant->name, "layer",
                            (json_int_t)files->layer, "linear", linear);

    json_array_append_new(files->g->linears, row);
    group_path(group, linear);
    if (files->weights != NULL) {
        dataset_path(name, linear, DATASET_WEIGHT);
        FORWARD_IF_ERROR(store_dims(files->weights, name, &rank, dims, err));
        total = rank == 2 ? dims[0] * dims[1] : 0;
        json_object_set_new(row, "weights", json_integer((json_int_t)total));
        struct attribute_copy copy = {row, files->weights, group, STATUS_OK, err};
        for (size_t k = 0; k < sizeof energies / sizeof *energies; k++)
            attribute_copy_real(&copy, dataset_name(energies[k]), dataset_name(energies[k]));
        FORWARD_IF_ERROR(copy.status);
    }
    FORWARD_IF_ERROR(linear_record_add(row, files->masks, files->weights, linear, err));
    if (files->weights == NULL)
        json_object_update_missing(
            row, (json_t *)compensation_record_find(files->compensation, files->layer, linear));
    dataset_path(name, linear, DATASET_MASK);
    if (files->masks == NULL ||
        store_read_attribute_u64(files->masks, name, "kept", &kept, NULL) != STATUS_OK)
        return STATUS_OK;
    json_object_set_new(row, "kept", json_integer((json_int_t)kept));
    // Weights that are not kept are as many as the mask has bits.
    if (total == 0 && store_read_attribute_u64(files->masks, name, "columns", &columns, NULL) == STATUS_OK &&
        store_dims(files->masks, name, &rank, dims, NULL) == STATUS_OK && rank == 2) {
        total = dims[0] * columns;
        json_object_set_new(row, "weights", json_integer((json_int_t)total));
    }
    FORWARD_IF_ERROR(few_tokens_describe(row, files->masks, linear, err));
    if (total > 0) {
        add_real(row, "sparsity", 1 - (double)kept / (double)total);
        *files->kept += kept;
        *files->total += total;
    }
    return STATUS_OK;
}

static void open_if_there(struct gathering *g, struct store_reader **reader, enum run_folder folder,
                          const char *stream, size_t layer)
{
    char path[PATH_SIZE];
    struct error why = {0};
    run_layer_path(path, g->view->settings->run, folder, stream, layer);
    if (store_exists(path) && store_look(reader, path, &why) != STATUS_OK)
        miss(g, &why);
}

static void gather_layer(struct gathering *g, const struct variant *variant, const json_t *compensation,
                         size_t layer, uint64_t *kept, uint64_t *total)
{
    struct layer_files files = {.g = g,
                                .variant = variant,
                                .layer = layer,
                                .compensation = compensation,
                                .kept = kept,
                                .total = total};
    struct error why = {0};

    open_if_there(g, &files.masks, RUN_MASKS, variant->name, layer);
    open_if_there(g, &files.weights, RUN_WEIGHTS, variant->name, layer);
    const struct store_reader *lead = files.masks != NULL ? files.masks : files.weights;
    if (lead != NULL && store_groups(lead, add_linear, &files, &why) != STATUS_OK)
        miss(g, &why);
    store_close(files.masks);
    store_close(files.weights);
}

// ---- one model ------------------------------------------------------------------------------------------

static void add_perplexity(struct gathering *g, json_t *row, const struct variant *variant)
{
    struct perplexity result;
    struct error why = {0};
    char path[PATH_SIZE];

    perplexity_path(path, g->view->settings, 0, variant);
    if (access(path, F_OK) != 0)
        return;
    if (perplexity_read(&result, path, &why) != STATUS_OK) {
        miss(g, &why);
        return;
    }
    add_real(row, "perplexity", result.perplexity);
    json_object_set_new(row, "tokens", json_integer((json_int_t)result.tokens));
    json_object_set_new(row, "windows", json_integer((json_int_t)result.windows));
    json_object_set_new(row, "length", json_integer((json_int_t)result.length));
    const json_t *dense = json_object_get(json_array_get(g->models, 0), "perplexity");
    if (json_is_number(dense))
        add_real(row, "ratio", result.perplexity / json_number_value(dense));
    perplexity_errors_add(row, g->view->settings, 0, variant);
}

static void add_published(const struct settings *settings, json_t *row, const struct variant *variant)
{
    const json_t *perplexity = json_object_get(row, "perplexity");
    json_t *published =
        published_to_json(settings, variant, json_is_number(perplexity) ? json_number_value(perplexity) : NAN,
                          (uint64_t)json_integer_value(json_object_get(row, "length")));
    if (published != NULL)
        json_object_set_new(row, "published", published);
}

static void read_result(struct gathering *g, json_t **result, const char *name, enum run_result file)
{
    char path[PATH_SIZE];
    struct error why = {0};

    *result = NULL;
    run_result_path(path, g->view->settings->run, name, file);
    if (access(path, F_OK) != 0)
        return;
    if (sealed_json_read(result, path, &why) != STATUS_OK)
        miss(g, &why);
    else
        json_object_del(*result, "xxh3");
}

static void add_allocation(struct gathering *g, json_t *row, const struct variant *variant)
{
    struct error why = {0};
    json_t *allocation = allocation_to_json(g->view->settings, variant, &why);
    if (allocation != NULL)
        json_object_set_new(row, "allocation", allocation);
    else if (variant->allocation != ALLOCATION_UNIFORM && why.status == STATUS_DAMAGED)
        miss(g, &why);
}

// A mean over some of the tasks cannot be compared with one over all.
static void add_accuracy(json_t *row, const struct settings *settings, const json_t *tasks)
{
    double mean, error;

    if (json_object_size(tasks) < settings->num_tasks || !tasks_mean(&mean, tasks))
        return;
    add_real(row, "accuracy", mean);
    if (tasks_mean_error(&error, tasks))
        add_real(row, "accuracy_stderr", error);
}

static void gather_model(struct gathering *g, const struct variant *variant)
{
    const char *name = variant_name(variant);
    char series[128];
    uint64_t kept = 0, total = 0;
    struct error why = {0};
    json_t *row = json_pack("{s:s}", "variant", name), *choice, *result;

    if (variant != NULL) {
        series_of(series, sizeof series, variant);
        json_object_set_new(row, "series", json_string(series));
        choice = variant_to_json(variant);
        json_object_del(choice, "name");
        json_object_set_new(row, "target", json_real(variant_target(g->view->settings, variant)));
        json_object_set_new(row, "choice", choice);
        add_allocation(g, row, variant);
        json_t *budget = budget_to_json(g->view->settings, variant);
        if (budget != NULL)
            json_object_set_new(row, "budget", budget);
        json_t *compensation = compensation_record_read(g->view->settings, variant, &why);
        if (why.status == STATUS_DAMAGED)
            miss(g, &why);
        for (size_t layer = 0; layer < g->layers; layer++)
            gather_layer(g, variant, compensation, layer, &kept, &total);
        json_decref(compensation);
    }
    if (total > 0) {
        json_object_set_new(row, "kept", json_integer((json_int_t)kept));
        json_object_set_new(row, "weights", json_integer((json_int_t)total));
        add_real(row, "sparsity", 1 - (double)kept / (double)total);
    }
    json_array_append_new(g->models, row);
    add_perplexity(g, row, variant);
    result = text_results_to_json(g->view->settings, variant, g->missing);
    text_errors_add(result, g->view->settings, variant);
    if (result != NULL)
        json_object_set_new(row, "texts", result);
    add_published(g->view->settings, row, variant);
    result = tasks_to_json(g->view->settings, variant, g->missing);
    if (json_object_size(result) > 0)
        json_object_set(row, "tasks", result);
    add_accuracy(row, g->view->settings, result);
    json_decref(result);
    variant_times_add(row, g->history, name);
    read_result(g, &result, name, RESULT_DIAGNOSTICS);
    if (result != NULL) {
        json_object_set_new(row, "alignment", diagnostics_means(result));
        json_object_set_new(g->diagnostics, name, result);
    }
}

// ---- channels -------------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double report_quantile(const double *sorted, size_t count, double p)
{
    if (count == 0)
        return NAN;
    const double place = p * (double)(count - 1);
    const size_t below = (size_t)place;
    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

static void describe_channels(json_t *row, double *second_moment, const double *max_abs, size_t channels)
{
    static const struct {
        const char *name;
        double p;
    } points[] = {{"min", 0}, {"p05", 0.05}, {"median", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"max", 1}};
    json_t *quantiles = json_object();
    size_t largest = 0, outliers = 0;

    for (size_t j = 0; j < channels; j++)
        if (max_abs[j] > max_abs[largest])
            largest = j;
    qsort(second_moment, channels, sizeof *second_moment, by_value);
    const double median = report_quantile(second_moment, channels, 0.5);
    for (size_t j = 0; j < channels; j++)
        outliers += second_moment[j] > REPORT_OUTLIER * median;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        add_real(quantiles, points[i].name, report_quantile(second_moment, channels, points[i].p));
    json_object_set_new(row, "channels", json_integer((json_int_t)channels));
    json_object_set_new(row, "outliers", json_integer((json_int_t)outliers));
    add_real(row, "max_abs", channels > 0 ? max_abs[largest] : 0);
    json_object_set_new(row, "max_abs_channel", json_integer((json_int_t)largest));
    json_object_set_new(row, "second_moment", quantiles);
}

struct stream_file {
    struct gathering *g;
    const char *stream;
    size_t layer;
    struct store_reader *statistics;
};

static enum status add_channels(void *context, const char *linear, struct error *err)
{
    struct stream_file *file = context;
    char name[DATASET_PATH_SIZE];
    uint64_t dims[STORE_MAX_RANK], tokens = 0;
    double *second_moment = NULL, *max_abs = NULL;
    size_t rank;
    enum status status;

    dataset_path(name, linear, DATASET_SECOND_MOMENT);
    FORWARD_IF_ERROR(store_dims(file->statistics, name, &rank, dims, err));
    GOTO_IF_ERROR(allocate(&second_moment, dims[0], sizeof *second_moment, "channel statistics", err), done);
    GOTO_IF_ERROR(allocate(&max_abs, dims[0], sizeof *max_abs, "channel statistics", err), done);
    GOTO_IF_ERROR(store_read(file->statistics, name, STORE_F64, 0, dims[0], second_moment, err), done);
    dataset_path(name, linear, DATASET_MAX_ABS);
    GOTO_IF_ERROR(store_read(file->statistics, name, STORE_F64, 0, dims[0], max_abs, err), done);
    dataset_path(name, linear, DATASET_COUNT);
    GOTO_IF_ERROR(store_read(file->statistics, name, STORE_U64, 0, 1, &tokens, err), done);
    json_t *row = json_pack("{s:s, s:I, s:s, s:I}", "stream", file->stream, "layer", (json_int_t)file->layer,
                            "linear", linear, "tokens", (json_int_t)tokens);
    describe_channels(row, second_moment, max_abs, dims[0]);
    json_array_append_new(file->g->channels, row);
done:
    free(second_moment);
    free(max_abs);
    return status;
}

static void gather_stream(struct gathering *g, const char *stream)
{
    for (size_t layer = 0; layer < g->layers; layer++) {
        struct stream_file file = {.g = g, .stream = stream, .layer = layer};
        struct error why = {0};
        open_if_there(g, &file.statistics, RUN_STATISTICS, stream, layer);
        if (file.statistics != NULL && store_groups(file.statistics, add_channels, &file, &why) != STATUS_OK)
            miss(g, &why);
        store_close(file.statistics);
    }
}

// ---- the whole ------------------------------------------------------------------------------------------

// What a person calls the model.
static const char *model_name(const json_t *provenance)
{
    const json_t *hub = json_object_get(provenance, "hub");
    const char *folder = text_of(json_object_get(provenance, "job"), "model"), *base = strrchr(folder, '/');
    if (hub != NULL)
        return text_of(hub, "id");
    return base != NULL && base[1] != '\0' ? base + 1 : folder;
}

static enum status gather(json_t **report, const struct run_view *view, const char *run, struct error *err)
{
    const struct settings *settings = view->settings;
    struct history history;

    FORWARD_IF_ERROR(history_read(&history, run, err));
    struct gathering g = {.view = view,
                          .history = &history,
                          .layers = layers_of(&view->plan),
                          .models = json_array(),
                          .linears = json_array(),
                          .channels = json_array(),
                          .diagnostics = json_object(),
                          .missing = json_array()};
    json_t *provenance = json_copy(view->record.json);
    json_object_del(provenance, "xxh3");
    gather_model(&g, NULL);
    for (size_t v = 0; v < settings->num_variants; v++)
        gather_model(&g, &settings->variants[v]);
    if (settings->propagation == PROPAGATION_DENSE)
        gather_stream(&g, DENSE_NAME);
    for (size_t v = 0; settings->propagation == PROPAGATION_PRUNED && v < settings->num_variants; v++)
        gather_stream(&g, settings->variants[v].name);
    *report = json_pack("{s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "format", 1, "run",
                        run, "model", model_name(provenance), "layers", (json_int_t)g.layers, "models",
                        g.models, "linears", g.linears, "channels", g.channels, "diagnostics", g.diagnostics,
                        "times", times_to_json(&history), "starts", starts_to_json(&history), "provenance",
                        provenance, "missing", g.missing);
    history_free(&history);
    return *report != NULL ? STATUS_OK : error_set(err, STATUS_MEMORY, "out of memory for the report");
}

enum status report_gather(json_t **report, const char *run, struct error *err)
{
    struct run_view view;

    *report = NULL;
    FORWARD_IF_ERROR(run_view_open(&view, run, err));
    json_t *raw = NULL;
    const enum status status = gather(&raw, &view, run, err);
    run_view_close(&view);
    FORWARD_IF_ERROR(status);
    // Pages, tables and plots are made from this alone.
    *report = json_printable(raw);
    json_decref(raw);
    return *report != NULL ? STATUS_OK : error_set(err, STATUS_MEMORY, "out of memory for the report");
}
