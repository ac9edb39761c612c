#include "stages/prune/linear_masks.h"

#include "kernels/pruning/masks/held_zeros.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <stdlib.h>
#include <string.h>

// A linear while it is scored, on one rank.
struct linear_scorer {
    const struct team *team;
    const struct variant *variant; // any of those that share the scores
    const struct cut *cuts;        // [num_cuts]
    size_t num_cuts;
    size_t out, in;
    const float *weight; // [out, in], the whole linear
    const float *dense;  // [out, in] the model's, whose zeros stay; may be `weight`; NULL: they do not
    uint8_t *held;       // [threads, mask_row_bytes(in)] the zeros of the row that was scored last
    float *factors;      // [in] c_j
    float *reciprocal;   // [in] a_j, ria only
    float *scores;       // [threads, in] one row
    struct linear_masks *result; // whose rows and masks are filled
};

static void linear_scorer_free(struct linear_scorer *scorer)
{
    free(scorer->held);
    free(scorer->factors);
    free(scorer->reciprocal);
    free(scorer->scores);
}

static enum status linear_scorer_create(struct linear_scorer *scorer, struct error *err)
{
    const struct variant *variant = scorer->variant;
    const size_t in = scorer->in;
    struct linear_masks *result = scorer->result;

    FORWARD_IF_ERROR(allocate(&scorer->held, threads_count(), mask_row_bytes(in), "mask", err));
    FORWARD_IF_ERROR(allocate_aligned(&scorer->factors, in, sizeof(float), "importance factors", err));
    FORWARD_IF_ERROR(allocate_aligned(&scorer->scores, threads_count() * cache_lines(in), sizeof(float),
                                      "scores of one row", err));
    if (importance_needs(variant->method, &variant->parameters) & NEEDS_ABSOLUTE_SUMS)
        FORWARD_IF_ERROR(allocate_aligned(&scorer->reciprocal, in, sizeof(float), "importance factors", err));
    for (size_t k = 0; k < scorer->num_cuts; k++)
        if (scorer->cuts[k].like == k)
            FORWARD_IF_ERROR(allocate(&result->masks[k], result->count, mask_row_bytes(in), "mask", err));
    return STATUS_OK;
}

// ---- the factors of the channels ------------------------------------------------------------------------

// Statistics that do not suffice become 1: the weights alone decide.
static enum status read_statistics(struct linear_statistics *statistics, const struct store_reader *reader,
                                   const struct layer_tensor *tensor, struct error *err)
{
    FORWARD_IF_ERROR(linear_statistics_read(statistics, reader, tensor, err));
    for (size_t j = 0; j < tensor->in && !statistics->suffice; j++)
        statistics->second_moment[j] = statistics->variance[j] = 1;
    return STATUS_OK;
}

// [in] each; NULL where they are not needed.
struct column_sums {
    double *variance, *absolute_sum;
};

// They run over all rows, so each rank computes a share of the columns. Collective.
static enum status compute_columns(struct column_sums *columns, const struct linear_scorer *scorer,
                                   unsigned needs, struct error *err)
{
    const struct team *team = scorer->team;
    const size_t in = scorer->in;
    size_t first, count;
    enum status status = STATUS_OK;

    share_of(in, (size_t)team->rank, (size_t)team->size, &first, &count);
    if (needs & NEEDS_COLUMN_VARIANCE)
        status = allocate(&columns->variance, in, sizeof *columns->variance, "column sums", err);
    if (status == STATUS_OK && needs & NEEDS_ABSOLUTE_SUMS)
        status = allocate(&columns->absolute_sum, in, sizeof *columns->absolute_sum, "column sums", err);
    if (status == STATUS_OK) {
        const struct matrix_view share = {scorer->weight + first, scorer->out, count, in};
        const struct column_moments moments = {
            .variance = columns->variance != NULL ? columns->variance + first : NULL,
            .absolute_sum = columns->absolute_sum != NULL ? columns->absolute_sum + first : NULL};
        column_moments(&moments, &share);
    }
    FORWARD_IF_ERROR(team_agree(team, status, err));
    if (columns->variance != NULL)
        FORWARD_IF_ERROR(team_allgather(team, columns->variance, in, sizeof *columns->variance, err));
    if (columns->absolute_sum != NULL)
        FORWARD_IF_ERROR(team_allgather(team, columns->absolute_sum, in, sizeof *columns->absolute_sum, err));
    return STATUS_OK;
}

