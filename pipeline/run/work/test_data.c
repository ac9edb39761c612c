#include "pipeline/run/work/test_data.h"

#include <stdlib.h>

// Whether the test data of a unit is read, as the world's rank 0 sees it.
static bool is_measured(const struct run_context *context, const struct unit *unit)
{
    return context->record->is_first || ((context->stages & 1U << unit->stage) != 0 &&
                                         !unit_is_done(unit, context->settings, context->record));
}

static bool reads_text(const struct run_context *context, size_t text)
{
    bool any = false;
    for (size_t i = 0; i < context->plan->num_units && context->world->rank == 0 && !any; i++) {
        const struct unit *unit = &context->plan->units[i];
        any = unit->stage == STAGE_EVALUATE && unit->task == text && is_measured(context, unit);
    }
    return team_any(context->world, any);
}

static enum status read_texts(struct test_data *data, const struct run_context *context,
                              const struct stage *stage, struct error *err)
{
    const size_t count = context->settings->num_texts;
    const enum status status = allocate(&data->texts, count, sizeof *data->texts, "the texts", err);

    FORWARD_IF_ERROR(team_agree(context->world, status, err));
    data->num_texts = count;
    for (size_t text = 0; text < count; text++)
        if (reads_text(context, text))
            FORWARD_IF_ERROR(evaluation_windows_create(&data->texts[text], stage, text, err));
    return STATUS_OK;
}

static enum status read_tasks(struct task_set *tasks, const struct run_context *context,
                              const struct stage *stage, struct error *err)
{
    const size_t count = context->settings->num_tasks;
    bool *wanted = NULL, any = false;
    enum status status = allocate(&wanted, count, sizeof *wanted, "the tasks", err);

    GOTO_IF_ERROR(team_agree(context->world, status, err), done);
    for (size_t i = 0; i < context->plan->num_units && context->world->rank == 0; i++) {
        const struct unit *unit = &context->plan->units[i];
        if (unit->stage == STAGE_TASKS && !wanted[unit->task])
            wanted[unit->task] = is_measured(context, unit);
    }
    GOTO_IF_ERROR(team_broadcast(context->world, wanted, count * sizeof *wanted, 0, err), done);
    for (size_t i = 0; i < count; i++)
        any = any || wanted[i];
    if (any)
        status = task_set_create(tasks, stage, wanted, err);
done:
    free(wanted);
    return status;
}

enum status test_data_read(struct test_data *data, const struct run_context *context,
                           const struct stage *stage, struct error *err)
{
    FORWARD_IF_ERROR(read_texts(data, context, stage, err));
    if (context->settings->num_tasks > 0)
        FORWARD_IF_ERROR(read_tasks(&data->tasks, context, stage, err));
    return STATUS_OK;
}

size_t test_data_windows(const struct test_data *data)
{
    size_t most = 0;
    for (size_t text = 0; text < data->num_texts; text++)
        if (data->texts[text].count > most)
            most = data->texts[text].count;
    return most;
}

void test_data_free(struct test_data *data)
{
    for (size_t text = 0; text < data->num_texts; text++)
        evaluation_windows_free(&data->texts[text]);
    free(data->texts);
    task_set_free(&data->tasks);
}
