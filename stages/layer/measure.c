#include "stages/layer/measure.h"

#include "stages/team/ordered_sum.h"
#include "stages/team/waves.h"
#include "stages/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB = 256 }; // output channels that are computed at a time

void measured_linear_free(struct measured_linear *linear)
{
    for (size_t part = 0; part < SEQUENCE_PARTS; part++)
        free(linear->sums[part]);
    linear->sums[FITTED] = linear->sums[HELD_OUT] = NULL;
}

void measured_moments(struct output_moments *moments, const struct measured_linear *linear,
                      enum sequence_part part, size_t candidate, size_t channel)
{
    const size_t out = linear->tensor->out;
    output_moments(moments, linear->sums[part] + candidate * OUTPUT_SUMS * out + channel, out,
                   linear->tokens[part]);
}

size_t measure_workspace(size_t tokens, size_t in)
{
    return tokens * in + SLAB * in + 2 * tokens * SLAB;
}

// One rank's buffers and sums.
struct meter {
    const struct stage *stage;
    const struct measured_streams *streams;
    struct measured_linear *linears;
    size_t count, length; // length: doubles of all linears' sums
    size_t last;          // the last source that is wanted
    enum sequence_part part;
    double work;     // of one sequence
    double *partial; // [length] of one sequence, linear after linear
    float *inputs;   // [tokens, widest in] from the dense stream
    float *rows;     // [SLAB, widest in] of a candidate
    float *y, *z;    // [tokens, SLAB]
    struct forward_buffers buffers;
    struct ordered_sum *sums[SEQUENCE_PARTS];
    double *totals;
};

static size_t sums_of(const struct measured_linear *linear)
{
    return linear->candidates * OUTPUT_SUMS * linear->tensor->out;
}

static void meter_free(struct meter *meter)
{
    free(meter->partial);
    free(meter->inputs);
    free(meter->rows);
    free(meter->y);
    free(meter->z);
    free(meter->totals);
    forward_buffers_free(&meter->buffers);
    ordered_sum_free(meter->sums[FITTED]);
    ordered_sum_free(meter->sums[HELD_OUT]);
}

static enum status meter_create(struct meter *meter, struct measured_linear *linears, size_t count,
                                const struct stage *stage, const struct measured_streams *streams,
                                struct error *err)
{
    const size_t tokens = stage->settings->length;
    size_t widest = 0;

    *meter = (struct meter){.stage = stage, .streams = streams, .linears = linears, .count = count};
    for (size_t i = 0; i < count; i++) {
        meter->length += sums_of(&linears[i]);
        widest = linears[i].tensor->in > widest ? linears[i].tensor->in : widest;
        meter->last = linears[i].tensor->source > meter->last ? linears[i].tensor->source : meter->last;
        linears[i].tokens[FITTED] = linears[i].tokens[HELD_OUT] = 0;
        meter->work +=
            (double)(1 + linears[i].candidates) * product_work(stage->model, linears[i].tensor, tokens);
    }
    meter->work += (streams->pruned != NULL ? 2 : 1) *
                   source_forward_work(stage->model, &streams->dense->map, meter->last, tokens);
    FORWARD_IF_ERROR(forward_buffers_create(&meter->buffers, stage->model, tokens, err));
    FORWARD_IF_ERROR(allocate(&meter->partial, meter->length, sizeof(double), "sums of outputs", err));
    FORWARD_IF_ERROR(allocate(&meter->totals, meter->length, sizeof(double), "sums of outputs", err));
    FORWARD_IF_ERROR(allocate_aligned(&meter->inputs, streams->pruned != NULL ? tokens * widest : 0,
                                      sizeof(float), "the dense model's inputs", err));
    FORWARD_IF_ERROR(
        allocate_aligned(&meter->rows, SLAB * widest, sizeof(float), "rows of a pruned weight", err));
    FORWARD_IF_ERROR(allocate_aligned(&meter->y, tokens * SLAB, sizeof(float), "outputs", err));
    return allocate_aligned(&meter->z, tokens * SLAB, sizeof(float), "outputs", err);
}

// ---- one sequence ---------------------------------------------------------------------------------------

// Adds one linear's outputs: x[tokens, in] from the dense stream, pruned_x from the pruned one.
static void measure_linear(struct meter *meter, const struct measured_linear *linear, double *sums,
                           const float *x, const float *pruned_x, size_t tokens)
{
    const size_t out = linear->tensor->out, in = linear->tensor->in;
    const float *weight = layer_weights_of(meter->streams->dense, linear->tensor);

    for (size_t first = 0; first < out; first += SLAB) {
        const size_t n = out - first < SLAB ? out - first : SLAB;
        gemm_nt(meter->y, n, x, in, weight + first * in, in, tokens, n, in, 1.0F);
        for (size_t c = 0; c < linear->candidates; c++) {
            const float *rows = linear->rows(linear->context, c, first, n, meter->rows);
            gemm_nt(meter->z, n, pruned_x, in, rows, in, tokens, n, in, 1.0F);
            output_sums(sums + c * OUTPUT_SUMS * out + first, out, meter->y, meter->z, tokens, n);
        }
    }
}

// All linears that read this source; x NULL: both streams have the same input.
static void measure_source(struct meter *meter, size_t source, const float *x, const float *pruned_x,
                           size_t tokens)
{
    double *sums = meter->partial;
    for (size_t i = 0; i < meter->count; sums += sums_of(&meter->linears[i]), i++)
        if (meter->linears[i].tensor->source == source) {
            measure_linear(meter, &meter->linears[i], sums, x != NULL ? x : pruned_x, pruned_x, tokens);
            meter->linears[i].tokens[meter->part] += tokens;
        }
}