static enum status prepare_factors(struct linear_scorer *scorer, const struct score_inputs *inputs,
                                   const struct layer_tensor *tensor, struct error *err)
{
    const struct variant *variant = scorer->variant;
    const unsigned needs = importance_needs(variant->method, &variant->parameters);
    struct linear_statistics read = {0};
    const struct linear_statistics *statistics =
        inputs->given_statistics != NULL ? inputs->given_statistics : &read;
    struct column_sums columns = {0};
    enum status status = STATUS_OK;

    if (needs & NEEDS_STATISTICS && inputs->given_statistics == NULL)
        status = read_statistics(&read, inputs->statistics, tensor, err);
    GOTO_IF_ERROR(team_agree(scorer->team, status, err), done);
    scorer->result->tokens = statistics->tokens;
    if (needs & (NEEDS_COLUMN_VARIANCE | NEEDS_ABSOLUTE_SUMS))
        GOTO_IF_ERROR(compute_columns(&columns, scorer, needs, err), done);
    importance_factors(scorer->factors, variant->method, &variant->parameters, statistics->second_moment,
                       statistics->variance, columns.variance, scorer->in);
    if (needs & NEEDS_ABSOLUTE_SUMS)
        reciprocal_sums(scorer->reciprocal, columns.absolute_sum, scorer->in);
done:
    linear_statistics_free(&read);
    free(columns.variance);
    free(columns.absolute_sum);
    return status;
}

// ---- from scores to masks -------------------------------------------------------------------------------

struct scored_row {
    const float *scores; // [in]
    const uint8_t *held; // the zeros that stay; NULL: there are none
};

// In the room of thread `thread`.
static struct scored_row score_row(const struct linear_scorer *scorer, size_t row, size_t thread)
{
    const size_t in = scorer->in, at = (scorer->result->first + row) * in;
    float *scores = scorer->scores + thread * cache_lines(in);
    uint8_t *held = scorer->held + thread * mask_row_bytes(in);

    importance_row(scores, scorer->weight + at, scorer->factors, scorer->reciprocal, in);
    if (scorer->dense == NULL || !held_zeros_find(held, scorer->dense + at, in))
        return (struct scored_row){scores, NULL};
    held_zeros_score(scores, held, in);
    return (struct scored_row){scores, held};
}

// Whether the smallest scores are looked for in the whole matrix.
static bool is_by_layer(const struct cut *cut)
{
    return cut->variant->group == GROUP_LAYER && !cut->variant->is_pattern;
}

static void order_row(void *context, float *scores, size_t row)
{
    const struct linear_scorer *scorer = context;
    importance_row(scores, scorer->weight + row * scorer->in, scorer->factors, scorer->reciprocal,
                   scorer->in);
}

// The orders of all cuts that permute, from the same scores.
static enum status find_orders(struct linear_scorer *scorer, const struct score_inputs *inputs,
                               const struct layer_tensor *tensor, struct error *err)
{
    const struct stage *stage = inputs->stage;

    for (size_t k = 0; k < scorer->num_cuts; k++) {
        const struct order_question question = {.stage = stage,
                                                .variant = scorer->cuts[k].variant,
                                                .tensor = tensor,
                                                .row = order_row,
                                                .context = scorer};
        if (scorer->cuts[k].like == k)
            FORWARD_IF_ERROR(linear_order_create(&scorer->result->orders[k], &question, err));
        else
            linear_order_skip(stage, question.variant, tensor); // an order is planned for each mask
    }
    return STATUS_OK;
}

