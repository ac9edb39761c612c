// guard.h - fits output matching to the measured outputs of a linear, and keeps that part of the compensation
// that lowers the measured error (kernels/METHOD.md §10).
#pragma once
#include "stages/compensate/pruned_linear.h"
#include "stages/layer/measure.h"

// The candidates that are measured for a linear: 0 is the weight as pruned; 1, if the variant asks for it,
// the energy-compensated one or the least-squares solution. linear must outlive the measurement.
struct measured_linear guard_candidates(struct pruned_linear *linear);

// The parts of a variant's compensation that are kept.
struct guard_choice {
    enum kept_weights kept;
    bool output; // factors of the rows, or shifts of the biases
};
enum { GUARD_CHOICES = 4 };
// Fills choices from the most compensated to the least; returns how many. Without the guard it is one:
// everything that is asked for.
size_t guard_choices(struct guard_choice choices[GUARD_CHOICES], const struct variant *variant,
                     const struct compensation_kind *kind);

// Sets what is kept of a linear, and its gamma and shift, fitted to the FITTED sequences. measured may be
// NULL where outputs are not matched.
void guard_take(struct pruned_linear *linear, const struct measured_linear *measured,
                const struct guard_choice *choice);

// The choice with the smallest squared error of the linear's own outputs over the HELD_OUT sequences; the
// first among equals. For a linear that no held-out token reached the last one: nothing.
size_t guard_choose(struct pruned_linear *linear, const struct measured_linear *measured,
                    const struct guard_choice *choices, size_t count);

// Sets the errors of a linear's own outputs, as pruned and with what is kept: over the HELD_OUT sequences if
// there are any, else over the FITTED ones, the first of which is `first`.
void guard_report(struct pruned_linear *linear, const struct measured_linear *measured, size_t first);
