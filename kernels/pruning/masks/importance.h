// importance.h - the score S of every weight: S_ij = |W_ij| * c_j (kernels/METHOD.md §3).
//
// To add a first-order method: a value of enum method, a function that gives its factor c_j (unless one of
// those there does), a row of the table METHODS in importance.c, and an oracle in tests/kernels/pruning/
// test_importance.c. Job files, sweeps, names of variants, the plan and the messages take it from the table.
//
// sparsegpt has no factors (second_order.h), nor have admm and alps (admm.h), nor has auto, which takes one
// of the others for each linear (candidates.h).
#pragma once
#include "kernels/matrix_view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum method {
    METHOD_MAGNITUDE,
    METHOD_WANDA,
    METHOD_RIA,
    METHOD_CVR,
    METHOD_SPARSEGPT,
    METHOD_ADMM,
    METHOD_ALPS,
    METHOD_AUTO,
    NUM_METHODS
};

// Bits of what a variant of a method needs.
enum importance_needs {
    NEEDS_STATISTICS = 1,      // variance and second moment of the input channels
    NEEDS_COLUMN_VARIANCE = 2, // Var_i(W_ij)
    NEEDS_ABSOLUTE_SUMS = 4,   // sum_i |W_ij| and sum_j |W_ij|
    NEEDS_HESSIAN = 8,         // sum x x^T: second_order.h instead of the factors here
    NEEDS_OUTPUTS = 16,        // a choice of method and parameters by what linears put out
    NEEDS_EQUATIONS = 32,      // masks and weights together, from normal equations: admm.h, alps.h
};

// With these, the methods that have factors are points of one space:
//   S_ij = w_ij * activation_j^exponent * (Var_i(W_ij) + epsilon)^(-alpha / 2)
// where activation_j is the second moment of the input channel (cvr: its variance) and w_ij is |W_ij| (ria:
// relative to its row and column). importance_defaults gives a method's own point; exponent 0 or alpha 0
// leaves its factor out. sparsegpt and auto use none of them.
struct importance_parameters {
    double alpha;    // of the weight variance
    double epsilon;  // added to the weight variance: 1e-8
    double exponent; // of the activation; of ria it is the source's a / 2
};

const char *method_name(enum method method);
const char *const *method_names(size_t *count); // in the order of the enum, for messages and help
// How it chooses weights, in a line; method: of enum method.
const char *method_meaning(size_t method);
// Whether the method scores weights by factors; sparsegpt and auto do not.
bool method_has_factors(enum method method);
struct importance_parameters importance_defaults(enum method method);
// enum importance_needs, or-ed: at the method's own parameters; at these, where an exponent of 0 leaves out
// what it would raise.
unsigned method_needs(enum method method);
unsigned importance_needs(enum method method, const struct importance_parameters *parameters);

// Sums down the columns of a weight, one of each per column. An output that is NULL is skipped.
struct column_moments {
    double *mean;         // mean_i W_ij
    double *variance;     // population variance over the rows, in two passes
    double *absolute_sum; // sum_i |W_ij|
};
// In double, rows in their order: a view of some of the columns gives the bits that the whole matrix gives.
void column_moments(const struct column_moments *moments, const struct matrix_view *weight);

// c[in], the per-channel factor of a method. second_moment, variance: [in] statistics of the input channels;
// column_variance: [in]; each may be NULL where importance_needs does not ask for it. A factor may come out
// infinite or NaN (statistics that are; epsilon 0 and a constant column): find_non_finite (kernels/dtype.h)
// tells. Only for a method that has factors.
void importance_factors(float *factors, enum method method, const struct importance_parameters *parameters,
                        const double *second_moment, const double *variance, const double *column_variance,
                        size_t in);

// ria's a_j: reciprocal[in] = (float)(1 / absolute_sum[in]); 0 where the sum is 0 (the column is all zeros),
// and at most 2^126, so that no score of a zero weight becomes 0 times infinity.
void reciprocal_sums(float *reciprocal, const double *absolute_sum, size_t in);

// Scores of one row: scores[in] = |row[j]| * factors[j], or with reciprocal_sums != NULL (ria)
// |row[j]| * ((reciprocal_sums[j] + b) * factors[j]) with b the reciprocal of the row's own sum, which is
// added in the order of kernels/lanes.h. Never negative, never -0; a weight that is not finite gives a score
// that is not.
void importance_row(float *scores, const float *row, const float *factors, const float *reciprocal_sums,
                    size_t in);
