// numerics.h - which arithmetic the kernels do.
#pragma once

// Raised by one when the same job gives other bits than before on the same processor and BLAS: another order
// of sums, another rounding. run.json keeps it (versions.numerics), so that a run that goes on with another
// says so. 1: runs that say nothing. 2: attention block by block of keys (kernels/forward/attention.c). 3:
// factors and inverses in tiles of one triangle (kernels/pruning/solving/hessian_factor.h, inverse.h).
enum { NUMERICS = 3 };
