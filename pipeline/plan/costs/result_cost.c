// What a model is worth: evaluate, attempt, tasks.
#include "pipeline/plan/costs/stage_costs.h"

#include "stages/budget/held_out.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/work.h"

#include <math.h>

// ---- evaluate, tasks --------------------------------------------------------------------------------------

// Through all layers and the head.
static double window_work(const struct sizes *sizes)
{
    double work = lm_head_work(sizes->model, (double)sizes->settings->evaluate_length);
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        work += sizes->layers[layer].window;
    return work;
}

double work_evaluate(const struct sizes *sizes, const struct unit *unit)
{
    return planned_windows(sizes->settings, unit->task) * window_work(sizes);
}

// A text that does not fit in memory goes through the layers in groups, each from the first layer on.
static void load_model(struct worker *w, struct estimate *e, const struct unit *unit, double groups)
{
    for (size_t layer = 0; layer < w->sizes->num_layers; layer++)
        for (double group = 0; group < groups; group++) {
            w->loaded = 0;
            spend_loading(w, e, layer, unit->variant);
        }
}

void time_evaluate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const double windows = planned_windows(sizes->settings, unit->task);
    const double in_memory = (double)perplexity_windows_in_memory(
        sizes->model, (size_t)windows, sizes->settings->evaluate_length, (size_t)w->ranks);

    struct estimate loading = {0};
    load_model(w, &loading, unit, ceil(windows / (w->ranks * in_memory)));
    spend_passes(w, e, windows, work_evaluate(sizes, unit));
    // All layers but the first of a group are fetched while the one before is computed with; the head has
    // none behind it, and takes a layer's time or more.
    const double layers = (double)sizes->num_layers;
    // Weights files are not.
    if (unit->variant == NULL || !weights_are_written(sizes->settings, unit->variant))
        overlap_reading(&loading, e->parts[PART_ARITHMETIC] * (layers - 1) / (layers + 1));
    add_estimate(e, &loading);
    // After each layer and the head; and on what is kept of those that are done.
    spend_agreeing(w, e, (double)(sizes->num_layers + 3) * ceil(windows / w->ranks));
}

// The end of a search only reads what the attempts wrote.
static bool is_measured(const struct unit *unit)
{
    return unit->variant == NULL || unit->variant->base != NULL;
}

double work_attempt(const struct sizes *sizes, const struct unit *unit)
{
    double work = lm_head_work(sizes->model, (double)sizes->settings->length);
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        work += sizes->layers[layer].forward;
    return is_measured(unit) ? (double)BUDGET_SEQUENCES * work : 0;
}

void time_attempt(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const double in_memory = (double)perplexity_windows_in_memory(sizes->model, BUDGET_SEQUENCES,
                                                                  sizes->settings->length, (size_t)w->ranks);

    if (!is_measured(unit))
        return;
    load_model(w, e, unit, ceil((double)BUDGET_SEQUENCES / (w->ranks * in_memory)));
    spend_passes(w, e, BUDGET_SEQUENCES, work_attempt(sizes, unit));
    spend_agreeing(w, e, (double)(sizes->num_layers + 3) * ceil((double)BUDGET_SEQUENCES / w->ranks));
}

// Of the few tokens whose likelihood counts the head is left out.
double work_tasks(const struct sizes *sizes, const struct unit *unit)
{
    double work = 0;
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        work += sizes->layers[layer].forward / (double)sizes->settings->length;
    return work * task_file_tokens(&sizes->settings->tasks[unit->task]);
}

void time_tasks(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const double tokens = task_file_tokens(&sizes->settings->tasks[unit->task]);
    const double in_memory = (double)task_tokens_in_memory(sizes->model, PLAN_EXAMPLE_TOKENS);

    load_model(w, e, unit, ceil(tokens / (w->ranks * in_memory)));
    spend_computing(w, e, work_tasks(sizes, unit) / w->machine->compute / w->ranks);
    spend_agreeing(w, e,
                   (double)sizes->num_layers * ceil(tokens / (w->ranks * (double)PLAN_USUAL_EXAMPLE_TOKENS)));
}
