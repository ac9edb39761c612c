#include "pipeline/run/work/unit_work.h"

#include "pipeline/run/work/budget_work.h"
#include "pipeline/run/work/export_work.h"
#include "pipeline/run/work/result_work.h"
#include "pipeline/run/work/states.h"
#include "stages/budget/held_out.h"
#include "stages/compensate/compensate.h"
#include "stages/joint/joint.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/hessian.h"
#include "stages/layer/sequences.h"
#include "stages/prune/curves.h"
#include "stages/prune/median_scores.h"
#include "stages/prune/outlier_counts.h"
#include "stages/prune/prune.h"

// sequences.h5 was found to be damaged.
static enum status redraw_sequences(const struct stage *stage, struct error *err)
{
    struct sequences_draft draft;
    FORWARD_IF_ERROR(sequences_draw(&draft, stage, true, err));
    enum status status = sequences_commit(&draft, stage, err);
    sequences_draft_free(&draft);
    return status;
}

static enum status calibrate(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err)
{
    const struct settings *settings = stage->settings;
    // With pruned propagation a variant's own outputs are made later, when the layer is pruned.
    const bool dense = settings->propagation == PROPAGATION_DENSE || variant == NULL;
    const bool output = dense && layer + 1 < stage->model->config.num_hidden_layers;

    // Rank 0 looks at the file system.
    uint8_t hessian = stage->team->rank == 0 && hessian_is_needed(settings, variant, layer);
    FORWARD_IF_ERROR(team_broadcast(stage->team, &hessian, 1, 0, err));
    FORWARD_IF_ERROR(states_ensure(stage, weights, dense ? NULL : variant, layer, err));
    const unsigned also = (hessian ? CALIBRATE_HESSIAN : 0) | (output ? CALIBRATE_OUTPUTS : 0);
    FORWARD_IF_ERROR(calibrate_layer(stage, weights, stream_name(settings, variant), layer, also, err));
    if (output)
        states_trim(stage, NULL, layer + 1);
    return STATUS_OK;
}

static enum status score(const struct stage *stage, struct layer_weights *weights,
                         const struct unit_batch *batch, struct error *err)
{
    const bool dense = stage->settings->propagation == PROPAGATION_DENSE;
    const size_t layer = (size_t)batch->units[0]->layer;
    const struct variant *variants[SCORE_BATCH];

    for (size_t k = 0; k < batch->count; k++) {
        variants[k] = batch->units[k]->variant;
        if (variant_is_joint(variants[k]))
            FORWARD_IF_ERROR(states_ensure(stage, weights, NULL, layer, err));
        if (variant_chooses(variants[k]) || variant_is_joint(variants[k]))
            FORWARD_IF_ERROR(states_ensure(stage, weights, dense ? NULL : variants[k], layer, err));
    }
    if (variant_is_joint(variants[0]))
        for (size_t k = 0; k < batch->count; k++)
            FORWARD_IF_ERROR(joint_layer(stage, weights, variants[k], layer, err));
    else
        FORWARD_IF_ERROR(prune_layer(stage, weights, variants, batch->count, layer, err));
    for (size_t k = 0; k < batch->count; k++) {
        if (variant_is_joint(variants[k]))
            states_trim_passed(stage, NULL, layer);
        if (variant_chooses(variants[k]) || variant_is_joint(variants[k]))
            states_trim_passed(stage, dense ? NULL : variants[k], layer);
    }
    states_trim_hessian(stage, variants[0], layer);
    return STATUS_OK;
}

static enum status compensate(const struct stage *stage, struct layer_weights *weights,
                              const struct variant *variant, size_t layer, struct error *err)
{
    const struct variant *owner = stream_owner(stage->settings, variant);

    if (variant_matches(variant))
        FORWARD_IF_ERROR(states_ensure(stage, weights, NULL, layer, err));
    if (variant_measures(variant))
        FORWARD_IF_ERROR(states_ensure(stage, weights, owner, layer, err));
    FORWARD_IF_ERROR(compensate_layer(stage, weights, variant, layer, err));
    if (variant_matches(variant))
        states_trim_passed(stage, NULL, layer);
    if (variant_measures(variant))
        states_trim_passed(stage, owner, layer);
    return STATUS_OK;
}

