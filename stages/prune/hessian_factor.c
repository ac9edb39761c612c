#include "stages/prune/hessian_factor.h"

#include "kernels/pruning/solving/hessian_factor.h"
#include "kernels/pruning/solving/second_order.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/hessian.h"

#include <stdlib.h>

static const double first_damping = 0.01;
enum { ATTEMPTS = 4 };

enum status factor_create(struct factor *factor, const struct stage *stage, const struct layer_map *map,
                          const struct store_reader *hessians, struct error *err)
{
    size_t widest = 0;

    *factor = (struct factor){.stage = stage, .map = map, .hessians = hessians, .source = SIZE_MAX};
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_is_pruned(stage->settings, map->layer, &map->tensors[i]) && map->tensors[i].in > widest)
            widest = map->tensors[i].in;
    enum status status = allocate(&factor->dead, widest, 1, "dead channels", err);
    if (status == STATUS_OK)
        status = allocate_aligned(&factor->workspace, TILE_WORKSPACE, sizeof *factor->workspace,
                                  "a tile of a Hessian", err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    return shared_block_allocate(&factor->memory, stage->team, (uint64_t)widest * widest * sizeof(double),
                                 "the Hessian of one linear", err);
}

void factor_free(struct factor *factor)
{
    shared_block_free(&factor->memory);
    free(factor->dead);
    free(factor->workspace);
}

// The memory <- the upper triangle of H[in, in] with rows and columns in the factor's order.
static enum status read_in_order(struct factor *factor, size_t in, const char *name, struct error *err)
{
    uint32_t *position = NULL; // [in] of a channel
    double *row = NULL, *h = factor->memory.data;
    enum status status = allocate(&position, in, sizeof *position, "an order of channels", err);

    if (status == STATUS_OK)
        status = allocate(&row, in, sizeof *row, "a row of a Hessian", err);
    for (size_t k = 0; k < in && status == STATUS_OK; k++)
        position[factor->order[k]] = (uint32_t)k;
    for (size_t i = 0; i < in && status == STATUS_OK; i++) {
        status = store_read(factor->hessians, name, STORE_F64, i, 1, row, err);
        for (size_t j = i; j < in && status == STATUS_OK; j++) {
            const size_t a = position[i], b = position[j];
            h[(a < b ? a : b) * in + (a < b ? b : a)] = row[j]; // what lies below means nothing
        }
    }
    free(position);
    free(row);
    return status;
}

// The memory <- H[in, in] of the linear's source; if the calibration saw too little of it H's diagonal, or
// the unit matrix.
static enum status read_hessian(struct factor *factor, const struct layer_tensor *tensor, const char *name,
                                struct error *err)
{
    const size_t in = tensor->in;
    const enum few_tokens few = few_tokens_of(tensor, factor->tokens, true);
    double *h = factor->memory.data;

    if (factor->order != NULL)
        FORWARD_IF_ERROR(read_in_order(factor, in, name, err));
    else
        FORWARD_IF_ERROR(store_read(factor->hessians, name, STORE_F64, 0, in, h, err));
    for (size_t i = 0; i < in && few != TOKENS_SUFFICE; i++)
        for (size_t j = 0; j < in; j++)
            h[i * in + j] = i != j ? 0 : few == TOKENS_FOR_DIAGONAL ? h[i * in + i] : 1;
    return STATUS_OK;
}

// The memory <- H with the damping, by one rank.
static enum status read_damped(struct factor *factor, const struct layer_tensor *tensor, const char *name,
                               struct error *err)
{
    const size_t in = tensor->in;
    double *h = factor->memory.data;
    double mean = 0;

    FORWARD_IF_ERROR(read_hessian(factor, tensor, name, err));
    for (size_t j = 0; j < in; j++)
        mean += h[j * in + j] / (double)in;
    RETURN_ERROR_IF(mean == 0, err, STATUS_INPUT,
                    "layers.%zu.%s: all its inputs are 0 over the calibration sequences, so sparsegpt "
                    "cannot prune it: use more sequences, or prune.skip",
                    factor->map->layer, tensor->linear);
    factor->num_dead = hessian_damp(h, factor->dead, in, factor->damping);
    return STATUS_OK;
}

