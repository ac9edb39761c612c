#include "stages/compensate/compensate.h"

#include "io/file/run_paths.h"
#include "stages/compensate/guard.h"
#include "stages/layer/hidden_states.h"
#include "stages/layer/layer_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Masks of linears that are measured together stay in memory.
static const double most_weights_at_once = 268435456; // 2^28: masks of 32 MiB

// A layer while its linears are compensated, on one rank.
struct compensation {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_weights *dense;
    // Where outputs are measured: the layer so far, dense where nothing was pruned yet, in memory of its own.
    struct layer_weights pruned;
    struct hidden_states dense_states, states; // what enters the layer: dense stream, variant's stream
    struct store_reader *masks;
    struct store_writer *writer;
    struct pruned_linear *linears; // in hand
    struct measured_linear *measured;
    size_t count;
    struct guard_choice choices[GUARD_CHOICES]; // what may be kept
    size_t num_choices;
};

// ---- the file -------------------------------------------------------------------------------------------

static enum status write_vector(struct compensation *c, const char *linear, enum dataset dataset,
                                const double *values, size_t length, const char *meaning, struct error *err)
{
    const struct store_shape shape = {.type = STORE_F64, .rank = 1, .dims = {length}, .meaning = meaning};
    char name[DATASET_PATH_SIZE];
    dataset_path(name, linear, dataset);
    FORWARD_IF_ERROR(store_declare(c->writer, name, &shape, err));
    return store_write(c->writer, name, 0, c->stage->team->rank == 0 ? length : 0, values, err);
}

// What rows come to, beside the weight.
struct row_results {
    double *energy[3], *gamma; // [out] each
    void *rows;                // [count, in] in the model's dtype: this rank's
    size_t first, count;
};

static void row_results_free(struct row_results *results)
{
    for (size_t k = 0; k < 3; k++)
        free(results->energy[k]);
    free(results->gamma);
    free(results->rows);
}

// A factor may push a weight beyond the largest number of a 16-bit dtype: better said here than exported.
static enum status check_row(const struct pruned_linear *linear, size_t layer, size_t i, struct error *err)
{
    const struct layer_tensor *tensor = linear->tensor;
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t j = dtype_find_non_finite(linear->rounded, dtype, tensor->in);
    RETURN_ERROR_IF(j < tensor->in, err, STATUS_FAILED,
                    "layers.%zu.%s: weight [%zu, %zu] becomes %g, which %s cannot hold: narrow "
                    "compensate.clamp, or leave the linear dense with prune.skip",
                    layer, tensor->linear, i, j, linear->row[j], dtype_name(dtype));
    return STATUS_OK;
}

static enum status compute_rows(struct row_results *results, struct pruned_linear *linear, size_t layer,
                                struct error *err)
{
    const struct team *team = linear->stage->team;
    const size_t out = linear->tensor->out;
    const size_t row_bytes = linear->tensor->in * dtype_size(linear->tensor->tensor->dtype);
    enum status status = STATUS_OK;

