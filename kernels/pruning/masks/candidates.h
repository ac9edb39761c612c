// candidates.h - the importances that the method auto tries (kernels/METHOD.md §7): points of importance.h's
// space, among them each of magnitude, wanda, ria and cvr.
//
// The others are activation exponents around wanda's, each without and with a power of the weights' column
// variance, and one each around ria's and cvr's.
#pragma once
#include "kernels/pruning/masks/importance.h"

struct importance_candidate {
    const char *name; // as in the name of a variant: "wanda-alpha0.25"
    enum method method;
    double exponent, alpha; // epsilon is importance_defaults'
};
const struct importance_candidate *importance_candidates(size_t *count);

// The candidate that stands where nothing was measured: wanda.
enum { CANDIDATE_DEFAULT = 0 };

// The candidate with the smallest of errors[candidates]; the first among equals. NaN is never the smallest;
// if all are NaN, the default.
size_t choose_candidate(const double *errors, size_t candidates);
