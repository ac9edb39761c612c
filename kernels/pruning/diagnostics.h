// diagnostics.h - how weights are aligned with each other, from the weights alone.
//
// Leading singular subspaces. With W = U S V^T, U_k are the k left singular vectors of the largest singular
// values, an orthonormal basis of the k output directions that W uses most; V_k likewise of input directions.
//
// Overlap of two subspaces of R^n with orthonormal bases A [k, n] and B [l, n]:
//
//     overlap(A, B) = ||A B^T||_F^2 / min(k, l) = (1 / min(k, l)) sum_i cos^2(theta_i)   in [0, 1]
//
// where theta_i are the principal angles (A. Bjorck, G. H. Golub, "Numerical methods for computing angles
// between linear subspaces", Math. Comp. 27 (1973)). The sum is the projection kernel (J. Hamm, D. D. Lee,
// "Grassmann discriminant analysis", ICML 2008), used on attention heads' weights by H. Yamagiwa, Y. Takase,
// H. Shimodaira, "Measuring affinity between attention-head weight subspaces via the projection kernel",
// arXiv 2601.10266; divided by min(k, l) it is the subspace similarity of E. J. Hu et al., "LoRA", ICLR 2022,
// section 7.2. Two random subspaces of dimension k in R^n have an overlap of k / n on average.
//
// Commutator of two square matrices:
//
//     ||A B - B A||_F / (||A||_F ||B||_F)   in [0, sqrt 2]
//
// 0 when they commute; the bound is that of A. Bottcher, D. Wenzel, "The Frobenius norm and the commutator",
// Linear Algebra Appl. 429 (2008).
//
// All sums are in double, the decomposition is LAPACK's dsyevr; results do not depend on the
// number of threads.
#pragma once
#include "kernels/error.h"
#include "kernels/matrix_view.h"
#include <stddef.h>

enum singular_side { SINGULAR_LEFT, SINGULAR_RIGHT };

// The leading singular vectors of one side, as rows of basis[most, n], n = rows (left) or columns (right).
// *found <= most: directions whose singular value is no more than rounding (of its square, n * 2^-52 relative
// to the largest) are not among them. Largest first.
// most <= min(rows, columns). STATUS_MEMORY, or STATUS_FAILED when LAPACK does not converge.
enum status singular_basis(double *basis, size_t *found, const struct matrix_view *matrix,
                           enum singular_side side, size_t most, struct error *err);

// As above, a[k, n] and b[l, n]. 0 when k or l is 0.
double subspace_overlap(const double *a, size_t k, const double *b, size_t l, size_t n);

// As above, both n x n. 0 when one is zero.
enum status commutator_magnitude(double *magnitude, const struct matrix_view *a, const struct matrix_view *b,
                                 struct error *err);