    memset(results, 0, sizeof *results);
    share_of(out, (size_t)team->rank, (size_t)team->size, &results->first, &results->count);
    for (size_t k = 0; k < 3 && status == STATUS_OK; k++)
        status = allocate(&results->energy[k], out, sizeof(double), "row energies", err);
    if (status == STATUS_OK)
        status = allocate(&results->gamma, out, sizeof(double), "row factors", err);
    if (status == STATUS_OK)
        status = allocate_aligned(&results->rows, results->count, row_bytes, "rows of a pruned weight", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    for (size_t row = 0; row < results->count && status == STATUS_OK; row++) {
        const size_t i = results->first + row;
        double energies[3];
        results->gamma[i] = pruned_linear_final(linear, i, energies);
        for (size_t k = 0; k < 3; k++)
            results->energy[k][i] = energies[k];
        memcpy((char *)results->rows + row * row_bytes, linear->rounded, row_bytes);
        status = check_row(linear, layer, i, err);
    }
    FORWARD_IF_ERROR(team_agree(team, status, err));
    for (size_t k = 0; k < 3; k++)
        FORWARD_IF_ERROR(team_allgather(team, results->energy[k], out, sizeof(double), err));
    return team_allgather(team, results->gamma, out, sizeof(double), err);
}

static enum status write_energy(struct compensation *c, const struct pruned_linear *linear,
                                const struct row_results *results, struct error *err)
{
    static const enum dataset energies[3] = {DATASET_ENERGY_BEFORE, DATASET_ENERGY_PRUNED,
                                             DATASET_ENERGY_COMPENSATED};
    static const char *const meanings[3] = {
        "centred energy of each row around its original mean, of the dense weight",
        "the same of the pruned weight, zeros included", "the same after energy compensation"};
    const struct layer_tensor *tensor = linear->tensor;
    char group[DATASET_PATH_SIZE];

    group_path(group, tensor->linear);
    for (size_t k = 0; k < 3; k++) {
        double total = 0;
        for (size_t i = 0; i < tensor->out; i++)
            total += results->energy[k][i];
        FORWARD_IF_ERROR(
            write_vector(c, tensor->linear, energies[k], results->energy[k], tensor->out, meanings[k], err));
        FORWARD_IF_ERROR(store_attribute_f64(c->writer, group, dataset_name(energies[k]), total, err));
    }
    if (linear->energy && c->variant->energy_rows)
        FORWARD_IF_ERROR(write_vector(c, tensor->linear, DATASET_ROW_GAMMA, results->gamma, tensor->out,
                                      "factor of each row", err));
    if (linear->energy && c->variant->energy_columns)
        FORWARD_IF_ERROR(write_vector(c, tensor->linear, DATASET_COLUMN_GAMMA, linear->column_gamma,
                                      tensor->in, "factor of each column", err));
    return STATUS_OK;
}

static enum status write_bias(struct compensation *c, struct pruned_linear *linear, struct error *err)
{
    const struct layer_tensor *tensor = linear->tensor;
    const enum dtype dtype = bias_dtype(tensor);
    const struct store_shape shape = {.type = dtype == DTYPE_F32 ? STORE_F32 : STORE_U16,
                                      .rank = 1,
                                      .dims = {tensor->out},
                                      .meaning = "bias, [out]"};
    char name[DATASET_PATH_SIZE];
    void *bias = NULL;
    enum status status = allocate(&bias, tensor->out, sizeof(float), "a bias", err);

    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    pruned_linear_bias(linear, bias);
    const size_t i = dtype_find_non_finite(bias, dtype, tensor->out);
    if (i < tensor->out) { // the same on every rank
        status =
            error_set(err, STATUS_FAILED,
                      "layers.%zu.%s: bias [%zu] becomes more than %s can hold: narrow compensate.clamp, "
                      "or switch compensate.bias off",
                      c->dense->map.layer, tensor->linear, i, dtype_name(dtype));
        goto done;
    }
    dataset_path(name, tensor->linear, DATASET_BIAS);
    GOTO_IF_ERROR(store_declare(c->writer, name, &shape, err), done);
    GOTO_IF_ERROR(store_attribute_string(c->writer, name, "dtype", dtype_name(dtype), err), done);
    status = store_write(c->writer, name, 0, c->stage->team->rank == 0 ? tensor->out : 0, bias, err);
done:
    free(bias);
    return status;
}

static enum status write_output(struct compensation *c, struct pruned_linear *linear, struct error *err)
{
    const struct variant *variant = c->variant;
    const struct layer_tensor *tensor = linear->tensor;
    char group[DATASET_PATH_SIZE];

