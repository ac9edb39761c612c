#include "stages/joint/splitting.h"

#include "kernels/pruning/masks/held_zeros.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/alps.h"
#include "kernels/threads.h"
#include "stages/work.h"

#include <stdlib.h>
#include <string.h>

enum status split_linear_create(struct split_linear *split, struct pruned_linear *linear, double sparsity,
                                struct error *err)
{
    const struct team *team = linear->stage->team;
    const size_t in = linear->tensor->in;

    *split = (struct split_linear){.linear = linear, .sparsity = sparsity};
    share_of(linear->tensor->out, (size_t)team->rank, (size_t)team->size, &split->first, &split->count);
    FORWARD_IF_ERROR(allocate_aligned(&split->state, split->count * in, sizeof *split->state,
                                      "rows of a weight while they are pruned", err));
    FORWARD_IF_ERROR(allocate(&split->before, split->count, mask_row_bytes(in), "a mask", err));
    FORWARD_IF_ERROR(allocate(&split->held, split->count, mask_row_bytes(in), "a mask", err));
    for (size_t i = 0; i < split->count && stage_holds_zeros(linear->stage); i++)
        held_zeros_find(split->held + i * mask_row_bytes(in), linear->weight + (split->first + i) * in, in);
    return STATUS_OK;
}

void split_linear_free(struct split_linear *split)
{
    free(split->state);
    free(split->before);
    free(split->held);
    *split = (struct split_linear){0};
}

// A group while it is pruned, on one rank.
struct splitting {
    struct solver *solver;
    const struct variant *variant;
    struct split_linear *linears;
    size_t count;
    size_t in;
    float *scores;    // [threads, in]
    float *workspace; // admm_workspace
    const float *inverse;
    double inverted;        // the rho of the inverse; 0: there is none yet
    double steps, inverses; // that were reported so far
};

// ---- blocks of rows -------------------------------------------------------------------------------------

static size_t block_count(const struct split_linear *split, size_t row)
{
    return split->count - row < LEAST_SQUARES_ROWS ? split->count - row : LEAST_SQUARES_ROWS;
}

static struct admm_rows block_of(const struct split_linear *split, size_t row)
{
    const size_t in = split->linear->tensor->in, at = split->first + row;
    return (struct admm_rows){.count = block_count(split, row),
                              .dense = (const float *)split->linear->solution.memory.data + at * in,
                              .state = split->state + row * in,
                              .mask = split->linear->mask + at * mask_row_bytes(in),
                              .held = split->held + row * mask_row_bytes(in)};
}

static void begin_all(const struct splitting *s)
{
    for (size_t k = 0; k < s->count; k++)
        for (size_t row = 0; row < s->linears[k].count; row += LEAST_SQUARES_ROWS) {
            const struct admm_rows rows = block_of(&s->linears[k], row);
            admm_begin(&rows, &s->solver->equations);
        }
}

// A rank that is told to stop leaves between two blocks, each of which can take a second.
static enum status step_own(const struct splitting *s, const struct admm_penalty *penalty, struct error *err)
{
    for (size_t k = 0; k < s->count; k++)
        for (size_t row = 0; row < s->linears[k].count; row += LEAST_SQUARES_ROWS) {
            const struct admm_rows rows = block_of(&s->linears[k], row);
            admm_step(&rows, &s->solver->equations, s->inverse, penalty, s->workspace);
            RETURN_ERROR_IF(stage_is_stopped(s->solver->stage, 0), err, STATUS_STOPPED, "told to stop");
        }
    return STATUS_OK;
}

static enum status step_all(const struct splitting *s, const struct admm_penalty *penalty, struct error *err)
{
    return team_agree(s->solver->stage->team, step_own(s, penalty, err), err);
}

// ---- masks ----------------------------------------------------------------------------------------------

static void score_row(const struct splitting *s, const struct split_linear *split, size_t row)
{
    admm_scores(s->scores, split->state + row * s->in, s->in);
    held_zeros_score(s->scores, split->held + row * mask_row_bytes(s->in), s->in);
}

static uint8_t *mask_of(const struct split_linear *split, size_t row)
{
    return split->linear->mask + (split->first + row) * mask_row_bytes(split->linear->tensor->in);
}

static void select_in_order(const struct splitting *s, const struct split_linear *split)
{
    for (size_t row = 0; row < split->count; row++) {
        score_row(s, split, row);
        select_n_of_m_in_order(mask_of(split, row), s->scores, s->in, s->variant->keep, s->variant->of,
                               split->order);
        held_zeros_mask(mask_of(split, row), split->held + row * mask_row_bytes(s->in), s->in);
    }
}

