#include "stages/layer/calibrate.h"

#include "io/file/run_paths.h"
#include "kernels/pruning/masks/statistics.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/hessian.h"
#include "stages/layer/hidden_states.h"
#include "stages/team/ordered_sum.h"
#include "stages/team/waves.h"
#include "stages/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// One sequence's partial sums of every statistics source, one after the other, as ordered_sum wants them:
// first all that is summed (sum, then sum of squares), then all that is maximised.
struct partial {
    size_t num_sources, channels; // channels of all sources together
    const size_t *source_channels;
    size_t *offset;              // [num_sources] first channel of a source
    uint64_t *count;             // [num_sources] tokens seen by this rank in all its sequences
    struct hessian_sum *hessian; // NULL: not asked for
    double *sums;                // [channels] sum, [channels] sum of squares, [channels] maximum
};

static void partial_free(struct partial *partial)
{
    free(partial->offset);
    free(partial->count);
    hessian_sum_free(partial->hessian);
    free(partial->sums);
}

static enum status partial_create(struct partial *partial, const struct layer_map *map, struct error *err)
{
    memset(partial, 0, sizeof *partial);
    partial->num_sources = map->num_sources;
    partial->source_channels = map->source_channels;
    FORWARD_IF_ERROR(
        allocate(&partial->offset, map->num_sources, sizeof *partial->offset, "statistics", err));
    FORWARD_IF_ERROR(allocate(&partial->count, map->num_sources, sizeof *partial->count, "statistics", err));
    for (size_t i = 0; i < map->num_sources; i++) {
        partial->offset[i] = partial->channels;
        partial->channels += map->source_channels[i];
    }
    return allocate(&partial->sums, 3 * partial->channels, sizeof *partial->sums, "channel sums", err);
}

static void add_sums(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct partial *partial = context;
    double *sums = partial->sums + partial->offset[source];
    channel_sums(sums, sums + partial->channels, sums + 2 * partial->channels, x, tokens, channels);
    partial->count[source] += tokens;
    if (partial->hessian != NULL)
        hessian_sum_observe(partial->hessian, source, x, tokens);
}

// Sums that are not finite come from a model that overflows: better reported here than found in a mask.
static enum status check_totals(const struct layer_map *map, const struct partial *partial,
                                const double *totals, struct error *err)
{
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor->linear[0] == '\0')
            continue;
        for (size_t j = 0; j < tensor->in; j++)
            RETURN_ERROR_IF(!isfinite(totals[partial->channels + partial->offset[tensor->source] + j]), err,
                            STATUS_INPUT, "layers.%zu.%s: the statistics of input channel %zu are not finite",
                            map->layer, tensor->linear, j);
    }
    return STATUS_OK;
}

// One dataset of a linear's statistics, a vector.
struct statistic {
    enum dataset dataset;
    const char *meaning;
    enum store_type type;
    size_t length;
    const void *values;
};

enum { STATISTICS = 5 }; // of a linear
enum step { DECLARE, WRITE };

static enum status declare_statistic(struct store_writer *writer, const char *linear,
                                     const struct statistic *statistic, struct error *err)
{
    const struct store_shape shape = {
        .type = statistic->type, .rank = 1, .dims = {statistic->length}, .meaning = statistic->meaning};
    char name[DATASET_PATH_SIZE];

    dataset_path(name, linear, statistic->dataset);
    return store_declare(writer, name, &shape, err);
}

static enum status write_statistic(struct store_writer *writer, const struct team *team, const char *linear,
                                   const struct statistic *statistic, struct error *err)
{
    char name[DATASET_PATH_SIZE];

    dataset_path(name, linear, statistic->dataset);
    return store_write(writer, name, 0, team->rank == 0 ? statistic->length : 0, statistic->values, err);
}