static void see_single(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    (void)channels;
    measure_source(context, source, NULL, x, tokens);
}

static void see_dense(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct meter *meter = context;
    if (source == meter->last)
        memcpy(meter->inputs, x, tokens * channels * sizeof *x);
}

static void see_pruned(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct meter *meter = context;
    (void)channels;
    if (source == meter->last)
        measure_source(meter, source, meter->inputs, x, tokens);
}

static void pass(struct meter *meter, const struct decoder_layer *layer,
                 void (*see)(void *, size_t, const float *, size_t, size_t))
{
    const struct decoder_observer observer = {
        .context = meter, .input = see, .stops = true, .last = meter->last};
    decoder_layer_forward(&meter->stage->model->config.decoder, layer, &meter->buffers.rotary,
                          meter->buffers.hidden, meter->stage->settings->length, meter->buffers.workspace,
                          &observer);
}

static enum status measure_sequence(struct meter *meter, size_t sequence, struct error *err)
{
    const struct measured_streams *streams = meter->streams;
    float *hidden = meter->buffers.hidden;

    memset(meter->partial, 0, meter->length * sizeof *meter->partial);
    FORWARD_IF_ERROR(hidden_states_read(streams->dense_states, meter->stage, sequence, hidden, err));
    if (streams->pruned == NULL) {
        pass(meter, &streams->dense->layer, see_single);
        return STATUS_OK;
    }
    pass(meter, &streams->dense->layer, see_dense);
    FORWARD_IF_ERROR(hidden_states_read(streams->pruned_states, meter->stage, sequence, hidden, err));
    pass(meter, streams->pruned, see_pruned);
    return STATUS_OK;
}

// ---- all sequences --------------------------------------------------------------------------------------

// The sequences [first, end), in waves of one a rank.
static enum status measure_part(struct meter *meter, enum sequence_part part, size_t first, size_t end,
                                struct error *err)
{
    const struct team *team = meter->stage->team;
    enum status status = STATUS_OK;

    meter->part = part;
    FORWARD_IF_ERROR(ordered_sum_begin(&meter->sums[part], team, meter->length, 0, err));
    for (size_t wave = waves_begin(team, first, meter->stage->carried != NULL); wave < end;
         wave += (size_t)team->size) {
        size_t sequence;
        const bool mine = wave_sequence(&sequence, team, wave, first, end);
        if (mine)
            status = measure_sequence(meter, sequence, err);
        FORWARD_IF_ERROR(stage_safe_point(meter->stage, status, 0, err));
        FORWARD_IF_ERROR(ordered_sum_add(meter->sums[part], mine ? meter->partial : NULL, err));
        stage_advance(meter->stage, meter->work * (double)wave_count(team, wave, first, end));
    }
    return STATUS_OK;
}

static enum status check_finite(const struct measured_linear *linear, enum sequence_part part, size_t layer,
                                struct error *err)
{
    const size_t out = linear->tensor->out;
    // Only the first candidate: others may overflow where it does not.
    for (size_t i = 0; i < OUTPUT_SUMS * out; i++)
        RETURN_ERROR_IF(!isfinite(linear->sums[part][i]), err, STATUS_INPUT,
                        "layers.%zu.%s: output channel %zu is not finite over the calibration sequences",
                        layer, linear->tensor->linear, i % out);
    return STATUS_OK;
}

// Copies the totals to the linears.
static enum status collect(struct meter *meter, enum sequence_part part, struct error *err)
{
    const double *totals = meter->totals;

    FORWARD_IF_ERROR(ordered_sum_finish(meter->sums[part], meter->totals, err));
    for (size_t i = 0; i < meter->count; i++) {
        struct measured_linear *linear = &meter->linears[i];
        FORWARD_IF_ERROR(team_sum_u64(meter->stage->team, &linear->tokens[part], 1, err));
        memcpy(linear->sums[part], totals, sums_of(linear) * sizeof *totals);
        totals += sums_of(linear);
    }
    return STATUS_OK;
}

enum status measure_outputs(struct measured_linear *linears, size_t count, const struct stage *stage,
                            const struct measured_streams *streams, size_t first, size_t held_out,
                            struct error *err)
{
    const size_t bounds[SEQUENCE_PARTS + 1] = {first, held_out, stage->settings->sequences};
    struct meter meter;
    enum status status = meter_create(&meter, linears, count, stage, streams, err);

    for (size_t i = 0; i < count; i++)
        for (size_t part = 0; part < SEQUENCE_PARTS && status == STATUS_OK; part++)
            status = allocate(&linears[i].sums[part], sums_of(&linears[i]), sizeof(double), "sums of outputs",
                              err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    for (int part = 0; part < SEQUENCE_PARTS; part++) {
        if (bounds[part] == bounds[part + 1])
            continue;
        GOTO_IF_ERROR(measure_part(&meter, (enum sequence_part)part, bounds[part], bounds[part + 1], err),
                      done);
        GOTO_IF_ERROR(collect(&meter, (enum sequence_part)part, err), done);
        for (size_t i = 0; i < count; i++)
            GOTO_IF_ERROR(check_finite(&linears[i], (enum sequence_part)part, streams->dense->map.layer, err),
                          done);
    }
done:
    meter_free(&meter);
    return status;
}
