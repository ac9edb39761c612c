#include "stages/layer/model_trial.h"

#include "kernels/forward/logits.h"
#include "stages/layer/hidden_states.h"
#include "stages/work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Bytes of hidden states in memory: with more candidates at a time a layer's weights are loaded less often.
static const size_t trial_memory = (size_t)64 << 20, fewest_candidates = 8;

static size_t within(size_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : value;
}

struct trial_batches trial_batches_of(const struct model *model, size_t tokens, size_t sequences,
                                      size_t candidates, size_t ranks)
{
    const size_t bytes = tokens * state_size(&model->config.decoder) * sizeof(float);
    const size_t own = (sequences + ranks - 1) / ranks;
    const size_t fewest = fewest_candidates < candidates ? fewest_candidates : candidates;
    const size_t group = within(trial_memory / (fewest * bytes), 1, own);
    return (struct trial_batches){group, within(trial_memory / (group * bytes), fewest, candidates)};
}

static size_t compared_at_once(size_t batch)
{
    return batch < LM_MOST_COMPARISONS ? batch : LM_MOST_COMPARISONS;
}

size_t model_trial_workspace(const struct model *model, size_t tokens, const struct trial_batches *batches)
{
    struct lm_head head;
    model_lm_head(&head, model);
    return (batches->batch + 2) * batches->group * tokens * head.state_size +
           lm_head_compare_workspace_size(&head, compared_at_once(batches->batch), tokens);
}

double try_in_model_work(const struct trial_passes_work *work, size_t candidates, size_t sequences)
{
    return (double)sequences * (work->before + (double)(candidates + 1) * (work->after + work->head));
}

// One rank's buffers. States are [length, state_size] each, `values` floats.
struct bench {
    const struct model_trial *trial;
    size_t candidates, values;
    struct trial_batches batches;
    size_t first;             // sequence of the group in hand
    double done, all;         // operations of the team, for progress
    struct hidden_states ids; // token ids and their embeddings
    struct forward_buffers buffers;
    float *entering, *reference; // [group]: what enters the trial's layer; the dense model's last states
    float *hidden;               // [group, batch]
    int32_t *targets;            // [group, length]: the next tokens; -1 after the last
    struct lm_head head;
    float *head_workspace;
    // [2, candidates + 1, sequences]: divergences, then log-likelihoods; 0 where another rank computes them
    double *sums;
};

static void bench_free(struct bench *b)
{
    hidden_states_close(&b->ids);
    forward_buffers_free(&b->buffers);
    free(b->entering);
    free(b->reference);
    free(b->hidden);
    free(b->targets);
    free(b->head_workspace);
    free(b->sums);
}

static enum status bench_allocate(struct bench *b, struct error *err)
{
    const struct model *model = b->trial->stage->model;
    const size_t tokens = b->trial->stage->settings->length, group = b->batches.group;

    FORWARD_IF_ERROR(forward_buffers_create(&b->buffers, model, tokens, err));
    FORWARD_IF_ERROR(allocate_aligned(&b->entering, group * b->values, sizeof(float), "hidden states", err));
    FORWARD_IF_ERROR(allocate_aligned(&b->reference, group * b->values, sizeof(float), "hidden states", err));
    FORWARD_IF_ERROR(allocate_aligned(&b->hidden, group * b->batches.batch * b->values, sizeof(float),
                                      "hidden states of candidates", err));
    FORWARD_IF_ERROR(allocate(&b->targets, group * tokens, sizeof *b->targets, "token ids", err));
    FORWARD_IF_ERROR(
        allocate_aligned(&b->head_workspace,
                         lm_head_compare_workspace_size(&b->head, compared_at_once(b->batches.batch), tokens),
                         sizeof(float), "logits", err));
    return allocate(&b->sums, 2 * (b->candidates + 1) * b->trial->sequences, sizeof *b->sums,
                    "sums of divergences", err);
}

static enum status bench_create(struct bench *b, const struct model_trial *trial, size_t candidates,
                                struct error *err)
{
    const struct stage *stage = trial->stage;

