#include "stages/prune/auto.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "kernels/pruning/candidates.h"
#include "kernels/pruning/select.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/hidden_states.h"
#include "stages/layer/layer_trial.h"
#include "stages/layer/measure.h"
#include "stages/prune/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Masks of all candidates for several experts stay in memory, as many as fit.
static const uint64_t most_bytes_at_once = 67108864; // 2^26

// A linear and the masks that are tried on it.
struct trial {
    const struct layer_tensor *tensor;
    const float *weight; // [out, in]
    uint8_t *masks;      // [candidates][out, mask_row_bytes(in)]; NULL while it is not in hand
    size_t choice;
    double *errors; // [candidates], NaN: not measured
};

// A layer while its linears' masks are chosen, on one rank.
struct choosing {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_weights *weights;
    struct layer_weights pruned; // the layer with what was chosen so far
    struct store_reader *statistics;
    struct cut cut; // the variant's
    struct hidden_states states;
    size_t candidates, count;         // count: linears
    struct trial *trials;             // [count], those of one source one after the other
    struct measured_linear *measured; // [count], of experts
    double *errors;                   // [count][candidates]
    size_t first, linears;            // in hand: trials[first .. first + linears)
};

static void choosing_free(struct choosing *c)
{
    for (size_t i = 0; i < c->count && c->trials != NULL; i++)
        free(c->trials[i].masks);
    for (size_t i = 0; i < c->count && c->measured != NULL; i++)
        measured_linear_free(&c->measured[i]);
    free(c->trials);
    free(c->measured);
    free(c->errors);
    hidden_states_close(&c->states);
    store_close(c->statistics);
    layer_weights_free(&c->pruned, c->stage);
}

static enum status choosing_create(struct choosing *c, struct error *err)
{
    const struct layer_map *map = &c->weights->map;
    const size_t most = map->num_tensors;

    importance_candidates(&c->candidates);
    FORWARD_IF_ERROR(allocate(&c->trials, most, sizeof *c->trials, "a choice of masks", err));
    FORWARD_IF_ERROR(allocate(&c->measured, most, sizeof *c->measured, "a choice of masks", err));
    FORWARD_IF_ERROR(allocate(&c->errors, most * c->candidates, sizeof *c->errors, "a choice of masks", err));
    for (size_t source = 0; source < map->num_sources; source++)
        for (size_t i = 0; i < map->num_tensors; i++)
            if (map->tensors[i].source == source &&
                tensor_is_pruned(c->stage->settings, map->layer, &map->tensors[i])) {
                c->trials[c->count] = (struct trial){.tensor = &map->tensors[i],
                                                     .weight = layer_weights_of(c->weights, &map->tensors[i]),
                                                     .errors = c->errors + c->count * c->candidates};
                c->count++;
            }
    for (size_t i = 0; i < most * c->candidates; i++)
        c->errors[i] = NAN;
    return STATUS_OK;
}

// ---- one candidate --------------------------------------------------------------------------------------

static struct variant candidate_variant(const struct choosing *c, size_t candidate)
{
    size_t count;
    const struct importance_candidate *chosen = &importance_candidates(&count)[candidate];
    struct variant variant = *c->variant;
    variant.method = chosen->method;
    variant.parameters = importance_defaults(chosen->method);
    variant.parameters.exponent = chosen->exponent;
    variant.parameters.alpha = chosen->alpha;
    return variant;
}

// target[count, in] <- rows of the linear pruned by a candidate.
static void pruned_rows(float *target, const struct trial *trial, size_t candidate, size_t first,
                        size_t count)
{
    const size_t in = trial->tensor->in, bytes = mask_row_bytes(in);
    const uint8_t *mask = trial->masks + (candidate * trial->tensor->out + first) * bytes;

    memcpy(target, trial->weight + first * in, count * in * sizeof *target);
    for (size_t i = 0; i < count; i++)
        mask_apply(target + i * in, mask + i * bytes, in);
}

static double sparsity_of(struct choosing *c, const struct layer_tensor *tensor)
{
    cuts_begin_linear(&c->cut, 1, c->stage->settings, c->weights->map.layer, tensor->linear);
    return c->cut.sparsity;
}

// All candidates' masks of one linear: each rank's rows, then everyone has all. Collective.
static enum status make_masks(struct choosing *c, struct trial *trial, struct error *err)
{
    const struct team *team = c->stage->team;
    const size_t out = trial->tensor->out, bytes = mask_row_bytes(trial->tensor->in);
    size_t first, count;