// ---- by their names in the table of stages ---------------------------------------------------------------

static enum status carry_out_sequences(const struct unit_context *context, const struct unit_batch *batch,
                                       struct error *err)
{
    (void)batch;
    return redraw_sequences(context->stage, err);
}

static enum status carry_out_held_out(const struct unit_context *context, const struct unit_batch *batch,
                                      struct error *err)
{
    struct held_out_draft draft;
    (void)batch;
    FORWARD_IF_ERROR(held_out_draw(&draft, context->stage, true, err));
    const enum status status = held_out_commit(&draft, context->stage, err);
    held_out_draft_free(&draft);
    return status;
}

static enum status carry_out_calibrate(const struct unit_context *context, const struct unit_batch *batch,
                                       struct error *err)
{
    const struct unit *unit = batch->units[0];
    return calibrate(context->stage, context->weights, unit->variant, (size_t)unit->layer, err);
}

static enum status carry_out_outliers(const struct unit_context *context, const struct unit_batch *batch,
                                      struct error *err)
{
    const struct unit *unit = batch->units[0];
    return outliers_layer(context->stage, context->weights, unit->variant, (size_t)unit->layer, err);
}

static enum status carry_out_medians(const struct unit_context *context, const struct unit_batch *batch,
                                     struct error *err)
{
    return medians_layer(context->stage, context->weights, (size_t)batch->units[0]->layer, err);
}

static enum status carry_out_curves(const struct unit_context *context, const struct unit_batch *batch,
                                    struct error *err)
{
    const struct unit *unit = batch->units[0];
    FORWARD_IF_ERROR(curves_layer(context->stage, context->weights, unit->variant, (size_t)unit->layer, err));
    states_trim_curves_hessian(context->stage, unit->variant, (size_t)unit->layer);
    return STATUS_OK;
}

static enum status carry_out_score(const struct unit_context *context, const struct unit_batch *batch,
                                   struct error *err)
{
    return score(context->stage, context->weights, batch, err);
}

static enum status carry_out_compensate(const struct unit_context *context, const struct unit_batch *batch,
                                        struct error *err)
{
    const struct unit *unit = batch->units[0];
    return compensate(context->stage, context->weights, unit->variant, (size_t)unit->layer, err);
}

static enum status carry_out_propagate(const struct unit_context *context, const struct unit_batch *batch,
                                       struct error *err)
{
    const struct unit *unit = batch->units[0];
    const struct variant *owner = stream_owner(context->stage->settings, unit->variant);
    return states_ensure(context->stage, context->weights, owner, (size_t)unit->layer + 1, err);
}

static enum status carry_out_attempt(const struct unit_context *context, const struct unit_batch *batch,
                                     struct error *err)
{
    return budget_work(context->stage, context->weights, batch->units[0], context->progress, err);
}

static enum status carry_out_evaluate(const struct unit_context *context, const struct unit_batch *batch,
                                      struct error *err)
{
    return evaluate_model(context->stage, context->weights, context->data, batch->units[0], context->progress,
                          err);
}

static enum status carry_out_tasks(const struct unit_context *context, const struct unit_batch *batch,
                                   struct error *err)
{
    return evaluate_on_task(context->stage, context->weights, context->data, batch->units[0],
                            context->progress, err);
}

static enum status carry_out_export(const struct unit_context *context, const struct unit_batch *batch,
                                    struct error *err)
{
    return export_with_provenance(context->stage, context->record, batch->units[0]->variant, err);
}

enum status unit_carry_out(const struct unit_context *context, const struct unit_batch *batch,
                           struct error *err)
{
    static enum status (*const carry_out[STAGE_COUNT])(const struct unit_context *, const struct unit_batch *,
                                                       struct error *) = {
#define CARRY_OUT(kind, name, ...) [STAGE_##kind] = carry_out_##name,
        STAGES(CARRY_OUT)
#undef CARRY_OUT
    };
    return carry_out[batch->units[0]->stage](context, batch, err);
}
