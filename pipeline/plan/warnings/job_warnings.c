#include "pipeline/plan/warnings/job_warnings.h"

#include "io/model/model.h"
#include "pipeline/plan/capacity.h"
#include "pipeline/plan/warnings/overfitting.h"
#include "pipeline/plan/warnings/sparse_warning.h"
#include "pipeline/plan/warnings/text_warnings.h"
#include "stages/export/side_files.h"

void job_warnings(struct warnings *warnings, const struct plan *plan, const struct plan_cost *cost,
                  size_t ranks_per_node, bool is_started)
{
    char of_machine[CAPACITY_WARNINGS][CAPACITY_WARNING_SIZE], of_model[MODEL_WARNINGS][MODEL_WARNING_SIZE];
    char overfitting[OVERFITTING_WARNING_SIZE], left_out[SIDE_FOLDERS_SIZE];
    struct capacity capacity;

    *warnings = (struct warnings){0};
    capacity_measure(&capacity, plan->settings->run, plan->settings->output);
    const size_t lacks = capacity_warn(of_machine, &capacity, cost, ranks_per_node, is_started);
    for (size_t i = 0; i < lacks; i++)
        warnings_add(warnings, "%s", of_machine[i]);
    const size_t contradictions = model_warnings(of_model, plan->model);
    for (size_t i = 0; i < contradictions; i++)
        warnings_add(warnings, "%s", of_model[i]);
    if (plan->settings->output != NULL &&
        side_folders_left_out(left_out, plan->model, plan->settings->model)[0] != '\0')
        warnings_add(warnings, "of the model's folder these folders are not copied into the export: %s",
                     left_out);
    if (overfitting_warning(overfitting, plan))
        warnings_add(warnings, "%s", overfitting);
    sparse_warning(warnings, plan->model, plan->settings);
    length_warnings(warnings, &plan->model->config, plan->settings);
    text_warnings(warnings, plan->settings);
}
