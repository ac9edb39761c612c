// guard.h - fits output matching to what a linear's outputs were measured to be, and keeps of the
// compensation what the measurement speaks for.
#pragma once
#include "stages/measure.h"
#include "stages/pruned_linear.h"

// The first of the sequences that the variant holds out: the last eighth, at least one, of at least two, with
// the guard; none without.
size_t first_held_out(const struct settings *settings, const struct variant *variant);

// What is measured for a linear: candidate 0 is the weight as pruned; 1, where energy compensation is asked
// for, with that. linear stays the caller's.
struct measured_linear guard_candidates(struct pruned_linear *linear);

// Sets what is kept, gamma, shift and the errors of a measured linear. Factors are fitted to the FITTED
// sequences. Without the guard all that is asked for is kept. With it, of nothing, energy compensation,
// output matching and both (as far as asked for) that with the smallest squared error over the HELD_OUT
// sequences; among equals the most compensated. A linear that no held-out token reached is left as pruned.
void guard_decide(struct pruned_linear *linear, const struct measured_linear *measured);
