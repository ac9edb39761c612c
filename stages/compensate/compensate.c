#include "stages/compensate/compensate.h"

#include "io/file/run_paths.h"
#include "stages/compensate/compensated_file.h"
#include "stages/compensate/guard.h"
#include "stages/layer/hidden_states.h"
#include "stages/layer/layer_trial.h"
#include "stages/layer/linear_groups.h"
#include "stages/work.h"

#include <stdlib.h>

// The masks of linears that are measured together are in memory together.
static const uint64_t most_bytes_at_once = 33554432; // 2^25

// A layer while its linears are compensated, on one rank.
struct compensation {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_weights *dense;
    // Where outputs are measured: the layer so far, dense where nothing is pruned yet, in memory of its own.
    struct layer_weights pruned;
    struct hidden_states dense_states, states; // what enters the layer: dense stream, variant's stream
    struct store_reader *masks;
    struct store_writer *writer;
    struct pruned_linear *linears; // [count] that are compensated together
    struct measured_linear *measured;
    size_t count;
    struct guard_choice choices[GUARD_CHOICES]; // what may be kept
    size_t num_choices;
};

// ---- measuring ------------------------------------------------------------------------------------------

// The linear, with what is kept of its compensation, takes its place in the pruned layer.
static void put_linear(struct compensation *c, struct pruned_linear *linear)
{
    const struct team *team = c->stage->team;
    const struct layer_tensor *tensor = linear->tensor, *bias = layer_map_bias(tensor);
    float *block = c->pruned.memory.data;
    const struct node_rows rows = node_rows_of(block, team, tensor);

    for (size_t i = 0; i < rows.count; i++)
        pruned_linear_final_f32(linear, rows.first + i, rows.values + i * rows.width);
    if (bias != NULL && team->node_rank == 0)
        pruned_linear_bias_f32(linear, block + bias->offset);
}

// A choice of the guard, for all linears, takes its place in the pruned layer.
static void put_choice(void *context, size_t choice)
{
    struct compensation *c = context;
    for (size_t i = 0; i < c->count; i++) {
        guard_take(&c->linears[i], &c->measured[i], &c->choices[choice]);
        put_linear(c, &c->linears[i]);
    }
}

// Keeps of the linears' compensation the choice with which the layer's output has the least error.
static enum status keep_by_layer(struct compensation *c, size_t first, struct error *err)
{
    const bool matches = variant_matches(c->variant); // only then dense_states are open
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

// Measures the linears and decides what is kept.
static enum status measure(struct compensation *c, struct error *err)
{
    const bool matches = variant_matches(c->variant);
    const struct settings *settings = c->stage->settings;
    const size_t held_out = first_held_out(settings, c->variant);
    // Without matching nothing is fitted: only the sequences held out are measured, or all if none is.
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
        FORWARD_IF_ERROR(keep_by_layer(c, held_out < settings->sequences ? held_out : 0, err));
    }
    for (size_t i = 0; i < c->count; i++)
        guard_report(&c->linears[i], &c->measured[i]);
    shared_block_sync(&c->pruned.memory, c->stage->team);
    for (size_t i = 0; i < c->count; i++)
        put_linear(c, &c->linears[i]);
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

// Compensates and writes the linears tensors[count], together.
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
        GOTO_IF_ERROR(compensated_linear_write(&c->linears[i], c->dense->map.layer, c->writer, err), done);
done:
    drop_linears(c);
    return status;
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
    count = linears_by_source(tensors, c->stage->settings, &c->dense->map);
    for (size_t i = 0; i < count; i += batch) {
        batch = variant_measures(c->variant) ? linears_together(tensors + i, count - i, 1, most_bytes_at_once)
                                             : 1;
        GOTO_IF_ERROR(stage_safe_point(c->stage, STATUS_OK, (double)i / (double)count, err), done);
        GOTO_IF_ERROR(compensate_linears(c, tensors + i, batch, err), done);
        for (size_t k = i; k < i + batch; k++)
            stage_advance(c->stage, compensate_work((double)tensors[k]->out * (double)tensors[k]->in));
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
        FORWARD_IF_ERROR(hidden_states_open(&c->dense_states, stage, DENSE_NAME, layer, err));
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
    layer_weights_free(&c.pruned);
    free(c.linears);
    free(c.measured);
    return status;
}
