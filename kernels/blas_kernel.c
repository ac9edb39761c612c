#include "kernels/blas_kernel.h"
#include "kernels/gemm.h"
#include "kernels/threads.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { SIDE = 384, REPETITIONS = 3 };

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum status blas_kernel_measure(struct blas_kernel_rate *rate, struct error *err)
{
    const size_t area = (size_t)SIDE * SIDE;
    const double operations = 2.0 * (double)SIDE * (double)area;
    const size_t threads = threads_count();
    double *wide = NULL;

    *rate = (struct blas_kernel_rate){0, 0};
    FORWARD_IF_ERROR(allocate_aligned(&wide, 3 * area, sizeof *wide, "the first matrix products", err));
    float *narrow = (float *)wide;
    threads_set(1);
    for (size_t i = 0; i < 3 * area; i++)
        narrow[i] = 1.0F / (float)(i % 89 + 1);
    for (int i = 0; i <= REPETITIONS; i++) { // the first one is not counted: BLIS allocates
        const double start = thread_seconds();
        gemm_nt(narrow + 2 * area, SIDE, narrow, SIDE, narrow + area, SIDE, SIDE, SIDE, SIDE, 1.0F);
        const double seconds = thread_seconds() - start;
        if (i > 0 && seconds > 0)
            rate->f32 = fmax(rate->f32, operations / seconds);
    }
    for (size_t i = 0; i < 3 * area; i++)
        wide[i] = 1.0 / (double)(i % 89 + 1);
    for (int i = 0; i <= REPETITIONS; i++) {
        const double start = thread_seconds();
        gemm_subtract_f64(wide + 2 * area, SIDE, wide, SIDE, wide + area, SIDE, SIDE, SIDE, SIDE);
        const double seconds = thread_seconds() - start;
        if (i > 0 && seconds > 0)
            rate->f64 = fmax(rate->f64, operations / seconds);
    }
    threads_set(threads);
    free(wide);
    return STATUS_OK;
}

double blas_kernel_gain(const struct blas_kernel_rate *rival, const struct blas_kernel_rate *own)
{
    return sqrt(rival->f32 / own->f32 * (rival->f64 / own->f64));
}
