#include "pipeline/run/prepare.h"

#include "pipeline/plan/record.h"
#include "stages/budget/held_out.h"
#include "stages/layer/layer_weights.h"

enum status run_prepare(struct test_data *data, char notice[SEQUENCES_NOTICE_SIZE],
                        const struct run_context *context, struct run_record *record, struct error *err)
{
    const struct stage stage = {context->world, context->model, context->settings, {0}};
    struct sequences_draft draft = {0};
    struct held_out_draft held_out = {0};
    enum status status = STATUS_OK;

    notice[0] = '\0';
    GOTO_IF_ERROR(check_outer_tensors(&stage, err), done);
    if (context->stages & 1U << STAGE_SEQUENCES)
        GOTO_IF_ERROR(sequences_draw(&draft, &stage, record->is_first, err), done);
    if (context->stages & 1U << STAGE_HELD_OUT)
        GOTO_IF_ERROR(held_out_draw(&held_out, &stage, record->is_first, err), done);
    GOTO_IF_ERROR(test_data_read(data, context, &stage, err), done);
    GOTO_IF_ERROR(run_record_commit(record, context->world, context->settings, err), done);
    if (context->world->rank == 0)
        status = plan_record_write(record, context->model, context->settings, err);
    GOTO_IF_ERROR(team_agree(context->world, status, err), done);
    GOTO_IF_ERROR(sequences_commit(&draft, &stage, err), done);
    status = held_out_commit(&held_out, &stage, err);
    sequences_notice(notice, &draft, context->settings);
done:
    held_out_draft_free(&held_out);
    sequences_draft_free(&draft);
    return status;
}