    *b = (struct bench){.trial = trial, .candidates = candidates};
    b->values = stage->settings->length * state_size(&stage->model->config.decoder);
    b->batches = trial_batches_of(stage->model, stage->settings->length, trial->sequences, candidates,
                                  (size_t)stage->team->size);
    model_lm_head(&b->head, stage->model);
    FORWARD_IF_ERROR(team_agree(stage->team, bench_allocate(b, err), err));
    return hidden_states_open(&b->ids, stage, DENSE_NAME, 0, err);
}

// The w-th sequence of this rank in the group, counted from the first of the trial; false when there is none.
static bool sequence_of(const struct bench *b, size_t w, size_t *sequence)
{
    const struct team *team = b->trial->stage->team;
    *sequence = b->first + w * (size_t)team->size + (size_t)team->rank;
    return *sequence < b->trial->sequences;
}

// Sequences of all ranks in the group.
static size_t in_group(const struct bench *b)
{
    const size_t span = b->batches.group * (size_t)b->trial->stage->team->size;
    const size_t left = b->trial->sequences - b->first;
    return left < span ? left : span;
}

// `work` of one sequence for each of the group is done.
static void advance(struct bench *b, double work)
{
    b->done += work * (double)in_group(b);
    stage_advance(b->trial->stage, work * (double)in_group(b));
}

static enum status safe_point(const struct bench *b, enum status status, struct error *err)
{
    return stage_safe_point(b->trial->stage, status, b->done / b->all, err);
}

static double layer_work(const struct bench *b, const struct layer_weights *weights)
{
    return layer_forward_work(b->trial->stage->model, &weights->map, b->trial->stage->settings->length);
}

static void forward(struct bench *b, const struct layer_weights *weights, float *hidden)
{
    const struct stage *stage = b->trial->stage;
    decoder_layer_forward(&stage->model->config.decoder, &weights->layer, &b->buffers.rotary, hidden,
                          stage->settings->length, b->buffers.workspace, NULL);
}

// ---- the dense model
// ----------------------------------------------------------------------------------------

// Token ids and embeddings of this rank's sequences.
static enum status read_group(struct bench *b, struct error *err)
{
    const struct stage *stage = b->trial->stage;
    const size_t length = stage->settings->length;
    const size_t before = stage->settings->sequences - b->trial->sequences;
    size_t sequence;

    for (size_t w = 0; w < b->batches.group && sequence_of(b, w, &sequence); w++) {
        int32_t *targets = b->targets + w * length;
        FORWARD_IF_ERROR(
            store_read(b->ids.reader, TOKENS_DATASET, STORE_I32, before + sequence, 1, targets, err));
        model_embed(stage->model, b->entering + w * b->values, targets, length);
        memmove(targets, targets + 1, (length - 1) * sizeof *targets);
        targets[length - 1] = -1;
    }
    return STATUS_OK;
}

// Sequences states[group] through the dense layers [from, to).
static enum status pass_dense(struct bench *b, float *states, size_t from, size_t to, struct error *err)
{
    struct layer_weights *weights = b->trial->weights;
    size_t sequence;

    for (size_t layer = from; layer < to; layer++) {
        FORWARD_IF_ERROR(layer_weights_load(weights, b->trial->stage, layer, NULL, err));
        layer_weights_expect(weights, b->trial->stage, layer + 1, NULL);
        for (size_t w = 0; w < b->batches.group; w++) {
            if (sequence_of(b, w, &sequence))
                forward(b, weights, states + w * b->values);
            FORWARD_IF_ERROR(safe_point(b, STATUS_OK, err));
        }
        advance(b, layer_work(b, weights));
    }
    return STATUS_OK;
}

