#include "io/file/run_paths.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void path_format(char *path, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int used = vsnprintf(path, size, format, arguments);
    va_end(arguments);
    if ((used < 0 || (size_t)used >= size) && size > 0)
        path[0] = '\0';
}

const enum run_folder run_attempt_folders[RUN_ATTEMPT_FOLDERS] = {RUN_STATISTICS, RUN_HESSIANS,
                                                                  RUN_ACTIVATIONS, RUN_MASKS, RUN_WEIGHTS};

const char *run_folder_name(enum run_folder folder)
{
    static const char *const names[RUN_FOLDER_COUNT] = {
        [RUN_STATISTICS] = "statistics", [RUN_HESSIANS] = "hessians", [RUN_ACTIVATIONS] = "activations",
        [RUN_OUTLIERS] = "outliers",     [RUN_MEDIANS] = "medians",   [RUN_CURVES] = "curves",
        [RUN_BUDGET] = "budget",         [RUN_MASKS] = "masks",       [RUN_WEIGHTS] = "weights",
        [RUN_RESULTS] = "results"};
    return names[folder];
}

void run_file_path(char path[PATH_SIZE], const char *run, enum run_file file)
{
    static const char *const names[] = {
        [RUN_RECORD] = "run.json",        [RUN_PLAN] = "plan.json",       [RUN_LOG] = "log.jsonl",
        [RUN_SEQUENCES] = "sequences.h5", [RUN_HELD_OUT] = "held-out.h5", [RUN_LOCK] = "lock"};
    path_format(path, PATH_SIZE, "%s/%s", run, names[file]);
}

void run_folder_path(char path[PATH_SIZE], const char *run, enum run_folder folder)
{
    path_format(path, PATH_SIZE, "%s/%s", run, run_folder_name(folder));
}

void run_subfolder_path(char path[PATH_SIZE], const char *run, enum run_folder folder, const char *name)
{
    path_format(path, PATH_SIZE, "%s/%s/%s", run, run_folder_name(folder), name);
}

void run_layer_path(char path[PATH_SIZE], const char *run, enum run_folder folder, const char *name,
                    size_t layer)
{
    path_format(path, PATH_SIZE, "%s/%s/%s/layer-%03zu.h5", run, run_folder_name(folder), name, layer);
}

void run_outliers_path(char path[PATH_SIZE], const char *run, double threshold, size_t layer)
{
    path_format(path, PATH_SIZE, "%s/%s/threshold-%.17g/layer-%03zu.json", run, run_folder_name(RUN_OUTLIERS),
                threshold, layer);
}

void run_medians_path(char path[PATH_SIZE], const char *run, size_t layer)
{
    path_format(path, PATH_SIZE, "%s/%s/layer-%03zu.json", run, run_folder_name(RUN_MEDIANS), layer);
}

void run_curves_path(char path[PATH_SIZE], const char *run, const char *method, size_t layer)
{
    path_format(path, PATH_SIZE, "%s/%s/%s/layer-%03zu.json", run, run_folder_name(RUN_CURVES), method,
                layer);
}

void run_budget_path(char path[PATH_SIZE], const char *run, const char *name, size_t attempt)
{
    if (attempt == 0)
        path_format(path, PATH_SIZE, "%s/%s/%s/result.json", run, run_folder_name(RUN_BUDGET), name);
    else
        path_format(path, PATH_SIZE, "%s/%s/%s/attempt-%zu.json", run, run_folder_name(RUN_BUDGET), name,
                    attempt);
}

void run_result_path(char path[PATH_SIZE], const char *run, const char *name, enum run_result result)
{
    static const char *const names[] = {[RESULT_PERPLEXITY] = "perplexity",
                                        [RESULT_COMPENSATION] = "compensation",
                                        [RESULT_DIAGNOSTICS] = "diagnostics"};
    path_format(path, PATH_SIZE, "%s/%s/%s/%s.json", run, run_folder_name(RUN_RESULTS), name, names[result]);
}

void run_task_result_path(char path[PATH_SIZE], const char *run, const char *name, const char *task)
{
    path_format(path, PATH_SIZE, "%s/%s/%s/tasks/%s.json", run, run_folder_name(RUN_RESULTS), name, task);
}

void run_text_result_path(char path[PATH_SIZE], const char *run, const char *name, const char *text)
{
    path_format(path, PATH_SIZE, "%s/%s/%s/texts/%s.json", run, run_folder_name(RUN_RESULTS), name, text);
}

void run_parts_path(char path[PATH_SIZE], const char *run, const char *name, const char *kind, const char *of)
{
    path_format(path, PATH_SIZE, "%s/%s/%s/parts/%s%s", run, run_folder_name(RUN_RESULTS), name,
                of != NULL ? kind : "perplexity", of != NULL ? of : "");
}

const char *dataset_name(enum dataset dataset)
{
    static const char *const names[] = {[DATASET_COUNT] = "count",
                                        [DATASET_MEAN] = "mean",
                                        [DATASET_VARIANCE] = "variance",
                                        [DATASET_SECOND_MOMENT] = "second_moment",
                                        [DATASET_MAX_ABS] = "max_abs",
                                        [DATASET_HESSIAN] = "hessian",
                                        [DATASET_MASK] = "mask",
                                        [DATASET_ORDER] = "order",
                                        [DATASET_UPDATE] = "update",
                                        [DATASET_WEIGHT] = "weight",
                                        [DATASET_BIAS] = "bias",
                                        [DATASET_ENERGY_BEFORE] = "energy_before",
                                        [DATASET_ENERGY_PRUNED] = "energy_pruned",
                                        [DATASET_ENERGY_COMPENSATED] = "energy_compensated",
                                        [DATASET_ROW_GAMMA] = "row_gamma",
                                        [DATASET_COLUMN_GAMMA] = "column_gamma",
                                        [DATASET_OUTPUT_GAMMA] = "output_gamma"};
    return names[dataset];
}

void dataset_path(char path[DATASET_PATH_SIZE], const char *linear, enum dataset dataset)
{
    path_format(path, DATASET_PATH_SIZE, "/%s/%s", linear, dataset_name(dataset));
}

void group_path(char path[DATASET_PATH_SIZE], const char *linear)
{
    path_format(path, DATASET_PATH_SIZE, "/%s", linear);
}

// ---- names again --------------------------------------------------------------------------------------

size_t run_name_without_attempt(const char *name, size_t length)
{
    size_t at = length;
    while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
        at--;
    return at < length && at > 1 && name[at - 1] == '~' ? at - 1 : length;
}

const char *run_path_inside(const char *run, const char *path)
{
    if (run == NULL)
        return NULL;
    size_t length = strlen(run);
    while (length > 0 && run[length - 1] == '/')
        length--;
    if (strncmp(path, run, length) != 0 || path[length] != '/')
        return NULL;
    return path + length + strspn(path + length, "/");
}