// The statistics of a linear; moments: room for [3, tensor->in].
static void make_statistics(struct statistic statistics[STATISTICS], const struct layer_tensor *tensor,
                            const struct partial *partial, const double *totals, double *moments)
{
    const size_t in = tensor->in, all = partial->channels;
    const uint64_t *count = &partial->count[tensor->source];
    double *mean = moments, *variance = moments + in, *second_moment = moments + 2 * in;
    const double *own = totals + partial->offset[tensor->source];
    const struct statistic made[STATISTICS] = {
        {DATASET_COUNT, "tokens that reached the linear", STORE_U64, 1, count},
        {DATASET_MEAN, "mean of each input channel", STORE_F64, in, mean},
        {DATASET_VARIANCE, "population variance of each input channel", STORE_F64, in, variance},
        {DATASET_SECOND_MOMENT, "mean square of each input channel", STORE_F64, in, second_moment},
        {DATASET_MAX_ABS, "largest magnitude of each input channel", STORE_F64, in, own + 2 * all},
    };

    channel_moments(mean, variance, second_moment, own, own + all, *count, in);
    memcpy(statistics, made, sizeof made);
}

// Where statistics go, and what they are made of.
struct statistics_file {
    struct store_writer *writer;
    const struct team *team;
    const struct partial *partial;
    const double *totals;
    double *moments; // room for [3, widest source]
};

// Declares all statistics of all linears, or writes them: a declaration after something was written would
// have the file's structure written and opened again.
static enum status put_statistics(const struct statistics_file *file, const struct layer_map *map,
                                  enum step step, struct error *err)
{
    struct statistic statistics[STATISTICS];

    for (size_t i = 0; i < map->num_tensors; i++) {
        const char *linear = map->tensors[i].linear;
        if (linear[0] == '\0')
            continue;
        make_statistics(statistics, &map->tensors[i], file->partial, file->totals, file->moments);
        for (size_t k = 0; k < STATISTICS; k++) {
            if (step == DECLARE)
                FORWARD_IF_ERROR(declare_statistic(file->writer, linear, &statistics[k], err));
            else
                FORWARD_IF_ERROR(write_statistic(file->writer, file->team, linear, &statistics[k], err));
        }
    }
    return STATUS_OK;
}

static enum status commit_statistics(const struct stage *stage, const struct layer_map *map,
                                     const char *stream, const struct partial *partial, const double *totals,
                                     struct error *err)
{
    struct store_writer *writer = NULL;
    double *moments = NULL;
    size_t widest = 0;
    char path[PATH_SIZE];
    enum status status;

    for (size_t i = 0; i < partial->num_sources; i++)
        if (partial->source_channels[i] > widest)
            widest = partial->source_channels[i];
    status = allocate(&moments, 3 * widest, sizeof *moments, "channel moments", err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    run_layer_path(path, stage->settings->run, RUN_STATISTICS, stream, map->layer);
    GOTO_IF_ERROR(store_create(&writer, path, settings_origin(stage->settings), stage->team->comm, err),
                  done);
    const struct statistics_file file = {writer, stage->team, partial, totals, moments};
    GOTO_IF_ERROR(put_statistics(&file, map, DECLARE, err), done);
    GOTO_IF_ERROR(put_statistics(&file, map, WRITE, err), done);
    status = store_commit(writer, err);
    writer = NULL;
done:
    store_abandon(writer);
    free(moments);
    return status;
}

// Passes all sequences through the loaded layer, a wave (one sequence per rank) at a time. output and sum may
// be NULL.
static enum status pass_sequences(const struct stage *stage, const struct layer_weights *weights,
                                  const struct hidden_states *input, struct hidden_output *output,
                                  struct ordered_sum *sum, struct partial *partial, struct error *err)
{
    const struct team *team = stage->team;
    const size_t sequences = stage->settings->sequences, length = stage->settings->length;
    const struct decoder_observer observer = {.context = partial, .input = add_sums};
    const double work = layer_forward_work(stage->model, &weights->map, length);
    struct forward_buffers buffers;
    enum status status = forward_buffers_create(&buffers, stage->model, length, err);

