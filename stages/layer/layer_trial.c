#include "stages/layer/layer_trial.h"
#include "stages/team/waves.h"
#include "stages/work.h"

#include "stages/team/ordered_sum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t held_out_sequences(const struct settings *settings)
{
    const size_t held_out = settings->sequences / HELD_OUT_DIVISOR;
    if (settings->sequences < 2)
        return 0;
    return held_out > 0 ? held_out : 1;
}

size_t first_held_out(const struct settings *settings, const struct variant *variant)
{
    return settings->sequences - (variant->guard ? held_out_sequences(settings) : 0);
}

size_t layer_trial_workspace(const struct model *model, size_t tokens)
{
    return 2 * tokens * state_size(&model->config.decoder);
}

// One rank's buffers: hidden states that entered and left the dense layer, [tokens, state_size] each, and
// the sums of one sequence: the squared error of each candidate, then that of leaving the layer out.
struct bench {
    const struct layer_trial *trial;
    struct forward_buffers buffers;
    float *input, *output;
    double *partial;
    size_t candidates, values; // values: tokens * state_size
    struct ordered_sum *sums;
};

static enum status bench_create(struct bench *bench, const struct layer_trial *trial, size_t candidates,
                                struct error *err)
{
    const struct model *model = trial->stage->model;
    const size_t tokens = trial->stage->settings->length;

    *bench = (struct bench){.trial = trial, .candidates = candidates};
    bench->values = tokens * state_size(&model->config.decoder);
    FORWARD_IF_ERROR(forward_buffers_create(&bench->buffers, model, tokens, err));
    FORWARD_IF_ERROR(allocate(&bench->partial, candidates + 1, sizeof(double), "sums of errors", err));
    FORWARD_IF_ERROR(allocate_aligned(&bench->input, bench->values, sizeof(float), "hidden states", err));
    return allocate_aligned(&bench->output, bench->values, sizeof(float), "hidden states", err);
}

static void bench_free(struct bench *bench)
{
    forward_buffers_free(&bench->buffers);
    free(bench->partial);
    free(bench->input);
    free(bench->output);
    ordered_sum_free(bench->sums);
}

static void forward(struct bench *bench, const struct layer_weights *weights)
{
    const struct stage *stage = bench->trial->stage;
    memcpy(bench->buffers.hidden, bench->input, bench->values * sizeof *bench->input);
    decoder_layer_forward(&stage->model->config.decoder, &weights->layer, &bench->buffers.rotary,
                          bench->buffers.hidden, stage->settings->length, bench->buffers.workspace, NULL);
}

// Of the hidden states alone, whatever else the states hold.
static double squared_distance(const struct bench *bench, const float *a, const float *b)
{
    const struct decoder_config *config = &bench->trial->stage->model->config.decoder;
    double sum = 0;
    for (size_t row = 0; row < bench->values; row += state_size(config)) {
        for (size_t i = row; i < row + config->hidden_size; i++) {
            const double difference = (double)a[i] - (double)b[i];
            sum += difference * difference;
        }
    }
    return sum;
}

// One wave: this rank's sequence, if it has one, with every candidate. The ranks of a node change the layer
// together, so those without a sequence take part too.
static enum status try_sequence(struct bench *bench, size_t sequence, bool mine, struct error *err)
{
    const struct layer_trial *trial = bench->trial;
    enum status status = STATUS_OK;

    if (mine)
        status = hidden_states_read(trial->dense_states, trial->stage, sequence, bench->input, err);
    if (mine && status == STATUS_OK) {
        forward(bench, trial->dense);
        memcpy(bench->output, bench->buffers.hidden, bench->values * sizeof *bench->output);
        bench->partial[bench->candidates] = squared_distance(bench, bench->output, bench->input);
        if (trial->states != trial->dense_states)
            status = hidden_states_read(trial->states, trial->stage, sequence, bench->input, err);
    }
    mine = mine && status == STATUS_OK;
    for (size_t k = 0; k < bench->candidates; k++) {
        trial->put(trial->context, k);
        shared_block_sync(&trial->pruned->memory, trial->stage->team);
        if (mine) {
            forward(bench, trial->pruned);
            bench->partial[k] = squared_distance(bench, bench->output, bench->buffers.hidden);
        }
        shared_block_sync(&trial->pruned->memory, trial->stage->team);
    }
    return status;
}

static enum status try_all(double *totals, struct bench *bench, size_t first, struct error *err)
{
    const struct stage *stage = bench->trial->stage;
    const struct team *team = stage->team;
    const size_t end = stage->settings->sequences;
    const double pass = (double)(1 + bench->candidates) *
                        layer_forward_work(stage->model, &bench->trial->dense->map, stage->settings->length);

    FORWARD_IF_ERROR(ordered_sum_begin(&bench->sums, team, bench->candidates + 1, 0, err));
    for (size_t wave = waves_begin(team, first, stage->carried != NULL); wave < end;
         wave += (size_t)team->size) {
        size_t sequence;
        const bool mine = wave_sequence(&sequence, team, wave, first, end);
        const enum status status = try_sequence(bench, sequence, mine, err);
        FORWARD_IF_ERROR(stage_safe_point(stage, status, 0, err));
        FORWARD_IF_ERROR(ordered_sum_add(bench->sums, mine ? bench->partial : NULL, err));
        stage_advance(stage, pass * (double)wave_count(team, wave, first, end));
    }
    return ordered_sum_finish(bench->sums, totals, err);
}

enum status try_in_layer(double *errors, size_t candidates, const struct layer_trial *trial, size_t first,
                         struct error *err)
{
    struct bench bench;
    double *totals = NULL;
    bool any = false;
    enum status status = bench_create(&bench, trial, candidates, err);

    if (status == STATUS_OK)
        status = allocate(&totals, candidates + 1, sizeof *totals, "sums of errors", err);
    GOTO_IF_ERROR(team_agree(trial->stage->team, status, err), done);
    GOTO_IF_ERROR(try_all(totals, &bench, first, err), done);
    for (size_t k = 0; k < candidates; k++) {
        errors[k] = totals[k] == 0 ? 0 : totals[k] / totals[candidates];
        if (!isfinite(errors[k]))
            errors[k] = INFINITY;
        any = any || isfinite(errors[k]);
    }
    if (!any)
        status = error_set(err, STATUS_INPUT,
                           "layers.%zu: its output is not finite over the calibration sequences",
                           trial->dense->map.layer);
done:
    bench_free(&bench);
    free(totals);
    return status;
}
