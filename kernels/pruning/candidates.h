// candidates.h - the importances that the method auto tries: points of importance.h's space that contain
// every named first-order method.
//
// Activation exponents around wanda's, each without and with a power of the weights' column variance; around
// ria's; cvr's own point. Magnitude is the point without activations.
#pragma once
#include "kernels/pruning/importance.h"

struct importance_candidate {
    const char *name; // as a variant's name would say it: "wanda-alpha0.25"
    enum method method;
    double exponent, alpha; // epsilon is importance_defaults'
};
const struct importance_candidate *importance_candidates(size_t *count);

// Which one stands where nothing was measured: wanda.
enum { CANDIDATE_DEFAULT = 0 };

// The candidate with the smallest of errors[candidates]; the first among equals. NaN is never smallest: of
// none but NaN the default.
size_t choose_candidate(const double *errors, size_t candidates);