    group_path(group, tensor->linear);
    if (variant->bias && linear->bias != NULL)
        FORWARD_IF_ERROR(write_bias(c, linear, err));
    if (!variant_measures(variant))
        return STATUS_OK;
    if (variant->output != MATCHING_OFF && linear->output)
        FORWARD_IF_ERROR(write_vector(c, tensor->linear, DATASET_OUTPUT_GAMMA, linear->gamma, tensor->out,
                                      "factor of each row, from the outputs", err));
    if (variant->energy_columns || variant->energy_rows)
        FORWARD_IF_ERROR(store_attribute_u64(c->writer, group, "energy_kept", linear->energy, err));
    if (variant_matches(variant))
        FORWARD_IF_ERROR(store_attribute_u64(c->writer, group, "output_kept", linear->output, err));
    FORWARD_IF_ERROR(store_attribute_f64(c->writer, group, "output_error_pruned", linear->error_pruned, err));
    FORWARD_IF_ERROR(
        store_attribute_f64(c->writer, group, "output_error_compensated", linear->error_compensated, err));
    FORWARD_IF_ERROR(
        store_attribute_u64(c->writer, group, "output_error_sequences", linear->measured_sequences, err));
    if (isnan(linear->layer_error_pruned))
        return STATUS_OK;
    FORWARD_IF_ERROR(
        store_attribute_f64(c->writer, group, "layer_error_pruned", linear->layer_error_pruned, err));
    return store_attribute_f64(c->writer, group, "layer_error_compensated", linear->layer_error_compensated,
                               err);
}

static enum status write_linear(struct compensation *c, struct pruned_linear *linear, struct error *err)
{
    const struct layer_tensor *tensor = linear->tensor;
    const enum dtype dtype = tensor->tensor->dtype;
    const struct store_shape shape = {.type = dtype == DTYPE_F32 ? STORE_F32 : STORE_U16,
                                      .rank = 2,
                                      .dims = {tensor->out, tensor->in},
                                      .meaning = "pruned and compensated weight, [out, in]"};
    struct row_results results;
    char name[DATASET_PATH_SIZE];
    enum status status;