    enum status status = allocate(&trial->masks, c->candidates * out, bytes, "masks of candidates", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    share_of(out, (size_t)team->rank, (size_t)team->size, &first, &count);
    for (size_t k = 0; k < c->candidates; k++) {
        const struct variant candidate = candidate_variant(c, k);
        const struct cut cut = {.variant = &candidate, .sparsity = sparsity_of(c, trial->tensor)};
        uint8_t *mask = trial->masks + k * out * bytes;
        FORWARD_IF_ERROR(score_rows(mask + first * bytes, NULL, c->stage, &cut, c->weights, trial->tensor,
                                    c->statistics, err));
        FORWARD_IF_ERROR(team_allgather(team, mask, out, bytes, err));
    }
    return STATUS_OK;
}

static void drop_masks(struct choosing *c)
{
    for (size_t i = c->first; i < c->first + c->linears; i++) {
        free(c->trials[i].masks);
        c->trials[i].masks = NULL;
    }
}

// ---- linears that share an input, by the layer's output ---------------------------------------------------

// Each rank of a node brings some rows.
static void put_in_place(void *context, size_t candidate)
{
    struct choosing *c = context;
    const struct team *team = c->stage->team;
    float *block = c->pruned.memory.data;

    for (size_t i = c->first; i < c->first + c->linears; i++) {
        const struct trial *trial = &c->trials[i];
        size_t first, count;
        share_of(trial->tensor->out, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
        pruned_rows(block + trial->tensor->offset + first * trial->tensor->in, trial, candidate, first,
                    count);
    }
}

// The first of the sequences that judge: those held out, or all where none can be.
static size_t first_judge(const struct settings *settings)
{
    return held_out_sequences(settings) > 0 ? settings->sequences - held_out_sequences(settings) : 0;
}

static enum status choose_by_layer(struct choosing *c, struct error *err)
{
    struct trial *lead = &c->trials[c->first];
    const struct layer_trial trial = {.stage = c->stage,
                                      .dense = c->weights,
                                      .pruned = &c->pruned,
                                      .dense_states = &c->states,
                                      .states = &c->states,
                                      .put = put_in_place,
                                      .context = c};
    enum status status = STATUS_OK;

    for (size_t i = c->first; i < c->first + c->linears; i++)
        GOTO_IF_ERROR(make_masks(c, &c->trials[i], err), done);
    GOTO_IF_ERROR(try_in_layer(lead->errors, c->candidates, &trial, first_judge(c->stage->settings), err),
                  done);
    for (size_t i = c->first; i < c->first + c->linears; i++) {
        memcpy(c->trials[i].errors, lead->errors, c->candidates * sizeof *lead->errors);
        c->trials[i].choice = choose_candidate(lead->errors, c->candidates);
    }
    put_in_place(c, lead->choice);
    shared_block_sync(&c->pruned.memory, c->stage->team);
done:
    drop_masks(c);
    return status;
}

// ---- experts, by their own outputs ------------------------------------------------------------------------

static const float *candidate_rows(void *context, size_t candidate, size_t first, size_t count, float *buffer)
{
    pruned_rows(buffer, context, candidate, first, count);
    return buffer;
}

static double error_of(const struct measured_linear *measured, size_t candidate)
{
    double error = 0, variance = 0;
    for (size_t i = 0; i < measured->tensor->out; i++) {
        struct output_moments moments;
        measured_moments(&moments, measured, HELD_OUT, candidate, i);
        error += output_error(&moments, 1, 0);
        variance += moments.variance_y;
    }
    return error == 0 ? 0 : error / variance;
}

static enum status choose_by_linear(struct choosing *c, struct error *err)
{
    const struct measured_streams streams = {.dense = c->weights, .dense_states = &c->states};
    const size_t judge = first_judge(c->stage->settings);
    struct measured_linear *measured = c->measured + c->first;
    enum status status = STATUS_OK;

    for (size_t i = 0; i < c->linears; i++) {
        struct trial *trial = &c->trials[c->first + i];
        GOTO_IF_ERROR(make_masks(c, trial, err), done);
        measured[i] = (struct measured_linear){
            .tensor = trial->tensor, .candidates = c->candidates, .rows = candidate_rows, .context = trial};
    }
    GOTO_IF_ERROR(measure_outputs(measured, c->linears, c->stage, &streams, judge, judge, err), done);
    for (size_t i = 0; i < c->linears; i++) {
        struct trial *trial = &c->trials[c->first + i];
        for (size_t k = 0; k < c->candidates && measured[i].tokens[HELD_OUT] > 0; k++)
            trial->errors[k] = error_of(&measured[i], k);
        trial->choice = choose_candidate(trial->errors, c->candidates);
    }
done:
    for (size_t i = 0; i < c->linears; i++)
        measured_linear_free(&measured[i]);
    drop_masks(c);
    return status;
}

// ---- all of a layer ---------------------------------------------------------------------------------------

static uint64_t masks_bytes(const struct choosing *c, size_t i)
{
    const struct layer_tensor *tensor = c->trials[i].tensor;
    return (uint64_t)c->candidates * tensor->out * mask_row_bytes(tensor->in);
}

uint64_t choose_memory(uint64_t group, uint64_t experts, uint64_t expert)
{
    size_t candidates;
    importance_candidates(&candidates);
    uint64_t together = candidates * experts;
    if (together > most_bytes_at_once)
        together = candidates * expert > most_bytes_at_once ? candidates * expert : most_bytes_at_once;
    return candidates * group > together ? candidates * group : together;
}

// How many of the following linears are chosen together: those of one source, which take one candidate, or
// as many experts as fit.
static size_t batch_size(const struct choosing *c)
{
    const struct layer_tensor *lead = c->trials[c->first].tensor;
    uint64_t bytes = masks_bytes(c, c->first);
    size_t n = 1;

    for (; c->first + n < c->count; n++) {
        const struct layer_tensor *next = c->trials[c->first + n].tensor;
        bytes += masks_bytes(c, c->first + n);
        if (lead->expert ? !next->expert || bytes > most_bytes_at_once : next->source != lead->source)
            break;
    }
    return n;
}

static enum status choose_all(struct choosing *c, struct error *err)
{
    for (c->first = 0; c->first < c->count; c->first += c->linears) {
        c->linears = batch_size(c);
        FORWARD_IF_ERROR(c->trials[c->first].tensor->expert ? choose_by_linear(c, err)
                                                            : choose_by_layer(c, err));
    }
    return STATUS_OK;
}

// ---- the file -------------------------------------------------------------------------------------------

static enum status write_choice(const struct trial *trial, struct store_writer *writer, struct error *err)
{
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    const struct importance_candidate *chosen = &candidates[trial->choice];
    const bool measured = !isnan(trial->errors[trial->choice]);
    char object[DATASET_PATH_SIZE], name[160];

    dataset_path(object, trial->tensor->linear, DATASET_MASK);
    FORWARD_IF_ERROR(store_attribute_string(writer, object, "method", method_name(chosen->method), err));
    FORWARD_IF_ERROR(store_attribute_f64(writer, object, "activation_exponent", chosen->exponent, err));
    FORWARD_IF_ERROR(store_attribute_f64(writer, object, "alpha", chosen->alpha, err));
    FORWARD_IF_ERROR(store_attribute_string(writer, object, "measured",
                                            !measured               ? "nothing"
                                            : trial->tensor->expert ? "linear"
                                                                    : "layer",
                                            err));
    if (!measured)
        return STATUS_OK;
    FORWARD_IF_ERROR(
        store_attribute_f64(writer, object, "candidate_error", trial->errors[trial->choice], err));
    for (size_t k = 0; k < count; k++) {
        snprintf(name, sizeof name, "candidate_error_%s", candidates[k].name);
        FORWARD_IF_ERROR(store_attribute_f64(writer, object, name, trial->errors[k], err));
    }
    return STATUS_OK;
}

static enum status write_linear(struct choosing *c, size_t i, struct error *err)
{
    const struct team *team = c->stage->team;
    const struct layer_tensor *tensor = c->trials[i].tensor;
    const struct variant chosen = candidate_variant(c, c->trials[i].choice);
    const struct cut cut = {.variant = &chosen, .sparsity = sparsity_of(c, tensor)};
    uint8_t *mask = NULL;
    uint64_t tokens;
    size_t first, count;

    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
    enum status status = allocate(&mask, count, mask_row_bytes(tensor->in), "mask", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(score_rows(mask, &tokens, c->stage, &cut, c->weights, tensor, c->statistics, err), done);
    GOTO_IF_ERROR(mask_write(c->stage, tensor, first, count, mask, c->cut.writer, err), done);
    if (importance_needs(chosen.method, &chosen.parameters) & NEEDS_STATISTICS)
        GOTO_IF_ERROR(few_tokens_write(c->cut.writer, tensor, tokens, false, err), done);
    status = write_choice(&c->trials[i], c->cut.writer, err);
done:
    free(mask);
    return status;
}

enum status choose_layer(const struct stage *stage, const struct layer_weights *weights,
                         const struct variant *variant, size_t layer, struct error *err)
{
    const char *stream = stream_name(stage->settings, variant);
    struct choosing c = {.stage = stage, .variant = variant, .weights = weights};
    char path[PATH_SIZE];
    enum status status = choosing_create(&c, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    run_layer_path(path, stage->settings->run, RUN_STATISTICS, stream, layer);
    GOTO_IF_ERROR(store_open(&c.statistics, path, stage->team->comm, err), done);
    GOTO_IF_ERROR(hidden_states_open(&c.states, stage, stream, layer, err), done);
    GOTO_IF_ERROR(layer_weights_create(&c.pruned, stage, err), done);
    GOTO_IF_ERROR(layer_weights_load(&c.pruned, stage, layer, NULL, err), done);
    GOTO_IF_ERROR(cuts_open(&c.cut, stage, &variant, 1, &weights->map, err), done);
    GOTO_IF_ERROR(choose_all(&c, err), done);
    for (size_t i = 0; i < c.count; i++) {
        GOTO_IF_ERROR(write_linear(&c, i, err), done);
        stage_advance(stage, 4.0 * (double)c.trials[i].tensor->out * (double)c.trials[i].tensor->in);
    }
done:
    status = cuts_finish(&c.cut, 1, status, err);
    choosing_free(&c);
    return status;
}