// Outcomes of candidates [first, first + count) of this rank's w-th sequence, from its last hidden states.
static void compare(struct bench *b, size_t w, size_t sequence, const float *hidden, size_t first,
                    size_t count)
{
    const size_t length = b->trial->stage->settings->length, sequences = b->trial->sequences;
    struct lm_comparison comparisons[LM_MOST_COMPARISONS];

    for (size_t k = 0; k < count; k++)
        comparisons[k].hidden = hidden + k * b->values;
    lm_head_compare(comparisons, count, &b->head, b->reference + w * b->values, b->targets + w * length,
                    length, b->head_workspace);
    for (size_t k = 0; k < count; k++) {
        b->sums[(first + k) * sequences + sequence] = comparisons[k].divergence;
        b->sums[(b->candidates + 1 + first + k) * sequences + sequence] = comparisons[k].log_likelihood;
    }
}

static double head_work(const struct bench *b)
{
    return lm_head_work(b->trial->stage->model, (double)b->trial->stage->settings->length);
}

static enum status pass_reference(struct bench *b, struct error *err)
{
    const size_t layers = b->trial->stage->model->config.num_hidden_layers;
    size_t sequence;

    FORWARD_IF_ERROR(safe_point(b, read_group(b, err), err));
    FORWARD_IF_ERROR(pass_dense(b, b->entering, 0, b->trial->layer, err));
    memcpy(b->reference, b->entering, b->batches.group * b->values * sizeof(float));
    FORWARD_IF_ERROR(pass_dense(b, b->reference, b->trial->layer, layers, err));
    for (size_t w = 0; w < b->batches.group && sequence_of(b, w, &sequence); w++)
        compare(b, w, sequence, b->reference + w * b->values, b->candidates, 1);
    advance(b, head_work(b));
    return STATUS_OK;
}

// ---- candidates
// ---------------------------------------------------------------------------------------------

// One candidate through the trial's layer. The ranks of a node change the layer together, so those without a
// sequence take part too.
static enum status pass_candidate(struct bench *b, size_t candidate, size_t k, struct error *err)
{
    const struct model_trial *trial = b->trial;
    size_t sequence;

    FORWARD_IF_ERROR(trial->put(trial->context, candidate, err));
    shared_block_sync(&trial->candidate->memory, trial->stage->team);
    for (size_t w = 0; w < b->batches.group && sequence_of(b, w, &sequence); w++) {
        float *hidden = b->hidden + (w * b->batches.batch + k) * b->values;
        memcpy(hidden, b->entering + w * b->values, b->values * sizeof *hidden);
        forward(b, trial->candidate, hidden);
    }
    FORWARD_IF_ERROR(safe_point(b, STATUS_OK, err));
    shared_block_sync(&trial->candidate->memory, trial->stage->team);
    advance(b, layer_work(b, trial->candidate));
    return STATUS_OK;
}

// `count` candidates through a layer after the trial's.
static enum status pass_later(struct bench *b, size_t layer, size_t count, struct error *err)
{
    struct layer_weights *weights = b->trial->weights;
    size_t sequence;

    FORWARD_IF_ERROR(layer_weights_load(weights, b->trial->stage, layer, NULL, err));
    layer_weights_expect(weights, b->trial->stage, layer + 1, NULL);
    for (size_t k = 0; k < count; k++) {
        for (size_t w = 0; w < b->batches.group && sequence_of(b, w, &sequence); w++)
            forward(b, weights, b->hidden + (w * b->batches.batch + k) * b->values);
        FORWARD_IF_ERROR(safe_point(b, STATUS_OK, err));
    }
    advance(b, (double)count * layer_work(b, weights));
    return STATUS_OK;
}

static enum status try_batch(struct bench *b, size_t first, size_t count, struct error *err)
{
    const struct model_trial *trial = b->trial;
    const size_t layers = trial->stage->model->config.num_hidden_layers;
    size_t sequence;

    FORWARD_IF_ERROR(layer_weights_load(trial->weights, trial->stage, trial->layer, NULL, err));
    for (size_t k = 0; k < count; k++)
        FORWARD_IF_ERROR(pass_candidate(b, first + k, k, err));
    for (size_t layer = trial->layer + 1; layer < layers; layer++)
        FORWARD_IF_ERROR(pass_later(b, layer, count, err));
    for (size_t w = 0; w < b->batches.group; w++) {
        for (size_t k = 0; k < count && sequence_of(b, w, &sequence); k += LM_MOST_COMPARISONS)
            compare(b, w, sequence, b->hidden + (w * b->batches.batch + k) * b->values, first + k,
                    compared_at_once(count - k));
        FORWARD_IF_ERROR(safe_point(b, STATUS_OK, err));
    }
    advance(b, (double)count * head_work(b));
    return STATUS_OK;
}