    GOTO_IF_ERROR(team_agree(team, status, err), done);
    for (size_t wave = 0; wave < sequences; wave += (size_t)team->size) {
        size_t sequence;
        const bool mine = wave_sequence(&sequence, team, wave, 0, sequences);
        if (mine)
            status = hidden_states_read(input, stage, sequence, buffers.hidden, err);
        if (mine && status == STATUS_OK) {
            if (sum != NULL)
                memset(partial->sums, 0, 3 * partial->channels * sizeof *partial->sums);
            decoder_layer_forward(&stage->model->config.decoder, &weights->layer, &buffers.rotary,
                                  buffers.hidden, length, buffers.workspace, sum != NULL ? &observer : NULL);
        }
        GOTO_IF_ERROR(stage_safe_point(stage, status, (double)wave / (double)sequences, err), done);
        if (sum != NULL)
            GOTO_IF_ERROR(ordered_sum_add(sum, mine ? partial->sums : NULL, err), done);
        if (sum != NULL && partial->hessian != NULL)
            GOTO_IF_ERROR(hessian_sum_add(partial->hessian, err), done);
        if (output != NULL)
            GOTO_IF_ERROR(hidden_states_write(output, mine ? sequence : 0, mine ? 1 : 0, buffers.hidden, err),
                          done);
        stage_advance(stage, work * (double)wave_count(team, wave, 0, sequences));
    }
done:
    forward_buffers_free(&buffers);
    return status;
}

enum status calibrate_layer(const struct stage *stage, struct layer_weights *weights, const char *stream,
                            size_t layer, unsigned also, struct error *err)
{
    const bool hessian = (also & CALIBRATE_HESSIAN) != 0, outputs = (also & CALIBRATE_OUTPUTS) != 0;
    const struct team *team = stage->team;
    struct hidden_states input = {0};
    struct hidden_output output = {0};
    struct ordered_sum *sum = NULL;
    struct partial partial = {0};
    double *totals = NULL;
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    layer_weights_expect(weights, stage, layer + 1, NULL);
    status = partial_create(&partial, &weights->map, err);
    if (status == STATUS_OK)
        status = allocate(&totals, 3 * partial.channels, sizeof *totals, "channel sums", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(ordered_sum_begin(&sum, team, 3 * partial.channels, partial.channels, err), done);
    if (hessian)
        GOTO_IF_ERROR(hessian_sum_begin(&partial.hessian, stage, &weights->map, err), done);
    GOTO_IF_ERROR(hidden_states_open(&input, stage, stream, layer, err), done);
    if (outputs)
        GOTO_IF_ERROR(hidden_states_create(&output, stage, stream, layer + 1, err), done);

    GOTO_IF_ERROR(pass_sequences(stage, weights, &input, outputs ? &output : NULL, sum, &partial, err), done);
    GOTO_IF_ERROR(ordered_sum_finish(sum, totals, err), done);
    GOTO_IF_ERROR(team_sum_u64(team, partial.count, partial.num_sources, err), done);
    GOTO_IF_ERROR(check_totals(&weights->map, &partial, totals, err), done);
    few_tokens_notice(stage, &weights->map, partial.count, hessian);

    // The statistics prove that the unit is done: they come last.
    if (outputs)
        GOTO_IF_ERROR(hidden_states_commit(&output, err), done);
    if (hessian)
        GOTO_IF_ERROR(hessian_sum_commit(partial.hessian, stream, partial.count, err), done);
    status = commit_statistics(stage, &weights->map, stream, &partial, totals, err);
done:
    hidden_states_close(&input);
    hidden_states_abandon(&output);
    ordered_sum_free(sum);
    partial_free(&partial);
    free(totals);
    return status;
}

enum status propagate_layer(const struct stage *stage, struct layer_weights *weights, const char *stream,
                            size_t layer, const struct variant *variant, struct error *err)
{
    struct hidden_states input = {0};
    struct hidden_output output = {0};
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, variant, err));
    layer_weights_expect(weights, stage, layer + 1, NULL);
    GOTO_IF_ERROR(hidden_states_open(&input, stage, stream, layer, err), done);
    GOTO_IF_ERROR(hidden_states_create(&output, stage, stream, layer + 1, err), done);
    GOTO_IF_ERROR(pass_sequences(stage, weights, &input, &output, NULL, NULL, err), done);
    status = hidden_states_commit(&output, err);
done:
    hidden_states_close(&input);
    hidden_states_abandon(&output);
    return status;
}
