#include "stages/prune/curve_solver.h"

#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/least_squares.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/hessian.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double damping = 0.01; // as stages/compensate/solve.c

struct curve_solver {
    const struct stage *stage;
    const struct layer_map *map;
    struct store_reader *hessians;
    struct shared_block g, scaled; // [in, in] of the widest source: double, float32
    double *scale, *target, *wide, *workspace;
    float *rows; // [LEAST_SQUARES_ROWS, widest]
    // Of the source that was loaded last; SIZE_MAX: none.
    size_t source;
    uint64_t tokens;
    struct normal_equations equations;
};

uint64_t curve_solver_shared_bytes(size_t widest)
{
    return (uint64_t)widest * widest * (sizeof(double) + sizeof(float));
}

uint64_t curve_solver_rank_bytes(size_t widest)
{
    return widest * sizeof(double) + least_squares_workspace(widest) * sizeof(double) +
           (uint64_t)LEAST_SQUARES_ROWS * widest * (2 * sizeof(double) + sizeof(float));
}

void curve_solver_free(struct curve_solver *solver)
{
    if (solver == NULL)
        return;
    store_close(solver->hessians);
    shared_block_free(&solver->g);
    shared_block_free(&solver->scaled);
    free(solver->scale);
    free(solver->target);
    free(solver->wide);
    free(solver->workspace);
    free(solver->rows);
    free(solver);
}

static enum status allocate_rows(struct curve_solver *s, size_t widest, struct error *err)
{
    static const char purpose[] = "rows of a linear while they are solved";
    const size_t block = LEAST_SQUARES_ROWS * widest;

    FORWARD_IF_ERROR(allocate(&s->scale, widest, sizeof *s->scale, purpose, err));
    FORWARD_IF_ERROR(allocate_aligned(&s->target, block, sizeof *s->target, purpose, err));
    FORWARD_IF_ERROR(allocate_aligned(&s->wide, block, sizeof *s->wide, purpose, err));
    FORWARD_IF_ERROR(
        allocate_aligned(&s->workspace, least_squares_workspace(widest), sizeof *s->workspace, purpose, err));
    return allocate_aligned(&s->rows, block, sizeof *s->rows, purpose, err);
}

enum status curve_solver_create(struct curve_solver **solver, const struct stage *stage,
                                const struct layer_map *map, struct error *err)
{
    struct curve_solver *s = NULL;
    size_t widest = 1;
    char path[PATH_SIZE];
    enum status status = allocate(&s, 1, sizeof *s, "a solver", err);

    *solver = s;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_is_pruned(stage->settings, map->layer, &map->tensors[i]) && map->tensors[i].in > widest)
            widest = map->tensors[i].in;
    if (status == STATUS_OK)
        status = allocate_rows(s, widest, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    s->stage = stage;
    s->map = map;
    s->source = SIZE_MAX;
    FORWARD_IF_ERROR(shared_block_allocate(&s->g, stage->team, (uint64_t)widest * widest * sizeof(double),
                                           "the Hessian of one group of linears", err));
    FORWARD_IF_ERROR(shared_block_allocate(&s->scaled, stage->team, (uint64_t)widest * widest * sizeof(float),
                                           "the normal equations of one group of linears", err));
    hessian_path(path, stage->settings, DENSE_NAME, map->layer);
    return store_open(&s->hessians, path, stage->team->comm, err);
}

// Rows of the Hessian of one source: each node's ranks read a share each, then complete what lies below the
// diagonal.
static enum status read_hessian(struct curve_solver *s, size_t source, size_t in, struct error *err)
{
    const struct team *team = s->stage->team;
    double *g = s->g.data;
    size_t first, count;
    char name[DATASET_PATH_SIZE];

