#include "stages/prune/auto.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "kernels/pruning/masks/candidates.h"
#include "kernels/pruning/masks/select.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/hidden_states.h"
#include "stages/layer/layer_trial.h"
#include "stages/layer/linear_groups.h"
#include "stages/layer/measure.h"
#include "stages/prune/linear_masks.h"
#include "stages/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A linear and the masks that are tried on it.
struct trial {
    const struct layer_tensor *tensor;
    const float *weight; // [out, in]
    uint8_t *masks;      // [candidates][out, mask_row_bytes(in)]; NULL unless it is being decided
    size_t choice;
    double *errors; // [candidates], NaN: not measured
};

// A layer while its linears' masks are chosen, on one rank.
struct auto_search {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_weights *weights;
    struct layer_weights pruned; // the layer with what was chosen so far
    struct store_reader *statistics;
    struct cut cut; // the variant's
    struct hidden_states states;
    size_t candidates, count;            // count: linears
    const struct layer_tensor **linears; // [count] by source
    struct trial *trials;                // [count] of linears
    struct measured_linear *measured;    // [count], of experts
    double *errors;                      // [count][candidates]
    size_t first, together;              // being decided: trials[first .. first + together)
};

static void search_free(struct auto_search *c)
{
    for (size_t i = 0; i < c->count && c->trials != NULL; i++)
        free(c->trials[i].masks);
    for (size_t i = 0; i < c->count && c->measured != NULL; i++)
        measured_linear_free(&c->measured[i]);
    free(c->linears);
    free(c->trials);
    free(c->measured);
    free(c->errors);
    hidden_states_close(&c->states);
    store_close(c->statistics);
    layer_weights_free(&c->pruned);
}

static enum status search_create(struct auto_search *c, struct error *err)
{
    const struct layer_map *map = &c->weights->map;
    const size_t most = map->num_tensors;

    importance_candidates(&c->candidates);
    FORWARD_IF_ERROR(allocate(&c->linears, most, sizeof *c->linears, "a choice of masks", err));
    FORWARD_IF_ERROR(allocate(&c->trials, most, sizeof *c->trials, "a choice of masks", err));
    FORWARD_IF_ERROR(allocate(&c->measured, most, sizeof *c->measured, "a choice of masks", err));
    FORWARD_IF_ERROR(allocate(&c->errors, most * c->candidates, sizeof *c->errors, "a choice of masks", err));
    c->count = linears_by_source(c->linears, c->stage->settings, map);
    for (size_t i = 0; i < c->count; i++)
        c->trials[i] = (struct trial){.tensor = c->linears[i],
                                      .weight = layer_weights_of(c->weights, c->linears[i]),
                                      .errors = c->errors + i * c->candidates};
    for (size_t i = 0; i < most * c->candidates; i++)
        c->errors[i] = NAN;
    return STATUS_OK;
}

// ---- one candidate --------------------------------------------------------------------------------------

static struct variant candidate_variant(const struct auto_search *c, size_t candidate)
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

// This rank's rows of a linear's mask by one candidate. Collective. Freed with linear_masks_free, also after
// an error.
static enum status candidate_masks(struct linear_masks *masks, struct auto_search *c,
                                   const struct layer_tensor *tensor, size_t candidate, struct error *err)
{
    const struct score_inputs inputs = {
        .stage = c->stage, .weights = c->weights, .statistics = c->statistics};
    const struct variant variant = candidate_variant(c, candidate);

    cuts_begin_linear(&c->cut, 1, &c->weights->map, tensor);
    const struct cut cut = {.variant = &variant, .sparsity = c->cut.sparsity, .like = 0};
    return linear_masks_create(masks, &inputs, tensor, &cut, 1, err);
}

// All candidates' masks of one linear: each rank makes its rows, then all ranks have all. Collective.
static enum status make_masks(struct auto_search *c, struct trial *trial, struct error *err)
{
    const struct team *team = c->stage->team;
    const size_t out = trial->tensor->out, bytes = mask_row_bytes(trial->tensor->in);

    enum status status = allocate(&trial->masks, c->candidates * out, bytes, "masks of candidates", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    for (size_t k = 0; k < c->candidates; k++) {
        struct linear_masks rows;
        uint8_t *mask = trial->masks + k * out * bytes;
        status = candidate_masks(&rows, c, trial->tensor, k, err);
        if (status == STATUS_OK)
            memcpy(mask + rows.first * bytes, rows.masks[0], rows.count * bytes);
        linear_masks_free(&rows);
        FORWARD_IF_ERROR(status);
        FORWARD_IF_ERROR(team_allgather(team, mask, out, bytes, err));
        stage_advance(c->stage, score_work((double)out * (double)trial->tensor->in));
    }
    return STATUS_OK;
}

static void drop_masks(struct auto_search *c)
{
    for (size_t i = c->first; i < c->first + c->together; i++) {
        free(c->trials[i].masks);
        c->trials[i].masks = NULL;
    }
}

// ---- linears that share an input, by the layer's output ---------------------------------------------------

// A candidate for all linears that are being decided takes its place in the pruned layer.
static void put_candidate(void *context, size_t candidate)
{
    struct auto_search *c = context;

    for (size_t i = c->first; i < c->first + c->together; i++) {
        const struct node_rows rows =
            node_rows_of(c->pruned.memory.data, c->stage->team, c->trials[i].tensor);
        pruned_rows(rows.values, &c->trials[i], candidate, rows.first, rows.count);
    }
}

// The first of the sequences that judge: those held out, or all if none can be held out.
static size_t first_judge(const struct settings *settings)
{
    return held_out_sequences(settings) > 0 ? settings->sequences - held_out_sequences(settings) : 0;
}

static enum status auto_by_layer(struct auto_search *c, struct error *err)
{
    struct trial *lead = &c->trials[c->first];
    const struct layer_trial trial = {.stage = c->stage,
                                      .dense = c->weights,
                                      .pruned = &c->pruned,
                                      .dense_states = &c->states,
                                      .states = &c->states,
                                      .put = put_candidate,
                                      .context = c};
    enum status status = STATUS_OK;

