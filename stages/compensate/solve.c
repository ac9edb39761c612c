#include "stages/compensate/solve.h"

#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/inverse.h"
#include "kernels/pruning/solving/least_squares.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/gram_batches.h"
#include "stages/layer/linear_groups.h"
#include "stages/work.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double damping = 0.01; // of the mean of G's diagonal, as the second-order methods take it

// ---- memory ---------------------------------------------------------------------------------------------

enum status solver_create(struct solver *solver, const struct stage *stage, const struct layer_map *map,
                          bool inverts, struct error *err)
{
    size_t widest = 0;

    *solver = (struct solver){.stage = stage, .map = map};
    enum status status =
        allocate(&solver->linears, map->num_tensors, sizeof *solver->linears, "a layer's linears", err);
    if (status == STATUS_OK)
        status = allocate(&solver->others, map->num_sources, sizeof *solver->others, "a list of inputs", err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    solver->num_linears = linears_by_depth(solver->linears, stage->settings, map);
    for (size_t i = 0; i < solver->num_linears; i++)
        widest = solver->linears[i]->in > widest ? solver->linears[i]->in : widest;
    status = allocate(&solver->scale, widest, sizeof *solver->scale, "the scales of channels", err);
    if (status == STATUS_OK)
        status = allocate_aligned(&solver->workspace,
                                  least_squares_workspace(widest) + (inverts ? TILE_WORKSPACE : 0),
                                  sizeof(double), "rows of a linear while they are solved", err);
    if (status == STATUS_OK)
        status = allocate_aligned(&solver->target, 2 * LEAST_SQUARES_ROWS * widest, sizeof(double),
                                  "rows of a linear while they are solved", err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    FORWARD_IF_ERROR(gram_create(&solver->gram, stage,
                                 gram_batches_bytes(solver->linears, solver->num_linears, map), err));
    if (inverts)
        FORWARD_IF_ERROR(shared_block_allocate(&solver->wide, stage->team,
                                               (uint64_t)widest * widest * sizeof(double),
                                               "the inverse of one group's equations", err));
    return shared_block_allocate(&solver->scaled, stage->team, (uint64_t)widest * widest * sizeof(float),
                                 "the normal equations of one group of linears", err);
}

void solver_free(struct solver *solver)
{
    gram_free(&solver->gram);
    shared_block_free(&solver->scaled);
    shared_block_free(&solver->wide);
    free(solver->linears);
    free(solver->others);
    free(solver->scale);
    free(solver->target);
    free(solver->workspace);
    *solver = (struct solver){0};
}

// ---- one linear -----------------------------------------------------------------------------------------

// Rows are dealt out as by share_of, and treated in blocks: a row's bits do not depend on those beside it.
struct share {
    size_t first, end;
};

static struct share share_of_rank(const struct team *team, int rank, const struct layer_tensor *tensor)
{
    size_t first, count;
    share_of(tensor->out, (size_t)rank, (size_t)team->size, &first, &count);
    return (struct share){first, first + count};
}

static size_t block_rows(const struct share *share, size_t first)
{
    return share->end - first < LEAST_SQUARES_ROWS ? share->end - first : LEAST_SQUARES_ROWS;
}

// What a linear's rows are solved for.
struct problem {
    const struct normal_equations *equations;
    const uint8_t *mask; // [out, mask_row_bytes(in)]; NULL: all weights are kept
    const float *start;  // [out, in]
    struct least_squares_limits limits;
};

static bool gives_up(void *context)
{
    return stage_is_stopped(context, 0);
}

// Solves for `count` rows from `first` on, in place of what the solution was. Adds to its steps and residual.
// False when it was given up, as this rank was told to stop.
static bool solve_block(struct solver *solver, const struct problem *problem, struct pruned_linear *linear,
                        size_t first, size_t count)
{
    const size_t in = linear->tensor->in;
    struct least_squares_outcome outcomes[LEAST_SQUARES_ROWS];

    least_squares_target(solver->target, problem->equations, linear->weight + first * in, count,
                         solver->target + LEAST_SQUARES_ROWS * in);
    const struct least_squares_rows of_block = {
        .count = count,
        .target = solver->target,
        .mask = problem->mask != NULL ? problem->mask + first * mask_row_bytes(in) : NULL,
        .start = problem->start + first * in};
    if (!least_squares_rows((float *)linear->solution.memory.data + first * in, outcomes, problem->equations,
                            &of_block, &problem->limits, solver->workspace))
        return false;
    for (size_t i = 0; i < count; i++) {
        linear->solution.steps = fmax(linear->solution.steps, (double)outcomes[i].steps);
        linear->solution.residual = fmax(linear->solution.residual, outcomes[i].residual);
    }
    return true;
}

// Brings the rows of rank `rank` to the memory of the other nodes.
static enum status send_rows(const struct team *team, struct pruned_linear *linear, int rank,
                             struct error *err)
{
    const size_t in = linear->tensor->in;
    const struct share share = share_of_rank(team, rank, linear->tensor);
    float *rows = NULL;
    enum status status = allocate(&rows, LEAST_SQUARES_ROWS * in, sizeof *rows, "rows of a solution", err);

    GOTO_IF_ERROR(team_agree(team, status, err), done);
    for (size_t first = share.first; first < share.end; first += LEAST_SQUARES_ROWS) {
        const size_t values = block_rows(&share, first) * in;
        float *shared = (float *)linear->solution.memory.data + first * in;
        if (team->rank == rank)
            memcpy(rows, shared, values * sizeof *rows);
        GOTO_IF_ERROR(team_broadcast(team, rows, values * sizeof *rows, rank, err), done);
        if (team->node_rank == 0 && team->rank != rank)
            memcpy(shared, rows, values * sizeof *rows);
    }
done:
    free(rows);
    return status;
}

enum status solution_share(const struct team *team, struct pruned_linear *linear, struct error *err)
{
    if (team->node_size < team->size)
        for (int rank = 0; rank < team->size; rank++)
            FORWARD_IF_ERROR(send_rows(team, linear, rank, err));
    shared_block_sync(&linear->solution.memory, team);
    return STATUS_OK;
}

// Fills linear->solution, whose memory may be where the problem starts from.
static enum status solve_linear(struct solver *solver, const struct problem *problem,
                                struct pruned_linear *linear, struct error *err)
{
    const struct team *team = solver->stage->team;
    const struct share share = share_of_rank(team, team->rank, linear->tensor);
    struct solution *solution = &linear->solution;
    enum status status = STATUS_OK;

    solution->steps = solution->residual = 0;
    // A block of rows can take long: a rank that is told to stop leaves it between two products.
    for (size_t first = share.first; first < share.end && status == STATUS_OK; first += LEAST_SQUARES_ROWS)
        if (!solve_block(solver, problem, linear, first, block_rows(&share, first)))
            status = error_set(err, STATUS_STOPPED, "told to stop");
    FORWARD_IF_ERROR(stage_safe_point(solver->stage, status, 0, err));
    stage_advance(solver->stage, solve_work((double)linear->tensor->out, (double)linear->tensor->in));
    double most[2] = {solution->steps, solution->residual};
    FORWARD_IF_ERROR(team_max_f64(team, most, 2, err));
    solution->steps = most[0];
    solution->residual = most[1];
    return solution_share(team, linear, err);
}

static struct least_squares_limits limits_of(const struct solver *solver)
{
    return (struct least_squares_limits){
        .steps = LEAST_SQUARES_STEPS, .gives_up = gives_up, .context = (void *)(uintptr_t)solver->stage};
}

static enum status make_room(struct solver *solver, struct pruned_linear *linear, struct error *err)
{
    linear->solution.tokens = solver->gram.tokens;
    return shared_block_allocate(&linear->solution.memory, solver->stage->team,
                                 (uint64_t)linear->tensor->out * linear->tensor->in * sizeof(float),
                                 "a linear's solution", err);
}

enum status solver_correct(struct solver *solver, struct pruned_linear *linear, struct error *err)
{
    const struct problem problem = {
        .equations = &solver->equations, .start = linear->weight, .limits = limits_of(solver)};
    FORWARD_IF_ERROR(make_room(solver, linear, err));
    return solve_linear(solver, &problem, linear, err);
}

enum status solver_solve(struct solver *solver, struct pruned_linear *linear, struct error *err)
{
    struct problem problem = {.equations = &solver->equations,
                              .mask = linear->mask,
                              .start = linear->solution.memory.data,
                              .limits = limits_of(solver)};
    if (problem.start == NULL) {
        problem.start = linear->updated;
        FORWARD_IF_ERROR(make_room(solver, linear, err));
    }
    return solve_linear(solver, &problem, linear, err);
}

// ---- the equations of a group ---------------------------------------------------------------------------

static void scale(struct solver *solver)
{
    const struct team *team = solver->stage->team;
    struct normal_equations *equations = &solver->equations;
    size_t first, count;

    *equations =
        (struct normal_equations){.in = solver->gram.in,
                                  .lambda = normal_equations_lambda(solver->gram.g, solver->gram.in, damping),
                                  .g = solver->gram.g,
                                  .c = solver->gram.c,
                                  .scale = solver->scale,
                                  .scaled = solver->scaled.data};
    normal_equations_scale(equations);
    share_of(equations->in, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    shared_block_sync(&solver->scaled, team); // neighbours may still use the last ones
    normal_equations_fill(equations, first, count);
    shared_block_sync(&solver->scaled, team);
}

// Unless it was gathered with another one.
static enum status gather(struct solver *solver, const struct gram_input *input, struct error *err)
{
    struct gram_input batch = *input;
    size_t first = 0, end;

    if (gram_select(&solver->gram, input->source))
        return STATUS_OK;
    while (first < solver->num_linears && solver->linears[first]->source != input->source)
        first++;
    end = first;
    if (first < solver->num_linears)
        end += gram_batch(solver->linears + first, solver->num_linears - first, solver->map,
                          gram_limit(solver->map));
    batch.others = solver->others;
    for (size_t i = first; i < end; i += linears_of_source(solver->linears + i, end - i))
        if (i != first)
            solver->others[batch.num_others++] = solver->linears[i]->source;
    return gram_gather(&solver->gram, &batch, err);
}

enum status solver_gather(struct solver *solver, bool *solvable, const struct gram_input *input,
                          const struct layer_tensor *tensor, struct error *err)
{
    FORWARD_IF_ERROR(gather(solver, input, err));
    *solvable = few_tokens_of(tensor, solver->gram.tokens, true) == TOKENS_SUFFICE &&
                normal_equations_lambda(solver->gram.g, tensor->in, 1) > 0;
    if (*solvable)
        scale(solver);
    return STATUS_OK;
}

// Sweeps over the tiles of the diagonal; those across and down are shared out to the ranks of the node. A
// wide matrix takes minutes, and a tile seconds: a rank that is told to stop leaves it.
static enum status invert_tiles(struct solver *solver, size_t in, struct error *err)
{
    const struct team *team = solver->stage->team;
    const size_t rank = (size_t)team->node_rank, ranks = (size_t)team->node_size, tiles = matrix_tiles(in);
    double *matrix = solver->wide.data;

    for (size_t k = 0; k < tiles; k++) {
        enum status status = STATUS_OK;
        if (rank == k % ranks)
            inverse_pivot(matrix, in, k, solver->workspace);
        shared_block_sync(&solver->wide, team);
        for (size_t j = rank; j < tiles; j += ranks)
            if (j != k)
                inverse_across(matrix, in, k, j, solver->workspace);
        shared_block_sync(&solver->wide, team);
        for (size_t i = rank; i < tiles && status == STATUS_OK; i += ranks) {
            inverse_down(matrix, in, k, i, solver->workspace);
            if (stage_is_stopped(solver->stage, 0))
                status = error_set(err, STATUS_STOPPED, "told to stop");
        }
        shared_block_sync(&solver->wide, team);
        FORWARD_IF_ERROR(team_agree(team, status, err));
    }
    for (size_t i = rank; i < tiles; i += ranks)
        inverse_mirror(matrix, in, i);
    shared_block_sync(&solver->wide, team);
    return STATUS_OK;
}

enum status solver_invert(struct solver *solver, const float **inverse, double rho, struct error *err)
{
    const struct team *team = solver->stage->team;
    const size_t in = solver->equations.in;
    size_t first, count;

    share_of(in, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    shared_block_sync(&solver->wide, team); // neighbours may still use the last one
    normal_equations_wide(solver->wide.data, &solver->equations, rho, first, count);
    shared_block_sync(&solver->wide, team);
    FORWARD_IF_ERROR(invert_tiles(solver, in, err));
    if (team_any(team, !diagonal_is_positive(solver->wide.data, in)))
        RETURN_ERROR(err, STATUS_INPUT, "the normal equations are not positive definite with %g added", rho);
    inverse_narrow(solver->wide.data, in, first, count);
    shared_block_sync(&solver->wide, team);
    *inverse = solver->wide.data;
    return STATUS_OK;
}
