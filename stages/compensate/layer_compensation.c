#include "stages/compensate/layer_compensation.h"

#include "stages/layer/layer_trial.h"

#include <stdlib.h>

// ---- opening and closing --------------------------------------------------------------------------------

static enum status open_streams(struct layer_compensation *c, struct error *err)
{
    const struct stage *stage = c->stage;
    const size_t layer = c->dense->map.layer;

    FORWARD_IF_ERROR(hidden_states_open(&c->states, stage, c->stream, layer, err));
    if (c->kind.matches)
        FORWARD_IF_ERROR(hidden_states_open(&c->dense_states, stage, DENSE_NAME, layer, err));
    FORWARD_IF_ERROR(layer_weights_create(&c->pruned, stage, err));
    return layer_weights_load(&c->pruned, stage, layer, NULL, err);
}

enum status layer_compensation_open(struct layer_compensation *c, struct error *err)
{
    const size_t most = c->dense->map.num_tensors;
    enum status status = allocate(&c->linears, most, sizeof *c->linears, "a layer's linears", err);

    if (status == STATUS_OK)
        status = allocate(&c->measured, most, sizeof *c->measured, "a layer's linears", err);
    FORWARD_IF_ERROR(team_agree(c->stage->team, status, err));
    c->num_choices = guard_choices(c->choices, c->variant, &c->kind);
    if (c->kind.measures)
        FORWARD_IF_ERROR(open_streams(c, err));
    return c->kind.solves ? solver_create(&c->solver, c->stage, &c->dense->map, c->kind.inverts, err)
                          : STATUS_OK;
}

void layer_compensation_drop(struct layer_compensation *c)
{
    for (size_t i = 0; i < c->count; i++) {
        pruned_linear_free(&c->linears[i]);
        measured_linear_free(&c->measured[i]);
    }
    c->count = 0;
}

void layer_compensation_close(struct layer_compensation *c)
{
    layer_compensation_drop(c);
    hidden_states_close(&c->states);
    hidden_states_close(&c->dense_states);
    layer_weights_free(&c->pruned);
    solver_free(&c->solver);
    free(c->linears);
    free(c->measured);
}

// ---- solving --------------------------------------------------------------------------------------------

// Outputs of experts are not compared with the dense model's: the streams route other tokens to them.
static bool compares_streams(const struct layer_compensation *c)
{
    return c->kind.matches && !c->linears[0].tensor->expert;
}

struct gram_input layer_compensation_input(const struct layer_compensation *c,
                                           const struct layer_tensor *tensor)
{
    struct gram_input input = {.map = &c->dense->map,
                               .source = tensor->source,
                               .pruned = {&c->pruned.layer, &c->states},
                               .first = 0,
                               .end = first_held_out(c->stage->settings, c->variant)};
    if (!tensor->expert)
        input.dense = (struct gram_stream){&c->dense->layer, &c->dense_states};
    return input;
}

enum status layer_compensation_solve(struct layer_compensation *c, struct error *err)
{
    const struct layer_tensor *tensor = c->linears[0].tensor;
    const struct gram_input input = layer_compensation_input(c, tensor);
    bool solvable;

    FORWARD_IF_ERROR(solver_gather(&c->solver, &solvable, &input, tensor, err));
    for (size_t i = 0; i < c->count && solvable; i++)
        FORWARD_IF_ERROR(solver_solve(&c->solver, &c->linears[i], err));
    return STATUS_OK;
}

// ---- measuring ------------------------------------------------------------------------------------------

// The linear, with what is kept of its compensation, takes its place in the pruned layer.
static void put_linear(struct layer_compensation *c, struct pruned_linear *linear)
{
    const struct team *team = c->stage->team;
    const struct layer_tensor *tensor = linear->tensor, *bias = layer_map_bias(tensor);
    float *block = c->pruned.memory.data;
    const struct node_rows rows = node_rows_of(block, team, tensor);

    pruned_linear_final_f32(linear, rows.first, rows.count, rows.values);
    if (bias != NULL && team->node_rank == 0)
        pruned_linear_bias_f32(linear, block + bias->offset);
}

// A choice of the guard, for all linears, takes its place in the pruned layer.
static void put_choice(void *context, size_t choice)
{
    struct layer_compensation *c = context;
    for (size_t i = 0; i < c->count; i++) {
        guard_take(&c->linears[i], &c->measured[i], &c->tried[choice]);
        put_linear(c, &c->linears[i]);
    }
}

