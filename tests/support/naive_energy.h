// naive_energy.h - the oracle of energy compensation: plain loops in double, from the formulas of METHOD.
#pragma once
#include "stages/settings.h"

// One linear, [out, in].
struct energy_case {
    size_t out, in;
    const float *dense, *updated; // updated: what stays is taken from here
    const uint8_t *mask;
    // results
    double *weight;
    double *column_gamma, *row_gamma;             // [in], [out]
    double *before, *pruned_energy, *compensated; // [out]
};

// Fills the results, which energy_case_free frees: columns before rows, as far as the variant asks for them.
void naive_energy(struct energy_case *c, const struct variant *variant);
void energy_case_free(struct energy_case *c);

// Of count values, `step` apart.
double mean_of(const double *values, size_t count, size_t step);
