// run_paths.h - the names of everything in a run directory: its folders, its files, the datasets in them. No
// other file spells them.
#pragma once
#include <stddef.h>

// Room for any path: the job refuses folders that leave none for the names below them (JOB_PATH_MAX).
enum { PATH_SIZE = 4200, JOB_PATH_MAX = 3500 };
// snprintf for paths: a path that does not fit becomes "", which no open() takes for another file. So do all
// paths below.
void path_format(char *path, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The dense model's name where others have a variant's: of folders and in results, logs and plans.
#define DENSE_NAME "dense"

enum run_folder {
    RUN_STATISTICS,  // STREAM/layer-007.h5
    RUN_HESSIANS,    // STREAM/layer-007.h5
    RUN_ACTIVATIONS, // STREAM/layer-007.h5
    RUN_OUTLIERS,    // threshold-T/layer-007.json
    RUN_MEDIANS,     // layer-007.json
    RUN_CURVES,      // METHOD/layer-007.json
    RUN_BUDGET,      // VARIANT/attempt-1.json, VARIANT/result.json
    RUN_MASKS,       // VARIANT/layer-007.h5
    RUN_WEIGHTS,     // VARIANT/layer-007.h5
    RUN_RESULTS,     // VARIANT/perplexity.json and so on
    RUN_FOLDER_COUNT
};

// The folders in which each attempt of a search (prune.budget) has a folder of its own, "VARIANT~3". That of
// the chosen one becomes VARIANT's.
enum { RUN_ATTEMPT_FOLDERS = 5 };
extern const enum run_folder run_attempt_folders[RUN_ATTEMPT_FOLDERS];

// Files that stand in the run directory itself. RUN_LOCK also stands in RUN/results/VARIANT.
enum run_file { RUN_RECORD, RUN_PLAN, RUN_LOG, RUN_SEQUENCES, RUN_HELD_OUT, RUN_LOCK };

// Files of a variant in RUN/results.
enum run_result { RESULT_PERPLEXITY, RESULT_COMPENSATION, RESULT_DIAGNOSTICS };

// "RUN/log.jsonl"; run may be any folder that holds such a file.
void run_file_path(char path[PATH_SIZE], const char *run, enum run_file file);
// "masks"
const char *run_folder_name(enum run_folder folder);
// "RUN/masks"
void run_folder_path(char path[PATH_SIZE], const char *run, enum run_folder folder);
// "RUN/masks/wanda-0.5"; name: of a variant or stream.
void run_subfolder_path(char path[PATH_SIZE], const char *run, enum run_folder folder, const char *name);
// "RUN/masks/wanda-0.5/layer-007.h5"
void run_layer_path(char path[PATH_SIZE], const char *run, enum run_folder folder, const char *name,
                    size_t layer);
// "RUN/outliers/threshold-5/layer-007.json"
void run_outliers_path(char path[PATH_SIZE], const char *run, double threshold, size_t layer);
// "RUN/medians/layer-007.json"
void run_medians_path(char path[PATH_SIZE], const char *run, size_t layer);
// "RUN/curves/wanda/layer-007.json"
void run_curves_path(char path[PATH_SIZE], const char *run, const char *method, size_t layer);
// "RUN/budget/wanda-budget1.05/attempt-1.json"; attempt 0: ".../result.json".
void run_budget_path(char path[PATH_SIZE], const char *run, const char *name, size_t attempt);
// "RUN/results/wanda-0.5/perplexity.json"; name: of a variant, or DENSE_NAME.
void run_result_path(char path[PATH_SIZE], const char *run, const char *name, enum run_result result);
// "RUN/results/wanda-0.5/tasks/boolq.json"
void run_task_result_path(char path[PATH_SIZE], const char *run, const char *name, const char *task);
// "RUN/results/wanda-0.5/texts/c4.json": the perplexity on a text with a name.
void run_text_result_path(char path[PATH_SIZE], const char *run, const char *name, const char *text);
// The folder of what an evaluation has measured so far: "RUN/results/wanda-0.5/parts/perplexity";
// of: with "task-" or "text-" and the name, ".../parts/task-boolq", or NULL.
void run_parts_path(char path[PATH_SIZE], const char *run, const char *name, const char *kind,
                    const char *of);

// What follows "RUN/" in the path; NULL: it is not in the run.
const char *run_path_inside(const char *run, const char *path);
// The length of name[length] without the "~3" at its end.
size_t run_name_without_attempt(const char *name, size_t length);

// ---- inside the HDF5 files

// The one dataset of RUN/sequences.h5 and RUN/held-out.h5, and of each file in RUN_ACTIVATIONS.
#define TOKENS_DATASET "/tokens"
#define HIDDEN_STATES_DATASET "/hidden_states"

// Datasets of one linear. The comments say of which folder; io/store/FORMAT.md says shapes and meanings.
enum dataset {
    DATASET_COUNT, // statistics, as the next four
    DATASET_MEAN,
    DATASET_VARIANCE,
    DATASET_SECOND_MOMENT,
    DATASET_MAX_ABS,
    DATASET_HESSIAN, // hessians
    DATASET_MASK,    // masks
    DATASET_ORDER,   // masks
    DATASET_UPDATE,  // masks
    DATASET_WEIGHT,  // weights, as all below
    DATASET_BIAS,
    DATASET_ENERGY_BEFORE, // the three energies are also attributes of the linear's group: their sums
    DATASET_ENERGY_PRUNED,
    DATASET_ENERGY_COMPENSATED,
    DATASET_ROW_GAMMA,
    DATASET_COLUMN_GAMMA,
    DATASET_OUTPUT_GAMMA
};

// Room for the path of a dataset: a linear's name has less than 96 characters.
enum { DATASET_PATH_SIZE = 160 };

// "mask"
const char *dataset_name(enum dataset dataset);
// "/self_attn.q_proj/mask"
void dataset_path(char path[DATASET_PATH_SIZE], const char *linear, enum dataset dataset);
// "/self_attn.q_proj", the group that holds a linear's datasets.
void group_path(char path[DATASET_PATH_SIZE], const char *linear);