    GOTO_IF_ERROR(compute_rows(&results, linear, c->dense->map.layer, err), done);
    dataset_path(name, tensor->linear, DATASET_WEIGHT);
    GOTO_IF_ERROR(store_declare(c->writer, name, &shape, err), done);
    GOTO_IF_ERROR(store_attribute_string(c->writer, name, "dtype", dtype_name(dtype), err), done);
    GOTO_IF_ERROR(store_write(c->writer, name, results.first, results.count, results.rows, err), done);
    GOTO_IF_ERROR(write_energy(c, linear, &results, err), done);
    status = write_output(c, linear, err);
done:
    row_results_free(&results);
    return status;
}

// ---- measuring ------------------------------------------------------------------------------------------

// The linear, as what is kept now makes it, takes its place in the pruned layer, each rank of a node bringing
// some rows.
static void put_in_place(struct compensation *c, struct pruned_linear *linear)
{
    const struct team *team = c->stage->team;
    const struct layer_tensor *tensor = linear->tensor, *bias = layer_map_bias(tensor);
    float *block = c->pruned.memory.data;
    size_t first, count;

    share_of(tensor->out, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    for (size_t i = first; i < first + count; i++)
        pruned_linear_final_f32(linear, i, block + tensor->offset + i * tensor->in);
    if (bias != NULL && team->node_rank == 0)
        pruned_linear_bias_f32(linear, block + bias->offset);
}

// A choice of the guard for all linears in hand, in place.
static void put_choice(void *context, size_t choice)
{
    struct compensation *c = context;
    for (size_t i = 0; i < c->count; i++) {
        guard_take(&c->linears[i], &c->measured[i], &c->choices[choice]);
        put_in_place(c, &c->linears[i]);
    }
}

// What is kept of the linears in hand, by the layer's output with each choice.
static enum status choose_by_layer(struct compensation *c, size_t first, struct error *err)
{
    const bool matches = variant_matches(c->variant); // then the dense model's own states are there
    const struct layer_trial trial = {.stage = c->stage,
                                      .dense = c->dense,
                                      .pruned = &c->pruned,
                                      .dense_states = matches ? &c->dense_states : &c->states,
                                      .states = &c->states,
                                      .put = put_choice,
                                      .context = c};
    double errors[GUARD_CHOICES];
    size_t best = 0;

    FORWARD_IF_ERROR(try_in_layer(errors, c->num_choices, &trial, first, err));
    for (size_t k = 1; k < c->num_choices; k++)
        best = errors[k] < errors[best] ? k : best;
    for (size_t i = 0; i < c->count; i++) {
        guard_take(&c->linears[i], &c->measured[i], &c->choices[best]);
        c->linears[i].layer_error_pruned = errors[c->num_choices - 1];
        c->linears[i].layer_error_compensated = errors[best];
    }
    return STATUS_OK;
}

// Measures the linears in hand and decides what is kept.
static enum status measure(struct compensation *c, struct error *err)
{
    const bool matches = variant_matches(c->variant);
    const struct settings *settings = c->stage->settings;
    const size_t held_out = first_held_out(settings, c->variant);
    // Nothing is fitted without matching: only what is held out is looked at, if anything is.
    const size_t first = matches || held_out == settings->sequences ? 0 : held_out;
    const struct measured_streams streams = {.dense = c->dense,
                                             .dense_states = matches ? &c->dense_states : &c->states,
                                             .pruned = matches ? &c->pruned.layer : NULL,
                                             .pruned_states = &c->states};

    for (size_t i = 0; i < c->count; i++)
        c->measured[i] = guard_candidates(&c->linears[i]);
    FORWARD_IF_ERROR(measure_outputs(c->measured, c->count, c->stage, &streams, first, held_out, err));
    if (c->num_choices == 1) {
        for (size_t i = 0; i < c->count; i++)
            guard_take(&c->linears[i], &c->measured[i], &c->choices[0]);
    } else if (c->linears[0].tensor->expert) {
        for (size_t i = 0; i < c->count; i++)
            guard_take(
                &c->linears[i], &c->measured[i],
                &c->choices[guard_choose(&c->linears[i], &c->measured[i], c->choices, c->num_choices)]);
    } else {
        FORWARD_IF_ERROR(choose_by_layer(c, held_out < settings->sequences ? held_out : 0, err));
    }
    for (size_t i = 0; i < c->count; i++)
        guard_report(&c->linears[i], &c->measured[i]);
    shared_block_sync(&c->pruned.memory, c->stage->team);
    for (size_t i = 0; i < c->count; i++)
        put_in_place(c, &c->linears[i]);
    shared_block_sync(&c->pruned.memory, c->stage->team);
    return STATUS_OK;
}

// ---- the layer ------------------------------------------------------------------------------------------

static void drop_linears(struct compensation *c)
{
    for (size_t i = 0; i < c->count; i++) {
        pruned_linear_free(&c->linears[i]);
        measured_linear_free(&c->measured[i]);
    }
    c->count = 0;
}

// Everything about the linears of tensors[0 .. count).
static enum status compensate_linears(struct compensation *c, const struct layer_tensor *const *tensors,
                                      size_t count, struct error *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        c->measured[i] = (struct measured_linear){0};
        status =
            pruned_linear_create(&c->linears[i], c->stage, c->variant, c->dense, tensors[i], c->masks, err);
        c->count = i + 1;
    }
    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    for (size_t i = 0; i < count; i++)
        GOTO_IF_ERROR(pruned_linear_columns(&c->linears[i], err), done);
    if (variant_measures(c->variant))
        GOTO_IF_ERROR(measure(c, err), done);
    for (size_t i = 0; i < count; i++)
        GOTO_IF_ERROR(write_linear(c, &c->linears[i], err), done);
done:
    drop_linears(c);
    return status;
}

// How many of the following linears, sorted by source, are dealt with together: where outputs are measured
// those of one source, because the next ones read what these put out, or as many experts as fit, which are
// measured by themselves; else one.
static size_t batch_size(const struct variant *variant, const struct layer_tensor *const *tensors,
                         size_t count)
{
    size_t n = 1;
    double weights = (double)tensors[0]->out * (double)tensors[0]->in;

    if (!variant_measures(variant))
        return 1;
    for (; n < count; n++) {
        weights += (double)tensors[n]->out * (double)tensors[n]->in;
        if (tensors[0]->expert ? !tensors[n]->expert || weights > most_weights_at_once
                               : tensors[n]->source != tensors[0]->source)
            break;
    }
    return n;
}

// The layer's pruned linears by source, in the order of the map within one.
static size_t collect_tensors(const struct layer_tensor **tensors, const struct compensation *c)
{
    const struct layer_map *map = &c->dense->map;
    size_t count = 0;

    for (size_t source = 0; source < map->num_sources; source++)
        for (size_t i = 0; i < map->num_tensors; i++)
            if (map->tensors[i].source == source &&
                tensor_is_pruned(c->stage->settings, map->layer, &map->tensors[i]))
                tensors[count++] = &map->tensors[i];
    return count;
}

static enum status compensate_all(struct compensation *c, struct error *err)
{
    const size_t most = c->dense->map.num_tensors;
    const struct layer_tensor **tensors = NULL;
    size_t count, batch;
    enum status status = allocate(&tensors, most, sizeof *tensors, "a layer's linears", err);