    for (size_t i = c->first; i < c->first + c->together; i++)
        GOTO_IF_ERROR(make_masks(c, &c->trials[i], err), done);
    GOTO_IF_ERROR(try_in_layer(lead->errors, c->candidates, &trial, first_judge(c->stage->settings), err),
                  done);
    for (size_t i = c->first; i < c->first + c->together; i++) {
        memcpy(c->trials[i].errors, lead->errors, c->candidates * sizeof *lead->errors);
        c->trials[i].choice = choose_candidate(lead->errors, c->candidates);
    }
    put_candidate(c, lead->choice);
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

static enum status auto_by_linear(struct auto_search *c, struct error *err)
{
    const struct measured_streams streams = {.dense = c->weights, .dense_states = &c->states};
    const size_t judge = first_judge(c->stage->settings);
    struct measured_linear *measured = c->measured + c->first;
    enum status status = STATUS_OK;

    for (size_t i = 0; i < c->together; i++) {
        struct trial *trial = &c->trials[c->first + i];
        GOTO_IF_ERROR(make_masks(c, trial, err), done);
        measured[i] = (struct measured_linear){
            .tensor = trial->tensor, .candidates = c->candidates, .rows = candidate_rows, .context = trial};
    }
    GOTO_IF_ERROR(measure_outputs(measured, c->together, c->stage, &streams, judge, judge, err), done);
    for (size_t i = 0; i < c->together; i++) {
        struct trial *trial = &c->trials[c->first + i];
        for (size_t k = 0; k < c->candidates && measured[i].tokens[HELD_OUT] > 0; k++)
            trial->errors[k] = error_of(&measured[i], k);
        trial->choice = choose_candidate(trial->errors, c->candidates);
    }
done:
    for (size_t i = 0; i < c->together; i++)
        measured_linear_free(&measured[i]);
    drop_masks(c);
    return status;
}

// ---- all of a layer ---------------------------------------------------------------------------------------

uint64_t auto_memory(uint64_t group, uint64_t experts, uint64_t expert)
{
    size_t candidates;
    importance_candidates(&candidates);
    uint64_t together = candidates * experts;
    if (together > CHOSEN_AT_ONCE)
        together = candidates * expert > CHOSEN_AT_ONCE ? candidates * expert : CHOSEN_AT_ONCE;
    return candidates * group > together ? candidates * group : together;
}

static enum status auto_all(struct auto_search *c, struct error *err)
{
    for (c->first = 0; c->first < c->count; c->first += c->together) {
        c->together =
            linears_together(c->linears + c->first, c->count - c->first, c->candidates, CHOSEN_AT_ONCE);
        FORWARD_IF_ERROR(c->linears[c->first]->expert ? auto_by_linear(c, err) : auto_by_layer(c, err));
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

static enum status write_chosen(struct auto_search *c, size_t i, struct error *err)
{
    const struct layer_tensor *tensor = c->trials[i].tensor;
    const struct variant chosen = candidate_variant(c, c->trials[i].choice);
    struct linear_masks masks;
    enum status status = candidate_masks(&masks, c, tensor, c->trials[i].choice, err);

    if (status != STATUS_OK)
        goto done;
    const struct mask_rows rows = linear_masks_rows(&masks, &c->cut);
    GOTO_IF_ERROR(mask_write(c->cut.writer, c->stage->team, tensor, &rows, err), done);
    GOTO_IF_ERROR(linear_order_write(&masks.orders[0], c->cut.writer, c->stage->team, tensor, err), done);
    if (importance_needs(chosen.method, &chosen.parameters) & NEEDS_STATISTICS)
        GOTO_IF_ERROR(few_tokens_write(c->cut.writer, tensor, masks.tokens, false, err), done);
    status = write_choice(&c->trials[i], c->cut.writer, err);
done:
    linear_masks_free(&masks);
    return status;
}

enum status auto_layer(const struct stage *stage, const struct layer_weights *weights,
                       const struct variant *variant, size_t layer, struct error *err)
{
    const char *stream = stream_name(stage->settings, variant);
    struct auto_search c = {.stage = stage, .variant = variant, .weights = weights};
    char path[PATH_SIZE];
    enum status status = search_create(&c, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    run_layer_path(path, stage->settings->run, RUN_STATISTICS, stream, layer);
    GOTO_IF_ERROR(store_open(&c.statistics, path, stage->team->comm, err), done);
    GOTO_IF_ERROR(hidden_states_open(&c.states, stage, stream, layer, err), done);
    GOTO_IF_ERROR(layer_weights_create(&c.pruned, stage, err), done);
    GOTO_IF_ERROR(layer_weights_load(&c.pruned, stage, layer, NULL, err), done);
    GOTO_IF_ERROR(cuts_open(&c.cut, stage, &variant, 1, &weights->map, err), done);
    GOTO_IF_ERROR(auto_all(&c, err), done);
    for (size_t i = 0; i < c.count; i++) {
        GOTO_IF_ERROR(write_chosen(&c, i, err), done);
        stage_advance(stage, score_work((double)c.trials[i].tensor->out * (double)c.trials[i].tensor->in));
    }
done:
    status = cuts_finish(&c.cut, 1, status, err);
    search_free(&c);
    return status;
}
