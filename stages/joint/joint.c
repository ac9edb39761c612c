#include "stages/joint/joint.h"

#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/masks/statistics.h"
#include "stages/compensate/compensated_file.h"
#include "stages/compensate/layer_compensation.h"
#include "stages/joint/splitting.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/gram_batches.h"
#include "stages/layer/linear_groups.h"
#include "stages/prune/linear_masks.h"
#include "stages/work.h"

#include <stdlib.h>
#include <string.h>

// A layer while it is pruned, on one rank.
struct joint {
    struct layer_compensation compensation;
    struct cut cut; // the variant's file of masks, and the sparsity of the current linear
    struct linear_statistics statistics; // of the current source's inputs
    bool solvable;                       // whether there are equations of them
    struct linear_order *orders;         // of the compensation's linears
};

// ---- the inputs of a group ------------------------------------------------------------------------------

static enum status allocate_statistics(struct linear_statistics *statistics, double **mean, size_t in,
                                       struct error *err)
{
    FORWARD_IF_ERROR(allocate(mean, in, sizeof **mean, "statistics", err));
    FORWARD_IF_ERROR(
        allocate(&statistics->second_moment, in, sizeof *statistics->second_moment, "statistics", err));
    return allocate(&statistics->variance, in, sizeof *statistics->variance, "statistics", err);
}

// Statistics of what the equations were gathered from; of too few tokens those of inputs that are equally
// active.
static enum status take_statistics(struct joint *joint, const struct layer_tensor *tensor, struct error *err)
{
    const struct gram *gram = &joint->compensation.solver.gram;
    const size_t in = tensor->in;
    struct linear_statistics *statistics = &joint->statistics;
    double *mean = NULL, *squares = NULL;
    enum status status;

    linear_statistics_free(statistics);
    status = allocate_statistics(statistics, &mean, in, err);
    if (status == STATUS_OK)
        status = allocate(&squares, in, sizeof *squares, "statistics", err);
    GOTO_IF_ERROR(team_agree(joint->compensation.stage->team, status, err), done);
    statistics->tokens = gram->tokens;
    statistics->suffice = few_tokens_of(tensor, gram->tokens, false) != TOKENS_FOR_NOTHING;
    for (size_t j = 0; j < in; j++)
        squares[j] = gram->g[j * in + j];
    channel_moments(mean, statistics->variance, statistics->second_moment, gram->sum, squares, gram->tokens,
                    in);
    for (size_t j = 0; j < in && !statistics->suffice; j++)
        statistics->second_moment[j] = statistics->variance[j] = 1;
done:
    free(mean);
    free(squares);
    return status;
}

// ---- one linear -----------------------------------------------------------------------------------------

static struct score_inputs score_inputs_of(const struct joint *joint, const struct pruned_linear *linear)
{
    return (struct score_inputs){.stage = joint->compensation.stage,
                                 .weights = joint->compensation.dense,
                                 .given_weight = linear->solution.memory.data,
                                 .given_statistics = &joint->statistics};
}

// admm and alps have no scores: what scores have a say in, they take from wanda.
static struct variant scored_variant(const struct variant *variant)
{
    struct variant scored = *variant;
    if (!method_has_factors(scored.method)) {
        scored.method = METHOD_WANDA;
        scored.parameters = importance_defaults(METHOD_WANDA);
    }
    return scored;
}

static size_t mask_bytes(const struct pruned_linear *linear)
{
    return mask_row_bytes(linear->tensor->in);
}

// Fills linear->mask on every rank, from scores. Of inputs that say too little for the equations, admm and
// alps score like wanda.
static enum status choose_mask(struct joint *joint, struct pruned_linear *linear, struct error *err)
{
    const struct layer_compensation *c = &joint->compensation;
    const struct layer_tensor *tensor = linear->tensor;
    const struct score_inputs inputs = score_inputs_of(joint, linear);
    const struct variant scored = scored_variant(c->variant);
    struct cut cut = joint->cut;
    struct linear_masks masks;
    enum status status;

    cut.variant = &scored;
    GOTO_IF_ERROR(linear_masks_create(&masks, &inputs, tensor, &cut, 1, err), done);
    const struct mask_rows rows = linear_masks_rows(&masks, &cut);
    memcpy(linear->mask + rows.first * mask_bytes(linear), rows.mask, rows.count * mask_bytes(linear));
    joint->orders[linear - c->linears] = masks.orders[0];
    masks.orders[0] = (struct linear_order){0};
    status = team_allgather(c->stage->team, linear->mask, tensor->out, mask_bytes(linear), err);
done:
    linear_masks_free(&masks);
    return status;
}

