#include "pipeline/run/prepare.h"

#include "pipeline/plan/record.h"
#include "stages/layer/layer_weights.h"

enum status run_prepare(struct admission *admission, char notices[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE],
                        const struct run_context *context, struct error *err)
{
    const struct stage stage = {context->world, context->model, context->settings, {0}};
    struct run_record *record = &admission->record;
    enum status status = STATUS_OK;

    notices[0][0] = notices[1][0] = '\0';
    // All weights once, at the first start, rather than in the last layer after a day; the model has just
    // been read for its hashes. Later starts look at a layer when they load it.
    FORWARD_IF_ERROR(check_weights(&stage, record->is_first, err));
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