// Keeps of the linears' compensation the choice with which the layer's output has the least error.
static enum status keep_by_layer(struct layer_compensation *c, size_t first, struct error *err)
{
    const struct layer_trial trial = {.stage = c->stage,
                                      .dense = c->dense,
                                      .pruned = &c->pruned,
                                      .dense_states = compares_streams(c) ? &c->dense_states : &c->states,
                                      .states = &c->states,
                                      .put = put_choice,
                                      .context = c};
    double errors[GUARD_CHOICES];
    size_t best = 0;

    FORWARD_IF_ERROR(try_in_layer(errors, c->num_tried, &trial, first, err));
    for (size_t k = 1; k < c->num_tried; k++)
        best = errors[k] < errors[best] ? k : best;
    for (size_t i = 0; i < c->count; i++) {
        guard_take(&c->linears[i], &c->measured[i], &c->tried[best]);
        c->linears[i].layer_error_pruned = errors[c->num_tried - 1];
        c->linears[i].layer_error_compensated = errors[best];
    }
    return STATUS_OK;
}

// Measures the linears from the sequence `first` on, and decides which of c->tried is kept.
static enum status measure_and_keep(struct layer_compensation *c, size_t first, struct error *err)
{
    const struct settings *settings = c->stage->settings;
    const size_t held_out = first_held_out(settings, c->variant);
    const bool compares = compares_streams(c);
    const struct measured_streams streams = {.dense = c->dense,
                                             .dense_states = compares ? &c->dense_states : &c->states,
                                             .pruned = compares ? &c->pruned.layer : NULL,
                                             .pruned_states = &c->states};

    for (size_t i = 0; i < c->count; i++) {
        measured_linear_free(&c->measured[i]);
        c->measured[i] = guard_candidates(&c->linears[i]);
    }
    FORWARD_IF_ERROR(measure_outputs(c->measured, c->count, c->stage, &streams, first, held_out, err));
    if (c->num_tried == 1) {
        for (size_t i = 0; i < c->count; i++)
            guard_take(&c->linears[i], &c->measured[i], &c->tried[0]);
    } else if (c->linears[0].tensor->expert) {
        for (size_t i = 0; i < c->count; i++)
            guard_take(&c->linears[i], &c->measured[i],
                       &c->tried[guard_choose(&c->linears[i], &c->measured[i], c->tried, c->num_tried)]);
    } else {
        FORWARD_IF_ERROR(keep_by_layer(c, held_out < settings->sequences ? held_out : 0, err));
    }
    for (size_t i = 0; i < c->count; i++)
        guard_report(&c->linears[i], &c->measured[i], first);
    return STATUS_OK;
}

// Decides between the first, the solution, and the last, nothing; where that is better, between factors and
// nothing: fitting them takes a look at every sequence, which few groups need.
static enum status keep_solution(struct layer_compensation *c, struct error *err)
{
    const struct settings *settings = c->stage->settings;
    const size_t last = settings->sequences - held_out_sequences(settings);

    c->tried[0] = c->choices[0];
    c->tried[1] = c->choices[c->num_choices - 1];
    c->num_tried = c->num_choices > 1 ? 2 : 1;
    FORWARD_IF_ERROR(
        measure_and_keep(c, c->choices[0].output || last == settings->sequences ? 0 : last, err));
    if (c->num_tried == 1 || c->linears[0].kept == KEPT_SOLVED || c->linears[0].tensor->expert)
        return STATUS_OK;
    c->tried[0] = c->choices[1];
    // Work that nobody planned is not reported: progress would have to go back at the end of the unit.
    const struct stage *stage = c->stage;
    struct stage quiet = *stage;
    quiet.hooks.advance = NULL;
    c->stage = &quiet;
    const enum status status = measure_and_keep(c, 0, err);
    c->stage = stage;
    return status;
}

enum status layer_compensation_decide(struct layer_compensation *c, struct error *err)
{
    const struct settings *settings = c->stage->settings;
    const size_t held_out = first_held_out(settings, c->variant);

    if (c->kind.solves) {
        FORWARD_IF_ERROR(keep_solution(c, err));
    } else {
        for (size_t k = 0; k < c->num_choices; k++)
            c->tried[k] = c->choices[k];
        c->num_tried = c->num_choices;
        // Without matching nothing is fitted: only the sequences held out are measured, or all if none is.
        FORWARD_IF_ERROR(
            measure_and_keep(c, c->kind.matches || held_out == settings->sequences ? 0 : held_out, err));
    }
    shared_block_sync(&c->pruned.memory, c->stage->team);
    for (size_t i = 0; i < c->count; i++)
        put_linear(c, &c->linears[i]);
    shared_block_sync(&c->pruned.memory, c->stage->team);
    return STATUS_OK;
}