// The sparsity of the linear, into joint->cut.
static double sparsity_of(struct joint *joint, const struct pruned_linear *linear)
{
    const struct layer_compensation *c = &joint->compensation;
    cuts_begin_linear(&joint->cut, 1, &c->dense->map, linear->tensor);
    return c->variant->is_pattern ? 1 - (double)c->variant->keep / (double)c->variant->of
                                  : joint->cut.sparsity;
}

// The masks of the group by admm or alps.
static enum status split(struct joint *joint, struct error *err)
{
    struct layer_compensation *c = &joint->compensation;
    struct split_linear *splits = NULL;
    enum status status = allocate(&splits, c->count, sizeof *splits, "a layer's linears", err);

    for (size_t i = 0; i < c->count && status == STATUS_OK; i++)
        status = split_linear_create(&splits[i], &c->linears[i], sparsity_of(joint, &c->linears[i]), err);
    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    for (size_t i = 0; i < c->count; i++) {
        const struct score_inputs inputs = score_inputs_of(joint, &c->linears[i]);
        const struct variant scored = scored_variant(c->variant);
        GOTO_IF_ERROR(linear_order_by_scores(&joint->orders[i], &inputs, c->linears[i].tensor, &scored, err),
                      done);
        splits[i].order = joint->orders[i].columns;
    }
    status = split_group(splits, c->count, &c->solver, c->variant, err);
done:
    for (size_t i = 0; i < c->count && splits != NULL; i++)
        split_linear_free(&splits[i]);
    free(splits);
    return status;
}

static enum status choose_masks(struct joint *joint, struct error *err)
{
    struct layer_compensation *c = &joint->compensation;

    const bool splits = joint->solvable && method_needs(c->variant->method) & NEEDS_EQUATIONS;

    if (splits)
        FORWARD_IF_ERROR(split(joint, err));
    for (size_t i = 0; i < c->count; i++) {
        const struct layer_tensor *tensor = c->linears[i].tensor;
        sparsity_of(joint, &c->linears[i]);
        if (!splits)
            FORWARD_IF_ERROR(choose_mask(joint, &c->linears[i], err));
        stage_advance(c->stage, score_work((double)tensor->out * (double)tensor->in));
    }
    return STATUS_OK;
}

static enum status write_mask(struct joint *joint, const struct pruned_linear *linear, struct error *err)
{
    const struct linear_order *order = &joint->orders[linear - joint->compensation.linears];
    const struct team *team = joint->compensation.stage->team;
    struct mask_rows rows;

    share_of(linear->tensor->out, (size_t)team->rank, (size_t)team->size, &rows.first, &rows.count);
    rows.mask = linear->mask + rows.first * mask_bytes(linear);
    FORWARD_IF_ERROR(mask_write(joint->cut.writer, team, linear->tensor, &rows, err));
    FORWARD_IF_ERROR(linear_order_write(order, joint->cut.writer, team, linear->tensor, err));
    return few_tokens_write(joint->cut.writer, linear->tensor, joint->statistics.tokens, true, err);
}

// ---- the file -------------------------------------------------------------------------------------------

static enum status write_update(struct joint *joint, struct pruned_linear *linear, struct error *err)
{
    const struct layer_compensation *c = &joint->compensation;
    const struct team *team = c->stage->team;
    const struct layer_tensor *tensor = linear->tensor;
    float *rows = NULL;
    size_t first, count;
    char name[DATASET_PATH_SIZE];
    enum status status;

    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&rows, count * tensor->in, sizeof *rows, "pruned weights", err);
    if (status == STATUS_OK) {
        pruned_linear_final_f32(linear, first, count, rows);
        const size_t bad = find_non_finite(rows, count * tensor->in);
        if (bad < count * tensor->in)
            status = pruned_linear_refuse(linear, c->dense->map.layer, first + bad / tensor->in,
                                          bad % tensor->in, err);
    }
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    dataset_path(name, tensor->linear, DATASET_UPDATE);
    GOTO_IF_ERROR(store_write(joint->cut.writer, name, first, count, rows, err), done);
    status = measurement_write(linear, joint->cut.writer, err);
