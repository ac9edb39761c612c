#include "pipeline/record/results/budget_json.h"

#include "io/file/sealed_json.h"
#include "stages/budget/trials.h"

#include <math.h>
#include <stdio.h>

static json_t *so_far(const struct settings *settings, const struct variant *variant)
{
    struct budget_trials search;

    budget_trials_read(&search, settings, variant, BUDGET_ATTEMPTS);
    json_t *json = json_pack("{s:f}", "bound", variant->budget), *attempts = budget_attempts_json(&search);
    if (search.has_dense)
        json_object_set_new(json, "dense_perplexity", json_real(exp(search.dense)));
    json_object_set_new(json, "attempts", attempts);
    return json;
}

json_t *budget_to_json(const struct settings *settings, const struct variant *variant)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    if (!variant_is_searched(variant))
        return NULL;
    budget_path(path, settings, variant);
    if (sealed_json_read(&json, path, NULL) != STATUS_OK)
        return so_far(settings, variant);
    json_object_del(json, "xxh3");
    return json;
}

double variant_target(const struct settings *settings, const struct variant *variant)
{
    struct variant resolved;

    if (variant->is_pattern)
        return 1 - (double)variant->keep / (double)variant->of;
    return budget_resolve(&resolved, settings, variant, NULL) == STATUS_OK ? resolved.sparsity : 0;
}

const char *budget_text(char *text, size_t size, const struct settings *settings,
                        const struct variant *variant)
{
    struct budget_trials search;

    text[0] = '\0';
    if (!variant_is_searched(variant))
        return text;
    budget_trials_read(&search, settings, variant, BUDGET_ATTEMPTS);
    const size_t best = budget_best(&search.goal, search.trials, search.count);
    const char *plural = search.count == 1 ? "" : "s";
    if (best < search.count)
        snprintf(text, size,
                 "sparsity %g, %.4f x dense on held-out text of the corpus (bound %g), %zu attempt%s",
                 search.trials[best].sparsity, exp(search.trials[best].excess), variant->budget, search.count,
                 plural);
    else
        snprintf(text, size, "no model within the bound of %g%s, %zu attempt%s", variant->budget,
                 budget_is_over(&search) ? "" : " yet", search.count, plural);
    return text;
}
