// levels.h - the sparsities that a run's variants were asked for, each compared within itself.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { LEVEL_SIZE = 64, MOST_LEVELS = 64 };

// What a row of "models" (gather.h) was asked for, as people say it: "50 %", "2:4", "budget 1.05". False for
// the dense model.
bool level_of(char label[LEVEL_SIZE], const json_t *model);

struct levels {
    char labels[MOST_LEVELS][LEVEL_SIZE];
    double targets[MOST_LEVELS]; // sparsity, by which they are in order; patterns after shares, budgets last
    size_t count;
};
// The levels of all models. More than MOST_LEVELS are left out.
void levels_find(struct levels *levels, const json_t *models);

// What variants are judged by: perplexity where any was measured, else the mean accuracy.
struct measure {
    const char *name;                                  // "perplexity", "mean accuracy"
    bool (*value)(double *value, const json_t *model); // false: not measured
    bool (*error)(double *error, const json_t *model); // standard error of the value
    bool (*cost_error)(double *error, const json_t *dense, const json_t *model); // of its distance to dense
    bool lower_is_better;
};
extern const struct measure measure_perplexity, measure_accuracy;
// NULL: nothing was measured of any pruned model.
const struct measure *measure_of(const json_t *models);

// The best variant of a level, borrowed; NULL when none was measured. `than` not NULL: the best of those that
// are not `than`.
json_t *level_best(const json_t *models, const char *label, const struct measure *measure,
                   const json_t *than);
bool level_is_best(const json_t *models, const json_t *model, const struct measure *measure);
