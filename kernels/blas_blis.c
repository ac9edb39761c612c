// BLIS, by its own interface.
#include "kernels/blas.h"
#include "kernels/blas_kernel.h"
#include "kernels/simd.h"

#include <blis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- products ------------------------------------------------------------------------------------------

// BLIS has a second code path for small or thin matrices, whose edge kernels sum in another order: the
// bits of a row change with the rows beside it, and for products with b transposed it is also up to twice as
// slow. It is switched off, so that every element is summed over k in one fixed order.
static rntm_t one_thread_and_path(void)
{
    rntm_t runtime;

    bli_rntm_init_from_global(&runtime);
    bli_rntm_set_num_threads(1, &runtime);
    bli_rntm_disable_l3_sup(&runtime);
    return runtime;
}

static trans_t transposition(bool transpose)
{
    return transpose ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE;
}

// BLIS's typed interface takes no const pointers; it only reads a and b.
void blas_gemm_f32(float *c, const float *a, const float *b, const struct blas_gemm *gemm)
{
    float alpha = (float)gemm->alpha, beta = (float)gemm->beta;
    rntm_t runtime = one_thread_and_path();

    bli_sgemm_ex(transposition(gemm->transpose_a), transposition(gemm->transpose_b), (dim_t)gemm->m,
                 (dim_t)gemm->n, (dim_t)gemm->k, &alpha, (float *)a, (inc_t)gemm->a_stride, 1, (float *)b,
                 (inc_t)gemm->b_stride, 1, &beta, c, (inc_t)gemm->c_stride, 1, NULL, &runtime);
}

void blas_gemm_f64(double *c, const double *a, const double *b, const struct blas_gemm *gemm)
{
    double alpha = gemm->alpha, beta = gemm->beta;
    rntm_t runtime = one_thread_and_path();

    bli_dgemm_ex(transposition(gemm->transpose_a), transposition(gemm->transpose_b), (dim_t)gemm->m,
                 (dim_t)gemm->n, (dim_t)gemm->k, &alpha, (double *)a, (inc_t)gemm->a_stride, 1, (double *)b,
                 (inc_t)gemm->b_stride, 1, &beta, c, (inc_t)gemm->c_stride, 1, NULL, &runtime);
}

bool blas_keeps_bits(void)
{
    return true;
}

void blas_use_one_thread(void)
{
    bli_thread_set_num_threads(1);
}

void blas_name(char *name, size_t size)
{
    snprintf(name, size, "BLIS %s", bli_info_get_version_str());
}

// ---- kernels -------------------------------------------------------------------------------------------

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
    {"zen", BLIS_ARCH_ZEN, 256},   {BLAS_KERNEL_PORTABLE, BLIS_ARCH_GENERIC, 0},
};
enum { NUM_KERNELS = sizeof kernels / sizeof kernels[0] };

static const struct kernel *find(const char *name)
{
    for (size_t i = 0; i < NUM_KERNELS; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return &kernels[i];
    return NULL;
}

const char *blas_kernel_known(size_t index)
{
    return index < NUM_KERNELS ? kernels[index].name : NULL;
}

bool blas_kernel_fits(const char *name)
{
    const struct kernel *kernel = find(name);
    return kernel != NULL && simd_has_vectors(kernel->bits);
}

size_t blas_kernel_rivals(const char **names, size_t size, const char *own)
{
    const struct kernel *known = find(own);
    size_t count = 0;
    unsigned last = 0;

    // Of each width one is enough: the first, which is every processor's of that width.
    for (size_t i = 0; i < NUM_KERNELS && count < size; i++) {
        const unsigned bits = kernels[i].bits;
        if (bits == last || bits <= (known != NULL ? known->bits : 0) || !simd_has_vectors(bits))
            continue;
        last = bits;
        names[count++] = kernels[i].name;
    }
    return count;
}

enum status blas_kernel_set(const char *name, struct error *err)
{
    const struct kernel *kernel = find(name);
    char number[16], list[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < NUM_KERNELS; i++)
        if (simd_has_vectors(kernels[i].bits) && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "",
                                     kernels[i].name);
    RETURN_ERROR_IF(kernel == NULL, err, STATUS_USAGE,
                    "no kernels of BLIS are called '%.40s'; this processor can run %s", name, list);
    RETURN_ERROR_IF(!simd_has_vectors(kernel->bits), err, STATUS_USAGE,
                    "this processor lacks the instructions of BLIS's kernels '%s'; it can run %s", name,
                    list);
    snprintf(number, sizeof number, "%d", (int)kernel->arch);
    RETURN_ERROR_IF(setenv("BLIS_ARCH_TYPE", number, 1) != 0, err, STATUS_MEMORY,
                    "out of memory for the environment");
    return STATUS_OK;
}

const char *blas_kernel_name(void)
{
    bli_init();
    return bli_arch_string(bli_arch_query_id());
}