static void select_rows(const struct splitting *s, const struct split_linear *split, double sparsity)
{
    const struct variant *variant = s->variant;
    const size_t pruned = prune_count(s->in, sparsity);
    struct admm_selection selection = {.prune = pruned};

    if (variant->is_pattern) // what is not safe goes bit by bit while the sparsity grows
        selection = (struct admm_selection){
            .prune = sparsity < split->sparsity ? pruned : SIZE_MAX, .n = variant->keep, .of = variant->of};
    for (size_t row = 0; row < split->count; row += LEAST_SQUARES_ROWS) {
        const struct admm_rows rows = block_of(split, row);
        admm_select(&rows, s->in, &selection, s->scores);
    }
}

// The smallest of the whole matrix: a radix search with histograms summed over the team, then ties in the
// order of the rows (kernels/pruning/masks/select.h).
static enum status select_matrix(const struct splitting *s, const struct split_linear *split, double sparsity,
                                 struct error *err)
{
    const struct team *team = s->solver->stage->team;
    struct select_search search;
    uint64_t mine = 0, before, ties;

    select_search_begin(&search, prune_count(split->linear->tensor->out * s->in, sparsity));
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t histogram[SELECT_BINS] = {0};
        for (size_t row = 0; row < split->count; row++) {
            score_row(s, split, row);
            select_search_count(&search, histogram, s->scores, s->in);
        }
        FORWARD_IF_ERROR(team_sum_u64(team, histogram, SELECT_BINS, err));
        select_search_narrow(&search, histogram);
    }
    for (size_t row = 0; row < split->count; row++) {
        score_row(s, split, row);
        mine += select_count_ties(&search, s->scores, s->in);
    }
    FORWARD_IF_ERROR(team_exclusive_sum_u64(team, mine, &before, err));
    ties = search.ties > before ? search.ties - before : 0;
    for (size_t row = 0; row < split->count; row++) {
        score_row(s, split, row);
        select_threshold_row(mask_of(split, row), s->scores, s->in, &search, &ties);
        held_zeros_mask(mask_of(split, row), split->held + row * mask_row_bytes(s->in), s->in);
    }
    return STATUS_OK;
}

// The masks of all linears; sparsity_of says how much of their sparsity is reached, NULL: all.
static enum status select_all(const struct splitting *s, double (*sparsity_of)(double sparsity, int step),
                              int step, struct error *err)
{
    for (size_t k = 0; k < s->count; k++) {
        const double sparsity =
            sparsity_of != NULL ? sparsity_of(s->linears[k].sparsity, step) : s->linears[k].sparsity;
        if (s->linears[k].order != NULL)
            select_in_order(s, &s->linears[k]);
        else if (s->variant->is_pattern || s->variant->group == GROUP_ROW)
            select_rows(s, &s->linears[k], sparsity);
        else
            FORWARD_IF_ERROR(select_matrix(s, &s->linears[k], sparsity, err));
    }
    return STATUS_OK;
}

static void remember_masks(const struct splitting *s)
{
    for (size_t k = 0; k < s->count; k++)
        memcpy(s->linears[k].before, mask_of(&s->linears[k], 0), s->linears[k].count * mask_row_bytes(s->in));
}

// Over all ranks: columns whose mask changed since they were remembered, and those that are kept.
static enum status compare_masks(const struct splitting *s, uint64_t *changed, uint64_t *kept,
                                 struct error *err)
{
    uint64_t sums[2] = {0, 0};

    for (size_t k = 0; k < s->count; k++) {
        const struct split_linear *split = &s->linears[k];
        sums[0] += mask_difference(mask_of(split, 0), split->before, split->count * mask_row_bytes(s->in));
        for (size_t row = 0; row < split->count; row++)
            sums[1] += mask_count(mask_of(split, row), s->in);
    }
    FORWARD_IF_ERROR(team_sum_u64(s->solver->stage->team, sums, 2, err));
    *changed = sums[0];
    *kept = sums[1];
    return STATUS_OK;
}

// ---- the two methods ------------------------------------------------------------------------------------

static enum status invert(struct splitting *s, double rho, struct error *err)
{
    if (s->inverted == rho)
        return STATUS_OK;
    s->inverted = rho;
    FORWARD_IF_ERROR(solver_invert(s->solver, &s->inverse, rho, err));
    if (s->inverses < split_inverses(s->variant->method)) {
        stage_advance(s->solver->stage, inverse_work((double)s->in));
        s->inverses++;
    }
    return STATUS_OK;
}