static void select_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct linear_scorer *scorer = context;
    const struct linear_masks *result = scorer->result;
    const size_t in = scorer->in;

    for (size_t row = first; row < first + count; row++) {
        const struct scored_row scored = score_row(scorer, row, thread);
        for (size_t k = 0; k < scorer->num_cuts; k++) {
            const struct cut *cut = &scorer->cuts[k];
            if (cut->like != k || is_by_layer(cut))
                continue;
            uint8_t *mask = result->masks[k] + row * mask_row_bytes(in);
            if (result->orders[k].columns != NULL)
                select_n_of_m_in_order(mask, scored.scores, in, cut->variant->keep, cut->variant->of,
                                       result->orders[k].columns);
            else if (cut->variant->is_pattern)
                select_n_of_m(mask, scored.scores, in, cut->variant->keep, cut->variant->of);
            else
                select_row(mask, scored.scores, in, prune_count(in, cut->sparsity));
            if (scored.held != NULL)
                held_zeros_mask(mask, scored.held, in);
        }
    }
}

// All cuts of single rows, in one pass over the scores.
static void select_by_rows(const struct linear_scorer *scorer)
{
    bool any = false;

    for (size_t k = 0; k < scorer->num_cuts; k++)
        any = any || (scorer->cuts[k].like == k && !is_by_layer(&scorer->cuts[k]));
    if (any)
        threads_share(scorer->result->count, threads_grain(4 * scorer->in), select_rows, scorer);
}

// Cuts of the whole matrix: radix searches with histograms summed over the team, then ties handed out in the
// order of the rows. Every pass over the scores serves all of them.
struct layer_cuts {
    size_t count, cut[SCORE_BATCH]; // which cuts
    struct select_search search[SCORE_BATCH];
    uint64_t ties[SCORE_BATCH];          // of this rank, still to be pruned
    uint64_t (*histograms)[SELECT_BINS]; // [count]
};

static enum status narrow_searches(struct linear_scorer *scorer, struct layer_cuts *cuts, struct error *err)
{
    memset(cuts->histograms, 0, cuts->count * sizeof *cuts->histograms);
    for (size_t row = 0; row < scorer->result->count; row++) {
        const struct scored_row scored = score_row(scorer, row, 0);
        for (size_t k = 0; k < cuts->count; k++)
            select_search_count(&cuts->search[k], cuts->histograms[k], scored.scores, scorer->in);
    }
    FORWARD_IF_ERROR(team_sum_u64(scorer->team, cuts->histograms[0], cuts->count * SELECT_BINS, err));
    for (size_t k = 0; k < cuts->count; k++)
        select_search_narrow(&cuts->search[k], cuts->histograms[k]);
    return STATUS_OK;
}

// How many scores that equal the threshold this rank has to prune.
static enum status share_ties(struct linear_scorer *scorer, struct layer_cuts *cuts, struct error *err)
{
    uint64_t mine[SCORE_BATCH] = {0}, before;

    for (size_t row = 0; row < scorer->result->count; row++) {
        const struct scored_row scored = score_row(scorer, row, 0);
        for (size_t k = 0; k < cuts->count; k++)
            mine[k] += select_count_ties(&cuts->search[k], scored.scores, scorer->in);
    }
    for (size_t k = 0; k < cuts->count; k++) {
        FORWARD_IF_ERROR(team_exclusive_sum_u64(scorer->team, mine[k], &before, err));
        cuts->ties[k] = cuts->search[k].ties > before ? cuts->search[k].ties - before : 0;
    }
    return STATUS_OK;
}

static enum status select_by_layer(struct linear_scorer *scorer, struct error *err)
{
    const struct linear_masks *result = scorer->result;
    const size_t bytes = mask_row_bytes(scorer->in);
    struct layer_cuts cuts = {.count = 0};
    enum status status;

