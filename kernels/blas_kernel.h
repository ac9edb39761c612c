// blas_kernel.h - which of a BLAS's sets of kernels computes the matrix products. Which one it is decides the
// last bits of every product.
//
// BLIS chooses one at its first call, by the processor's name. A release does not know later processors: BLIS
// 0.9 takes portable C ("generic") on Zen 5, and AVX2 on a server Xeon whose name a virtual machine hides,
// where its AVX-512 kernels are two to five times as fast. So the program chooses, before BLIS does, among
// the names below. Other libraries choose when they are loaded, by environment variables of their own: no
// name can be asked for.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

enum { BLAS_KERNEL_NAME_SIZE = 24 };

// BLIS's name of its portable C kernels.
#define BLAS_KERNEL_PORTABLE "generic"

// The names that can be asked for, from wide vectors to narrow ones; NULL after the last. None of another
// library than BLIS.
const char *blas_kernel_known(size_t index);

// Whether this processor has the instructions of the kernels called `name`, as far as they are known here.
bool blas_kernel_fits(const char *name);

// The kernels worth comparing with `own`, BLIS's own choice: names[size] is filled with those that fit this
// processor and use wider vectors than `own` does, the widest first. Returns how many.
size_t blas_kernel_rivals(const char **names, size_t size, const char *own);

// Has BLIS take the kernels called `name`, through its environment variable: before the first call of BLIS in
// this process, or nothing happens. STATUS_USAGE when the name is unknown or the processor lacks the
// instructions; the message lists what can be asked for. Always so of another library.
enum status blas_kernel_set(const char *name, struct error *err);

// The name of the kernels that the library took; BLIS takes them now if it has not yet. Valid until the end.
const char *blas_kernel_name(void);

// Operations a second of this thread, by the processor's time, in square products of SIDE x SIDE matrices:
// the best of a few. A multiplication and an addition are two operations.
struct blas_kernel_rate {
    double f32, f64;
};
enum status blas_kernel_measure(struct blas_kernel_rate *rate, struct error *err);

// How much faster rivals are than BLIS's own choice: the geometric mean of both precisions.
double blas_kernel_gain(const struct blas_kernel_rate *rival, const struct blas_kernel_rate *own);
// A rival is taken from this gain on. Smaller ones are within the noise of a busy machine, and a choice that
// changes from start to start would change the last bits of the results.
#define BLAS_KERNEL_WORTHWHILE 1.2
