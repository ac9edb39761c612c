#include "kernels/blis_kernel.h"
#include "kernels/gemm.h"

#include <blis.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIDE = 384, REPETITIONS = 3 };

// Bits of a vector register that the kernels use: what tells fast from slow.
struct kernel {
    const char *name; // as bli_arch_string says it
    arch_t arch;
    unsigned bits;
};

// From wide to narrow; of one width, in the order in which they are tried. Kernels for other processors than
// x86 are left to BLIS: they are only listed so that they can be asked for.
static const struct kernel kernels[] = {
    {"skx", BLIS_ARCH_SKX, 512},   {"haswell", BLIS_ARCH_HASWELL, 256},
    {"zen3", BLIS_ARCH_ZEN3, 256}, {"zen2", BLIS_ARCH_ZEN2, 256},
    {"zen", BLIS_ARCH_ZEN, 256},   {BLIS_KERNEL_PORTABLE, BLIS_ARCH_GENERIC, 0},
};
enum { NUM_KERNELS = sizeof kernels / sizeof kernels[0] };

static const struct kernel *find(const char *name)
{
    for (size_t i = 0; i < NUM_KERNELS; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return &kernels[i];
    return NULL;
}

static bool has_vectors(unsigned bits)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (bits == 512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (bits == 256)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return bits == 0;
}

const char *blis_kernel_known(size_t index)
{
    return index < NUM_KERNELS ? kernels[index].name : NULL;
}

bool blis_kernel_fits(const char *name)
{
    const struct kernel *kernel = find(name);
    return kernel != NULL && has_vectors(kernel->bits);
}

size_t blis_kernel_rivals(const char **names, size_t size, const char *own)
{
    const struct kernel *known = find(own);
    size_t count = 0;
    unsigned last = 0;

    // Of each width one is enough: the first, which is every processor's of that width.
    for (size_t i = 0; i < NUM_KERNELS && count < size; i++) {
        const unsigned bits = kernels[i].bits;
        if (bits == last || bits <= (known != NULL ? known->bits : 0) || !has_vectors(bits))
            continue;
        last = bits;
        names[count++] = kernels[i].name;
    }
    return count;
}

enum status blis_kernel_set(const char *name, struct error *err)
{
    const struct kernel *kernel = find(name);
    char number[16], list[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < NUM_KERNELS; i++)
        if (has_vectors(kernels[i].bits) && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "",
                                     kernels[i].name);
    RETURN_ERROR_IF(kernel == NULL, err, STATUS_USAGE,
                    "no kernels of BLIS are called '%.40s'; this processor can run %s", name, list);
    RETURN_ERROR_IF(!has_vectors(kernel->bits), err, STATUS_USAGE,
                    "this processor lacks the instructions of BLIS's kernels '%s'; it can run %s", name,
                    list);
    snprintf(number, sizeof number, "%d", (int)kernel->arch);
    RETURN_ERROR_IF(setenv("BLIS_ARCH_TYPE", number, 1) != 0, err, STATUS_MEMORY,
                    "out of memory for the environment");
    return STATUS_OK;
}

const char *blis_kernel_name(void)
{
    bli_init();
    return bli_arch_string(bli_arch_query_id());
}

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum status blis_kernel_measure(struct blis_kernel_rate *rate, struct error *err)
{
    const size_t area = (size_t)SIDE * SIDE;
    const double operations = 2.0 * SIDE * (double)area;
    const long threads = gemm_threads();
    double *wide = NULL;

    *rate = (struct blis_kernel_rate){0, 0};
    FORWARD_IF_ERROR(allocate_aligned(&wide, 3 * area, sizeof *wide, "the first matrix products", err));
    float *narrow = (float *)wide;
    gemm_set_threads(1);
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
    gemm_set_threads(threads);
    free(wide);
    return STATUS_OK;
}

double blis_kernel_gain(const struct blis_kernel_rate *rival, const struct blis_kernel_rate *own)
{
    return sqrt(rival->f32 / own->f32 * (rival->f64 / own->f64));
}