// H -> U in memory, as far as H is positive definite. The tiles of a step are shared out to the ranks of the
// node. A wide matrix takes minutes: a rank that is told to stop leaves it.
static enum status factor_tiles(struct factor *factor, size_t in, struct error *err)
{
    const struct team *team = factor->stage->team;
    const size_t rank = (size_t)team->node_rank, ranks = (size_t)team->node_size, tiles = matrix_tiles(in);
    double *h = factor->memory.data;

    for (size_t k = tiles; k-- > 0;) {
        enum status status = STATUS_OK;
        if (rank == k % ranks)
            hessian_factor_pivot(h, in, k, factor->workspace);
        shared_block_sync(&factor->memory, team);
        const bool holds = hessian_factor_pivot_succeeded(h, in, k);
        for (size_t j = rank; j < tiles && holds; j += ranks)
            if (j != k)
                hessian_factor_across(h, in, k, j, factor->workspace);
        shared_block_sync(&factor->memory, team);
        for (size_t i = rank; i < k && holds && status == STATUS_OK; i += ranks) {
            hessian_factor_down(h, in, k, i, factor->workspace);
            if (stage_is_stopped(factor->stage, 0))
                status = error_set(err, STATUS_STOPPED, "told to stop");
        }
        shared_block_sync(&factor->memory, team);
        FORWARD_IF_ERROR(team_agree(team, status, err));
        if (team_any(team, !holds))
            break;
    }
    return STATUS_OK;
}

// One attempt; *done is the same on every rank.
static enum status try_factor(struct factor *factor, const struct layer_tensor *tensor, const char *name,
                              bool *done, struct error *err)
{
    const struct team *team = factor->stage->team;
    enum status status = STATUS_OK;

    if (team->node_rank == 0)
        status = read_damped(factor, tensor, name, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    shared_block_sync(&factor->memory, team);
    FORWARD_IF_ERROR(factor_tiles(factor, tensor->in, err));
    *done = !team_any(team, !diagonal_is_positive(factor->memory.data, tensor->in));
    return STATUS_OK;
}

enum status factor_load(struct factor *factor, const struct layer_tensor *tensor,
                        const struct linear_order *order, struct error *err)
{
    const struct stage *stage = factor->stage;
    const struct layer_map *map = factor->map;
    char name[DATASET_PATH_SIZE];
    bool done = false;
    uint64_t num_dead;

    if (factor->source == tensor->source && order->columns == NULL)
        return STATUS_OK;
    factor->source = SIZE_MAX;
    factor->order = order->columns;
    dataset_path(name, hessian_name(map, tensor->source), DATASET_HESSIAN);
    FORWARD_IF_ERROR(team_agree(
        stage->team, store_read_attribute_u64(factor->hessians, name, "tokens", &factor->tokens, err), err));
    shared_block_sync(&factor->memory, stage->team); // neighbours may still use the last one
    factor->damping = first_damping;
    for (int attempt = 0; attempt < ATTEMPTS && !done; attempt++) {
        if (attempt != 0) {
            factor->damping *= 10;
            stage_notice(
                stage,
                "layers.%zu.%s: its Hessian is not positive definite; damping raised to %g of the mean "
                "of its diagonal",
                map->layer, tensor->linear, factor->damping);
        }
        FORWARD_IF_ERROR(try_factor(factor, tensor, name, &done, err));
    }
    if (!done)
        RETURN_ERROR(err, STATUS_INPUT,
                     "layers.%zu.%s: its Hessian is not positive definite, even with %g of the mean of its "
                     "diagonal added",
                     map->layer, tensor->linear, factor->damping);
    shared_block_sync(&factor->memory, stage->team);
    num_dead = factor->num_dead;
    FORWARD_IF_ERROR(team_broadcast(stage->team, factor->dead, tensor->in, 0, err));
    FORWARD_IF_ERROR(team_broadcast(stage->team, &num_dead, sizeof num_dead, 0, err));
    factor->num_dead = num_dead;
    if (order->columns == NULL) // one in an order serves for one linear
        factor->source = tensor->source;
    return STATUS_OK;
}