    if (status == STATUS_OK)
        status = allocate(&c->linears, most, sizeof *c->linears, "a layer's linears", err);
    if (status == STATUS_OK)
        status = allocate(&c->measured, most, sizeof *c->measured, "a layer's linears", err);
    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    count = collect_tensors(tensors, c);
    for (size_t i = 0; i < count; i += batch) {
        batch = batch_size(c->variant, tensors + i, count - i);
        GOTO_IF_ERROR(stage_safe_point(c->stage, STATUS_OK, (double)i / (double)count, err), done);
        GOTO_IF_ERROR(compensate_linears(c, tensors + i, batch, err), done);
        for (size_t k = i; k < i + batch; k++)
            stage_advance(c->stage, 16.0 * (double)tensors[k]->out * (double)tensors[k]->in);
    }
done:
    free(tensors);
    return status;
}

static enum status open_streams(struct compensation *c, size_t layer, struct error *err)
{
    const struct stage *stage = c->stage;

    if (!variant_measures(c->variant))
        return STATUS_OK;
    FORWARD_IF_ERROR(
        hidden_states_open(&c->states, stage, hidden_stream(stage->settings, c->variant), layer, err));
    if (variant_matches(c->variant))
        FORWARD_IF_ERROR(hidden_states_open(&c->dense_states, stage, "dense", layer, err));
    FORWARD_IF_ERROR(layer_weights_create(&c->pruned, stage, err));
    return layer_weights_load(&c->pruned, stage, layer, NULL, err);
}

enum status compensate_layer(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err)
{
    struct compensation c = {.stage = stage, .variant = variant, .dense = weights};
    c.num_choices = guard_choices(c.choices, variant);
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    GOTO_IF_ERROR(open_streams(&c, layer, err), done);
    run_layer_path(path, stage->settings->run, RUN_MASKS, variant->name, layer);
    GOTO_IF_ERROR(store_open(&c.masks, path, stage->team->comm, err), done);
    run_layer_path(path, stage->settings->run, RUN_WEIGHTS, variant->name, layer);
    GOTO_IF_ERROR(store_create(&c.writer, path, stage->team->comm, err), done);
    GOTO_IF_ERROR(compensate_all(&c, err), done);
    status = store_commit(c.writer, err);
    c.writer = NULL;
done:
    store_abandon(c.writer);
    store_close(c.masks);
    hidden_states_close(&c.states);
    hidden_states_close(&c.dense_states);
    layer_weights_free(&c.pruned, stage);
    free(c.linears);
    free(c.measured);
    return status;
}