    for (size_t k = 0; k < scorer->num_cuts; k++) {
        if (scorer->cuts[k].like != k || !is_by_layer(&scorer->cuts[k]))
            continue;
        select_search_begin(&cuts.search[cuts.count],
                            prune_count(scorer->out * scorer->in, scorer->cuts[k].sparsity));
        cuts.cut[cuts.count++] = k;
    }
    if (cuts.count == 0)
        return STATUS_OK;
    status = allocate(&cuts.histograms, cuts.count, sizeof *cuts.histograms, "histograms of scores", err);
    GOTO_IF_ERROR(team_agree(scorer->team, status, err), done);
    for (int digit = 0; digit < SELECT_DIGITS; digit++)
        GOTO_IF_ERROR(narrow_searches(scorer, &cuts, err), done);
    GOTO_IF_ERROR(share_ties(scorer, &cuts, err), done);
    for (size_t row = 0; row < result->count; row++) {
        const struct scored_row scored = score_row(scorer, row, 0);
        for (size_t k = 0; k < cuts.count; k++) {
            uint8_t *mask = result->masks[cuts.cut[k]] + row * bytes;
            select_threshold_row(mask, scored.scores, scorer->in, &cuts.search[k], &cuts.ties[k]);
            if (scored.held != NULL)
                held_zeros_mask(mask, scored.held, scorer->in);
        }
    }
done:
    free(cuts.histograms);
    return status;
}

// ---- one linear -------------------------------------------------------------------------------------------

static const float *dense_with_zeros(const struct score_inputs *inputs, const struct layer_tensor *tensor)
{
    return stage_holds_zeros(inputs->stage) ? layer_weights_of(inputs->weights, tensor) : NULL;
}

enum status linear_masks_create(struct linear_masks *masks, const struct score_inputs *inputs,
                                const struct layer_tensor *tensor, const struct cut *cuts, size_t count,
                                struct error *err)
{
    const struct team *team = inputs->stage->team;
    struct linear_scorer scorer = {.team = team,
                                   .dense = dense_with_zeros(inputs, tensor),
                                   .variant = cuts[0].variant,
                                   .cuts = cuts,
                                   .num_cuts = count,
                                   .out = tensor->out,
                                   .in = tensor->in,
                                   .weight = inputs->given_weight != NULL
                                                 ? inputs->given_weight
                                                 : layer_weights_of(inputs->weights, tensor),
                                   .result = masks};
    enum status status;

    *masks = (struct linear_masks){0};
    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &masks->first, &masks->count);
    status = linear_scorer_create(&scorer, err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(prepare_factors(&scorer, inputs, tensor, err), done);
    GOTO_IF_ERROR(find_orders(&scorer, inputs, tensor, err), done);
    select_by_rows(&scorer);
    status = select_by_layer(&scorer, err);
done:
    linear_scorer_free(&scorer);
    return status;
}

enum status linear_order_by_scores(struct linear_order *order, const struct score_inputs *inputs,
                                   const struct layer_tensor *tensor, const struct variant *variant,
                                   struct error *err)
{
    struct linear_masks result = {0};
    struct linear_scorer scorer = {.team = inputs->stage->team,
                                   .variant = variant,
                                   .out = tensor->out,
                                   .in = tensor->in,
                                   .weight = inputs->given_weight != NULL
                                                 ? inputs->given_weight
                                                 : layer_weights_of(inputs->weights, tensor),
                                   .result = &result};
    const struct order_question question = {
        .stage = inputs->stage, .variant = variant, .tensor = tensor, .row = order_row, .context = &scorer};
    enum status status;

    *order = (struct linear_order){0};
    if (!linear_has_order(variant, tensor, inputs->stage->model))
        return STATUS_OK;
    status = linear_scorer_create(&scorer, err);
    GOTO_IF_ERROR(team_agree(inputs->stage->team, status, err), done);
    GOTO_IF_ERROR(prepare_factors(&scorer, inputs, tensor, err), done);
    status = linear_order_create(order, &question, err);
done:
    linear_scorer_free(&scorer);
    return status;
}

void linear_masks_free(struct linear_masks *masks)
{
    for (size_t k = 0; k < SCORE_BATCH; k++) {
        free(masks->masks[k]);
        linear_order_free(&masks->orders[k]);
    }
    *masks = (struct linear_masks){0};
}

struct mask_rows linear_masks_rows(const struct linear_masks *masks, const struct cut *cut)
{
    return (struct mask_rows){masks->first, masks->count, masks->masks[cut->like]};
}
