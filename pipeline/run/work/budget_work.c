#include "pipeline/run/work/budget_work.h"

#include "io/file/commit.h"
#include "io/file/fence.h"
#include "pipeline/run/work/states.h"
#include "stages/budget/held_out.h"
#include "stages/budget/trials.h"
#include "stages/evaluate/perplexity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The name of the variant's attempt `a`, from 1 on.
static const char *attempt_name(const struct settings *settings, const struct variant *variant, size_t a)
{
    for (size_t i = 0; i < settings->num_attempts; i++)
        if (settings->attempts[i].base == variant && settings->attempts[i].attempt == a)
            return settings->attempts[i].name;
    return "";
}

// ---- files of attempts ----------------------------------------------------------------------------------

// A file too many is no harm: what cannot be removed stays.
static void drop_attempt(const struct settings *settings, const char *name, size_t layers)
{
    char path[PATH_SIZE];
    for (size_t f = 0; f < RUN_ATTEMPT_FOLDERS; f++) {
        run_subfolder_path(path, settings->run, run_attempt_folders[f], name);
        if (access(path, F_OK) != 0)
            continue;
        for (size_t layer = 0; layer < layers; layer++) {
            run_layer_path(path, settings->run, run_attempt_folders[f], name, layer);
            (void)unlink(path);
        }
        run_subfolder_path(path, settings->run, run_attempt_folders[f], name);
        (void)rmdir(path);
    }
}

// Of the attempts so far only the best one is still of use, and after the end of the search, when a verdict
// that was damaged was made again, none.
static void drop_others(const struct stage *stage, const struct variant *variant,
                        const struct budget_trials *search)
{
    struct budget_result result;
    const bool is_over = budget_result_read(&result, stage->settings, variant, NULL) == STATUS_OK;
    const size_t best = is_over ? search->count : budget_best(&search->goal, search->trials, search->count);
    for (size_t i = 0; i < search->count; i++)
        if (i != best)
            drop_attempt(stage->settings, attempt_name(stage->settings, variant, i + 1),
                         stage->model->config.num_hidden_layers);
}

// The folders of the attempt become the variant's. One that is not there, because it was moved before a kill
// or never was, is no error: the variant's units make again what is missing, with the same bytes.
static enum status adopt(const struct settings *settings, const struct variant *variant, const char *name,
                         struct error *err)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    FORWARD_IF_ERROR(fence_check(err));
    for (size_t f = 0; f < RUN_ATTEMPT_FOLDERS; f++) {
        run_subfolder_path(from, settings->run, run_attempt_folders[f], name);
        run_subfolder_path(to, settings->run, run_attempt_folders[f], variant->name);
        if (rename(from, to) == 0) {
            run_folder_path(to, settings->run, run_attempt_folders[f]);
            FORWARD_IF_ERROR(sync_directory(to, err));
        } else if (errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST) {
            RETURN_ERROR(err, STATUS_FAILED, "%s: cannot be renamed: %s", from, strerror(errno));
        }
    }
    return STATUS_OK;
}

// ---- units ----------------------------------------------------------------------------------------------

static enum status measure(const struct stage *stage, struct layer_weights *weights,
                           const struct variant *variant, struct progress *progress, struct error *err)
{
    struct evaluation_windows windows;
    struct perplexity result;
    struct variant resolved = {.sparsity = 0};
    struct budget_trials search;
    enum status status;

    FORWARD_IF_ERROR(held_out_read(&windows, stage, err));
    status = evaluate_perplexity(&result, stage, weights, &windows, variant, err);
    evaluation_windows_free(&windows);
    FORWARD_IF_ERROR(status);
    const struct budget_measured measured = {result.mean_nll, result.windows, result.length};
    if (stage->team->rank == 0) {
        if (variant != NULL)
            status = budget_resolve(&resolved, stage->settings, variant, err);
        if (status == STATUS_OK)
            status = budget_measured_write(&measured, stage->settings, variant, resolved.sparsity, err);
        if (status == STATUS_OK && variant != NULL) {
            budget_trials_read(&search, stage->settings, variant, variant->attempt);
            drop_others(stage, variant->base, &search);
            progress_message(progress, "%s: sparsity %g, held-out perplexity %.4f, %.4f x dense (bound %g)",
                             variant->name, resolved.sparsity, result.perplexity,
                             exp(result.mean_nll - search.dense), variant->budget);
        }
    }
    return team_agree(stage->team, status, err);
}

static enum status conclude(const struct stage *stage, const struct variant *variant, struct error *err)
{
    const struct settings *settings = stage->settings;
    struct budget_trials search;

    budget_trials_read(&search, settings, variant, BUDGET_ATTEMPTS);
    RETURN_ERROR_IF(!budget_is_over(&search), err, STATUS_FAILED, "%s: an attempt of the search is missing",
                    variant->name);
    const size_t best = budget_best(&search.goal, search.trials, search.count);
    if (best < search.count)
        FORWARD_IF_ERROR(adopt(settings, variant, attempt_name(settings, variant, best + 1), err));
    FORWARD_IF_ERROR(budget_result_write(&search, settings, variant, err));
    drop_others(stage, variant, &search);
    return STATUS_OK;
}

void budget_sweep(const struct stage *stage)
{
    const struct settings *settings = stage->settings;
    struct budget_trials search;
    struct budget_result result;

    for (size_t v = 0; v < settings->num_variants && stage->team->rank == 0; v++) {
        if (settings->variants[v].budget == 0 ||
            budget_result_read(&result, settings, &settings->variants[v], NULL) != STATUS_OK)
            continue;
        budget_trials_read(&search, settings, &settings->variants[v], BUDGET_ATTEMPTS);
        drop_others(stage, &settings->variants[v], &search);
    }
}

enum status budget_work(const struct stage *stage, struct layer_weights *weights, const struct unit *unit,
                        struct progress *progress, struct error *err)
{
    const struct variant *variant = unit->variant;
    enum status status = STATUS_OK;

    if (variant == NULL || variant->base != NULL)
        return measure(stage, weights, variant, progress, err);
    if (stage->team->rank == 0)
        status = conclude(stage, variant, err);
    return team_agree(stage->team, status, err);
}
