#include "stages/budget/trials.h"

#include "io/file/sealed_json.h"

#include <math.h>
#include <string.h>

// Beyond it the curves of a measured allocation know nothing, and nothing is left of most models.
static const double highest = 0.9;

void budget_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant)
{
    run_budget_path(path, settings->run, variant_name(variant_base(variant)),
                    variant != NULL && variant->base != NULL ? variant->attempt : 0);
}

static double bound_of(const struct variant *variant)
{
    return log(variant->budget);
}

// ---- reading --------------------------------------------------------------------------------------------

static bool read_nll(double *mean_nll, double *sparsity, const char *path)
{
    json_t *json = NULL;
    bool good = sealed_json_read(&json, path, NULL) == STATUS_OK;

    good = good && json_is_number(json_object_get(json, "mean_nll")) &&
           (sparsity == NULL || json_is_number(json_object_get(json, "sparsity")));
    *mean_nll = json_number_value(json_object_get(json, "mean_nll"));
    if (sparsity != NULL)
        *sparsity = json_number_value(json_object_get(json, "sparsity"));
    json_decref(json);
    return good;
}

void budget_trials_read(struct budget_trials *search, const struct settings *settings,
                        const struct variant *variant, size_t most)
{
    char path[PATH_SIZE];
    double mean_nll;

    *search = (struct budget_trials){.goal = {bound_of(variant), highest}};
    budget_path(path, settings, NULL);
    search->has_dense = read_nll(&search->dense, NULL, path);
    while (search->has_dense && search->count < most && search->count < BUDGET_ATTEMPTS) {
        struct budget_trial *trial = &search->trials[search->count];
        run_budget_path(path, settings->run, variant_base(variant)->name, search->count + 1);
        if (!read_nll(&mean_nll, &trial->sparsity, path))
            break;
        trial->excess = mean_nll - search->dense;
        search->count++;
    }
}

bool budget_is_over(const struct budget_trials *search)
{
    return search->has_dense && budget_next(&search->goal, search->trials, search->count) < 0;
}

enum status budget_result_read(struct budget_result *result, const struct settings *settings,
                               const struct variant *variant, struct error *err)
{
    char path[PATH_SIZE];
    json_error_t where;
    json_int_t attempt;
    json_t *json = NULL;
    int found;

    budget_path(path, settings, variant_base(variant));
    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    const int bad = json_unpack_ex(json, &where, 0, "{s:b, s:I, s:F, s:F, s:F}", "found", &found, "attempt",
                                   &attempt, "sparsity", &result->sparsity, "mean_nll", &result->mean_nll,
                                   "dense_nll", &result->dense);
    json_decref(json);
    RETURN_ERROR_IF(bad != 0, err, STATUS_DAMAGED, "%s: %s", path, where.text);
    result->found = found != 0;
    result->attempt = (size_t)attempt;
    return STATUS_OK;
}

bool budget_is_broken(const struct settings *settings, const struct variant *variant)
{
    struct budget_result result;
    return variant_is_searched(variant) &&
           budget_result_read(&result, settings, variant, NULL) == STATUS_OK && !result.found;
}

enum status budget_resolve(struct variant *resolved, const struct settings *settings,
                           const struct variant *variant, struct error *err)
{
    struct budget_trials search;
    struct budget_result result;

    *resolved = *variant;
    if (!variant_is_searched(variant))
        return STATUS_OK;
    if (variant->base == NULL) {
        FORWARD_IF_ERROR(budget_result_read(&result, settings, variant, err));
        resolved->sparsity = result.sparsity;
        return STATUS_OK;
    }
    budget_trials_read(&search, settings, variant, variant->attempt - 1);
    resolved->sparsity = budget_next(&search.goal, search.trials, search.count);
    RETURN_ERROR_IF(!search.has_dense || search.count + 1 != variant->attempt || resolved->sparsity < 0, err,
                    STATUS_FAILED, "%s: the search has not come to this attempt", variant->name);
    return STATUS_OK;
}

// ---- writing --------------------------------------------------------------------------------------------

static enum status write_and_free(const char *path, json_t *json, const struct settings *settings,
                                  struct error *err)
{
    const enum status status = json != NULL
                                   ? sealed_json_write_from(path, json, settings_origin(settings), err)
                                   : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}

enum status budget_measured_write(const struct budget_measured *measured, const struct settings *settings,
                                  const struct variant *variant, double sparsity, struct error *err)
{
    char path[PATH_SIZE];
    json_t *json = json_pack("{s:f, s:f, s:I, s:I}", "mean_nll", measured->mean_nll, "perplexity",
                             exp(measured->mean_nll), "sequences", (json_int_t)measured->sequences, "length",
                             (json_int_t)measured->length);

    if (json != NULL && variant != NULL) {
        json_object_set_new(json, "attempt", json_integer((json_int_t)variant->attempt));
        json_object_set_new(json, "sparsity", json_real(sparsity));
    }
    budget_path(path, settings, variant);
    return write_and_free(path, json, settings, err);
}

json_t *budget_attempts_json(const struct budget_trials *search)
{
    json_t *attempts = json_array();
    for (size_t i = 0; i < search->count; i++)
        json_array_append_new(attempts, json_pack("{s:f, s:f, s:f}", "sparsity", search->trials[i].sparsity,
                                                  "perplexity", exp(search->dense + search->trials[i].excess),
                                                  "ratio", exp(search->trials[i].excess)));
    return attempts;
}

enum status budget_result_write(const struct budget_trials *search, const struct settings *settings,
                                const struct variant *variant, struct error *err)
{
    const size_t best = budget_best(&search->goal, search->trials, search->count);
    const bool found = best < search->count;
    const size_t chosen = found ? best : search->count - 1;
    const struct budget_trial *trial = &search->trials[chosen];
    char path[PATH_SIZE];

    budget_path(path, settings, variant);
    return write_and_free(path,
                          json_pack("{s:b, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:o}", "found", found,
                                    "bound", variant->budget, "sparsity", trial->sparsity, "attempt",
                                    (json_int_t)(chosen + 1), "ratio", exp(trial->excess), "perplexity",
                                    exp(search->dense + trial->excess), "mean_nll",
                                    search->dense + trial->excess, "dense_perplexity", exp(search->dense),
                                    "dense_nll", search->dense, "attempts", budget_attempts_json(search)),
                          settings, err);
}
