#include "pipeline/report/data/levels.h"

#include "pipeline/report/data/members.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- levels ---------------------------------------------------------------------------------------------

bool level_of(char label[LEVEL_SIZE], const json_t *model)
{
    const json_t *choice = json_object_get(model, "choice");
    const char *pattern = json_string_value(json_object_get(choice, "pattern"));
    double budget, target;

    if (choice == NULL)
        return false;
    if (number_of(&budget, json_object_get(choice, "budget"), "perplexity"))
        snprintf(label, LEVEL_SIZE, "budget %.6g", budget);
    else if (pattern != NULL)
        snprintf(label, LEVEL_SIZE, "%s", pattern);
    else if (number_of(&target, model, "target"))
        snprintf(label, LEVEL_SIZE, "%.6g %%", 100 * target);
    else
        return false;
    return true;
}

// Shares first, then patterns, then budgets.
static int kind_of(const json_t *model)
{
    const json_t *choice = json_object_get(model, "choice");
    if (json_object_get(choice, "budget") != NULL)
        return 2;
    return json_object_get(choice, "pattern") != NULL;
}

struct level {
    char label[LEVEL_SIZE];
    int kind;
    double order;
};

static int by_order(const void *a, const void *b)
{
    const struct level *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind - y->kind;
    return x->order < y->order ? -1 : x->order > y->order ? 1 : strcmp(x->label, y->label);
}

void levels_find(struct levels *levels, const json_t *models)
{
    struct level found[MOST_LEVELS];
    char label[LEVEL_SIZE];
    size_t count = 0, i, k;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        if (!level_of(label, model))
            continue;
        for (k = 0; k < count && strcmp(found[k].label, label) != 0; k++)
            continue;
        if (k < count || count == MOST_LEVELS)
            continue;
        found[count].kind = kind_of(model);
        if (found[count].kind != 2 ||
            !number_of(&found[count].order, json_object_get(json_object_get(model, "choice"), "budget"),
                       "perplexity"))
            (void)number_of(&found[count].order, model, "target");
        memcpy(found[count++].label, label, sizeof label);
    }
    qsort(found, count, sizeof *found, by_order);
    levels->count = count;
    for (k = 0; k < count; k++) {
        memcpy(levels->labels[k], found[k].label, sizeof found[k].label);
        levels->targets[k] = found[k].order;
    }
}

// ---- measures -------------------------------------------------------------------------------------------

static bool perplexity_of(double *value, const json_t *model)
{
    return number_of(value, model, "perplexity");
}

static bool perplexity_error(double *error, const json_t *model)
{
    return number_of(error, model, "perplexity_stderr");
}

// The windows are paired: the error of the ratio, in units of the perplexity.
static bool perplexity_cost_error(double *error, const json_t *dense, const json_t *model)
{
    double ratio, perplexity;
    *error = 0;
    if (!number_of(&ratio, model, "ratio_stderr") || !number_of(&perplexity, dense, "perplexity"))
        return false;
    *error = ratio * perplexity;
    return true;
}

static bool accuracy_of(double *value, const json_t *model)
{
    return number_of(value, model, "accuracy");
}

static bool accuracy_error(double *error, const json_t *model)
{
    return number_of(error, model, "accuracy_stderr");
}

static bool accuracy_cost_error(double *error, const json_t *dense, const json_t *model)
{
    double a, b;
    *error = 0;
    if (!accuracy_error(&a, dense) || !accuracy_error(&b, model))
        return false;
    *error = hypot(a, b);
    return true;
}

const struct measure measure_perplexity = {"perplexity", perplexity_of, perplexity_error,
                                           perplexity_cost_error, true};
const struct measure measure_accuracy = {"mean accuracy", accuracy_of, accuracy_error, accuracy_cost_error,
                                         false};

const struct measure *measure_of(const json_t *models)
{
    const struct measure *best = NULL;
    double value;
    size_t i;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        if (json_object_get(model, "choice") == NULL)
            continue;
        if (measure_perplexity.value(&value, model))
            return &measure_perplexity;
        if (measure_accuracy.value(&value, model))
            best = &measure_accuracy;
    }
    return best;
}

json_t *level_best(const json_t *models, const char *label, const struct measure *measure, const json_t *than)
{
    json_t *model, *best = NULL;
    char its[LEVEL_SIZE];
    double value, least = INFINITY;
    size_t i;

    json_array_foreach(models, i, model)
    {
        if (model == than || !level_of(its, model) || strcmp(its, label) != 0 ||
            !measure->value(&value, model))
            continue;
        value = measure->lower_is_better ? value : -value;
        if (best == NULL || value < least) {
            best = model;
            least = value;
        }
    }
    return best;
}

bool level_is_best(const json_t *models, const json_t *model, const struct measure *measure)
{
    char label[LEVEL_SIZE];
    double mine, best;

    if (measure == NULL || !level_of(label, model) || !measure->value(&mine, model))
        return false;
    return measure->value(&best, level_best(models, label, measure, NULL)) && mine == best;
}