    dataset_path(name, hessian_name(s->map, source), DATASET_HESSIAN);
    share_of(in, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    enum status status = store_read_attribute_u64(s->hessians, name, "tokens", &s->tokens, err);
    if (status == STATUS_OK)
        status = store_read(s->hessians, name, STORE_F64, first, count, g + first * in, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    shared_block_sync(&s->g, team);
    for (size_t i = first; i < first + count; i++)
        for (size_t j = 0; j < i; j++)
            g[i * in + j] = g[j * in + i];
    shared_block_sync(&s->g, team);
    return STATUS_OK;
}

static enum status load_source(struct curve_solver *s, const struct layer_tensor *tensor, struct error *err)
{
    const struct team *team = s->stage->team;
    const size_t in = tensor->in;
    size_t first, count;

    if (s->source == tensor->source)
        return STATUS_OK;
    shared_block_sync(&s->g, team); // neighbours may still use the last one
    s->source = SIZE_MAX;
    FORWARD_IF_ERROR(read_hessian(s, tensor->source, in, err));
    s->equations =
        (struct normal_equations){.in = in, .g = s->g.data, .scale = s->scale, .scaled = s->scaled.data};
    s->equations.lambda = normal_equations_lambda(s->equations.g, in, damping);
    normal_equations_scale(&s->equations);
    share_of(in, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    normal_equations_fill(&s->equations, first, count);
    shared_block_sync(&s->scaled, team);
    s->source = tensor->source;
    return STATUS_OK;
}

static bool gives_up(void *context)
{
    return stage_is_stopped(context, 0);
}

// s->rows <- the rows [first, first + count) solved. False when this rank was told to stop.
static bool solve_block(struct curve_solver *s, const float *rows, const float *dense, const uint8_t *mask,
                        size_t first, size_t count)
{
    const struct least_squares_limits limits = {
        .steps = LEAST_SQUARES_STEPS, .gives_up = gives_up, .context = (void *)(uintptr_t)s->stage};
    const size_t in = s->equations.in;
    struct least_squares_outcome outcomes[LEAST_SQUARES_ROWS];

    least_squares_target(s->target, &s->equations, dense + first * in, count, s->wide);
    const struct least_squares_rows block = {.count = count,
                                             .target = s->target,
                                             .mask = mask + first * mask_row_bytes(in),
                                             .start = rows + first * in};
    return least_squares_rows(s->rows, outcomes, &s->equations, &block, &limits, s->workspace);
}

// Every node gets the rows of a block from the rank that solved it.
static enum status share_block(struct curve_solver *s, float *rows, size_t first, size_t count, int owner,
                               struct error *err)
{
    const struct team *team = s->stage->team;
    const size_t in = s->equations.in;

    if (team->node_size != team->size)
        FORWARD_IF_ERROR(team_broadcast(team, s->rows, count * in * sizeof *rows, owner, err));
    if (team->node_size != team->size ? team->node_rank == 0 : team->rank == owner)
        memcpy(rows + first * in, s->rows, count * in * sizeof *rows);
    return STATUS_OK;
}

static size_t block_rows(size_t out, size_t first)
{
    return out - first < LEAST_SQUARES_ROWS ? out - first : LEAST_SQUARES_ROWS;
}

enum status curve_solver_solve(struct curve_solver *s, float *rows, const struct layer_tensor *tensor,
                               const float *dense, const uint8_t *mask, struct error *err)
{
    const struct team *team = s->stage->team;
    const size_t out = tensor->out, size = (size_t)team->size;

    FORWARD_IF_ERROR(load_source(s, tensor, err));
    if (few_tokens_of(tensor, s->tokens, true) != TOKENS_SUFFICE || !(s->equations.lambda > 0))
        return STATUS_OK;
    for (size_t wave = 0; wave * LEAST_SQUARES_ROWS < out; wave += size) {
        const size_t mine = (wave + (size_t)team->rank) * LEAST_SQUARES_ROWS;
        enum status status = STATUS_OK;
        if (mine < out && !solve_block(s, rows, dense, mask, mine, block_rows(out, mine)))
            status = error_set(err, STATUS_STOPPED, "told to stop");
        FORWARD_IF_ERROR(team_agree(team, status, err));
        for (size_t rank = 0; rank < size; rank++) {
            const size_t first = (wave + rank) * LEAST_SQUARES_ROWS;
            if (first < out)
                FORWARD_IF_ERROR(share_block(s, rows, first, block_rows(out, first), (int)rank, err));
        }
    }
    return STATUS_OK;
}