done:
    free(rows);
    return status;
}

// ---- the layer ------------------------------------------------------------------------------------------

// Prunes the linears tensors[count], which share their source.
static enum status prune_linears(struct joint *joint, const struct layer_tensor *const *tensors, size_t count,
                                 struct error *err)
{
    struct layer_compensation *c = &joint->compensation;
    enum status status = STATUS_OK;

    memset(joint->orders, 0, count * sizeof *joint->orders);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        c->measured[i] = (struct measured_linear){0};
        status =
            pruned_linear_create(&c->linears[i], c->stage, c->variant, &c->kind, c->dense, tensors[i], err);
        c->count = i + 1;
    }
    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    const struct gram_input input = layer_compensation_input(c, tensors[0]);
    GOTO_IF_ERROR(solver_gather(&c->solver, &joint->solvable, &input, tensors[0], err), done);
    GOTO_IF_ERROR(take_statistics(joint, tensors[0], err), done);
    for (size_t i = 0; i < count && joint->solvable; i++)
        GOTO_IF_ERROR(solver_correct(&c->solver, &c->linears[i], err), done);
    GOTO_IF_ERROR(choose_masks(joint, err), done);
    for (size_t i = 0; i < count && joint->solvable; i++)
        GOTO_IF_ERROR(solver_solve(&c->solver, &c->linears[i], err), done);
    GOTO_IF_ERROR(layer_compensation_decide(c, err), done);
    for (size_t i = 0; i < count; i++)
        GOTO_IF_ERROR(write_mask(joint, &c->linears[i], err), done);
    for (size_t i = 0; i < count; i++)
        GOTO_IF_ERROR(write_update(joint, &c->linears[i], err), done);
done:
    for (size_t i = 0; i < count; i++)
        linear_order_free(&joint->orders[i]);
    layer_compensation_drop(c);
    return status;
}

static enum status prune_all(struct joint *joint, struct error *err)
{
    struct layer_compensation *c = &joint->compensation;
    const struct layer_tensor **tensors = NULL;
    size_t count, batch;
    enum status status =
        allocate(&tensors, c->dense->map.num_tensors, sizeof *tensors, "a layer's linears", err);

    if (status == STATUS_OK)
        status = allocate(&joint->orders, c->dense->map.num_tensors, sizeof *joint->orders,
                          "a layer's linears", err);
    GOTO_IF_ERROR(team_agree(c->stage->team, status, err), done);
    count = linears_by_depth(tensors, c->stage->settings, &c->dense->map);
    for (size_t i = 0; i < count; i += batch) {
        batch = linears_of_source(tensors + i, count - i);
        GOTO_IF_ERROR(stage_safe_point(c->stage, STATUS_OK, (double)i / (double)count, err), done);
        GOTO_IF_ERROR(prune_linears(joint, tensors + i, batch, err), done);
    }
done:
    free(tensors);
    return status;
}

enum status joint_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *variant, size_t layer, struct error *err)
{
    const bool dense = stage->settings->propagation == PROPAGATION_DENSE;
    struct joint joint = {
        .compensation = {.stage = stage,
                         .variant = variant,
                         .dense = weights,
                         .kind = {.solves = true,
                                  .matches = true,
                                  .measures = true,
                                  .inverts = (method_needs(variant->method) & NEEDS_EQUATIONS) != 0},
                         .stream = dense ? DENSE_NAME : variant->name}};
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    // With dense propagation layers are dealt out to the teams.
    layer_weights_expect(weights, stage, layer + (dense ? (size_t)stage->team->count : 1), NULL);
    GOTO_IF_ERROR(layer_compensation_open(&joint.compensation, err), done);
    linear_orders_tell(stage, variant, &weights->map);
    GOTO_IF_ERROR(cuts_open(&joint.cut, stage, &variant, 1, &weights->map, err), done);
    GOTO_IF_ERROR(updates_declare(&joint.cut, stage->settings, &weights->map,
                                  "weight that was solved for, 0 where pruned", err),
                  done);
    status = prune_all(&joint, err);
done:
    linear_statistics_free(&joint.statistics);
    free(joint.orders);
    layer_compensation_close(&joint.compensation);
    return cuts_finish(&joint.cut, 1, status, err);
}