static enum status try_group(struct bench *b, struct error *err)
{
    FORWARD_IF_ERROR(pass_reference(b, err));
    for (size_t first = 0; first < b->candidates; first += b->batches.batch) {
        const size_t left = b->candidates - first;
        FORWARD_IF_ERROR(try_batch(b, first, left < b->batches.batch ? left : b->batches.batch, err));
    }
    return STATUS_OK;
}

// ---- outcomes
// -----------------------------------------------------------------------------------------------

// Each value is on one rank and 0.0 (all bits zero) on the others: adding the bit patterns moves it exactly.
static enum status gather_sums(struct bench *b, struct error *err)
{
    const size_t count = 2 * (b->candidates + 1) * b->trial->sequences;
    uint64_t *bits = NULL;
    enum status status = allocate(&bits, count, sizeof *bits, "sums of divergences", err);

    GOTO_IF_ERROR(team_agree(b->trial->stage->team, status, err), done);
    memcpy(bits, b->sums, count * sizeof *bits);
    GOTO_IF_ERROR(team_sum_u64(b->trial->stage->team, bits, count, err), done);
    memcpy(b->sums, bits, count * sizeof *bits);
done:
    free(bits);
    return status;
}

static double sum_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static enum status find_outcomes(struct trial_outcome *outcomes, const struct bench *b, struct error *err)
{
    const size_t sequences = b->trial->sequences, length = b->trial->stage->settings->length;
    const double tokens = (double)sequences * (double)length,
                 targets = (double)sequences * (double)(length - 1);

    for (size_t k = 0; k <= b->candidates; k++) {
        outcomes[k].divergence = sum_of(b->sums + k * sequences, sequences) / tokens;
        outcomes[k].loss = -sum_of(b->sums + (b->candidates + 1 + k) * sequences, sequences) / targets;
        RETURN_ERROR_IF(
            !isfinite(outcomes[k].divergence) || !isfinite(outcomes[k].loss), err, STATUS_INPUT,
            "layers.%zu: with some of its weights pruned the model's outputs are not finite over the "
            "calibration sequences",
            b->trial->layer);
    }
    outcomes[b->candidates].divergence = 0;
    return STATUS_OK;
}

static double work_of_layers(const struct stage *stage, const struct layer_map *map)
{
    // All layers are taken to be as large as this one: it only says how far a unit is.
    return (double)stage->model->config.num_hidden_layers *
           layer_forward_work(stage->model, map, stage->settings->length);
}

enum status try_in_model(struct trial_outcome *outcomes, size_t candidates, const struct model_trial *trial,
                         struct error *err)
{
    const struct stage *stage = trial->stage;
    const size_t layers = stage->model->config.num_hidden_layers;
    struct bench b;
    enum status status = bench_create(&b, trial, candidates, err);

    GOTO_IF_ERROR(status, done);
    GOTO_IF_ERROR(layer_weights_load(trial->candidate, stage, trial->layer, NULL, err), done);
    const double all = work_of_layers(stage, &trial->candidate->map);
    const struct trial_passes_work work = {.before = all * (double)trial->layer / (double)layers,
                                           .after = all * (double)(layers - trial->layer) / (double)layers,
                                           .head = head_work(&b)};
    b.all = try_in_model_work(&work, candidates, trial->sequences);
    for (b.first = 0; b.first < trial->sequences; b.first += b.batches.group * (size_t)stage->team->size)
        GOTO_IF_ERROR(try_group(&b, err), done);
    GOTO_IF_ERROR(gather_sums(&b, err), done);
    status = find_outcomes(outcomes, &b, err);
done:
    bench_free(&b);
    return status;
}