// Of one step of all linears.
static double step_work(const struct splitting *s)
{
    double work = 0;
    for (size_t k = 0; k < s->count; k++)
        work += split_step_work((double)s->linears[k].linear->tensor->out, (double)s->in);
    return work;
}

// Reports a step as long as there are no more than planned.
static enum status tell_step(struct splitting *s, struct error *err)
{
    if (s->steps < split_steps(s->variant->method)) {
        stage_advance(s->solver->stage, step_work(s));
        s->steps++;
    }
    return stage_safe_point(s->solver->stage, STATUS_OK, 0, err);
}

static enum status run_admm(struct splitting *s, struct error *err)
{
    const struct admm_penalty penalty = {ADMM_PENALTY, ADMM_PENALTY};

    FORWARD_IF_ERROR(invert(s, ADMM_PENALTY + ADMM_DAMPING, err));
    begin_all(s);
    for (int step = 0; step < ADMM_STEPS; step++) {
        if (step < ADMM_GROWTH)
            FORWARD_IF_ERROR(select_all(s, admm_sparsity, step, err));
        FORWARD_IF_ERROR(step_all(s, &penalty, err));
        FORWARD_IF_ERROR(tell_step(s, err));
    }
    return STATUS_OK;
}

static enum status begin_alps(struct splitting *s, struct error *err)
{
    begin_all(s);
    FORWARD_IF_ERROR(select_all(s, NULL, 0, err));
    remember_masks(s);
    return STATUS_OK;
}

static enum status run_alps(struct splitting *s, struct error *err)
{
    struct alps_schedule schedule;
    uint64_t changed = 0, kept = 0;
    enum alps_next next = ALPS_RESTART;

    alps_begin(&schedule);
    while (next != ALPS_DONE) {
        if (next == ALPS_RESTART)
            FORWARD_IF_ERROR(begin_alps(s, err));
        FORWARD_IF_ERROR(invert(s, schedule.penalty, err));
        FORWARD_IF_ERROR(step_all(s, &(struct admm_penalty){schedule.penalty, schedule.dual}, err));
        FORWARD_IF_ERROR(select_all(s, NULL, 0, err));
        if (alps_counts(&schedule)) {
            FORWARD_IF_ERROR(compare_masks(s, &changed, &kept, err));
            remember_masks(s);
        }
        next = alps_next(&schedule, changed, kept);
        FORWARD_IF_ERROR(tell_step(s, err));
    }
    return STATUS_OK;
}

// ---- the group ------------------------------------------------------------------------------------------

// What each rank found, to all.
static enum status share_result(struct splitting *s, struct split_linear *split, struct error *err)
{
    const struct team *team = s->solver->stage->team;
    struct pruned_linear *linear = split->linear;

    for (size_t row = 0; row < split->count; row += LEAST_SQUARES_ROWS) {
        const struct admm_rows rows = block_of(split, row);
        admm_result((float *)linear->solution.memory.data + (split->first + row) * s->in, &rows,
                    &s->solver->equations);
    }
    FORWARD_IF_ERROR(solution_share(team, linear, err));
    return team_allgather(team, linear->mask, linear->tensor->out, mask_row_bytes(s->in), err);
}

enum status split_group(struct split_linear *splits, size_t count, struct solver *solver,
                        const struct variant *variant, struct error *err)
{
    struct splitting s = {.solver = solver,
                          .variant = variant,
                          .linears = splits,
                          .count = count,
                          .in = splits[0].linear->tensor->in};
    enum status status =
        allocate_aligned(&s.scores, threads_count() * s.in, sizeof *s.scores, "scores of one row", err);

    if (status == STATUS_OK)
        status = allocate_aligned(&s.workspace, admm_workspace(s.in), sizeof *s.workspace,
                                  "rows of a weight while they are pruned", err);
    GOTO_IF_ERROR(team_agree(solver->stage->team, status, err), done);
    GOTO_IF_ERROR((variant->method == METHOD_ALPS ? run_alps : run_admm)(&s, err), done);
    stage_advance(solver->stage,
                  (split_steps(variant->method) - s.steps) * step_work(&s) +
                      (split_inverses(variant->method) - s.inverses) * inverse_work((double)s.in));
    for (size_t k = 0; k < count; k++)
        GOTO_IF_ERROR(share_result(&s, &splits[k], err), done);
done:
    free(s.scores);
    free(s.workspace);
    return status;
}
