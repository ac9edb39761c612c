#include "pipeline/run/prepare.h"

#include "pipeline/plan/record.h"
#include "stages/layer/weight_check.h"

// Whether anything is left to compute. Looks at files.
static bool will_compute(const struct run_context *context, const struct run_record *record)
{
    for (size_t i = 0; i < context->plan->num_units; i++) {
        const struct unit *unit = &context->plan->units[i];
        if ((context->stages & 1U << unit->stage) != 0 && unit->stage != STAGE_EXPORT &&
            !unit_is_done(unit, context->settings, record))
            return true;
    }
    return false;
}

// Collective. A start that computes with another arithmetic is on record.
static enum status record_numerics(char *notice, size_t size, struct run_record *record,
                                   const struct run_context *context, struct error *err)
{
    const bool computes = context->world->rank == 0 && !record->is_first && will_compute(context, record);

    notice[0] = '\0';
    if (!team_any(context->world, computes))
        return STATUS_OK;
    run_record_tell_numerics(notice, size, record);
    return team_agree(context->world, run_record_add_numerics(record, err), err);
}

enum status run_prepare(struct admission *admission, char numerics[NUMERICS_NOTICE_SIZE],
                        char notices[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE],
                        const struct run_context *context, struct error *err)
{
    const struct stage stage = {context->world, context->model, context->settings, {0}, NULL};
    struct run_record *record = &admission->record;
    enum status status = STATUS_OK;

    notices[0][0] = notices[1][0] = '\0';
    // All weights once, at the first start, rather than in the last layer after a day; the model has just
    // been read for its hashes. Later starts look at a layer when they load it.
    FORWARD_IF_ERROR(check_weights(&stage, record->is_first, err));
    FORWARD_IF_ERROR(record_numerics(numerics, NUMERICS_NOTICE_SIZE, record, context, err));
    FORWARD_IF_ERROR(run_record_commit(record, context->world, context->settings, err));
    if (context->world->rank == 0)
        status = plan_record_write(record, context->model, context->settings, err);
    FORWARD_IF_ERROR(team_agree(context->world, status, err));
    FORWARD_IF_ERROR(sequences_commit(&admission->sequences, &stage, err));
    status = held_out_commit(&admission->held_out, &stage, err);
    sequences_notice(notices, &admission->sequences, context->settings);
    sequences_draft_free(&admission->sequences);
    held_out_draft_free(&admission->held_out);
    return status;
}
