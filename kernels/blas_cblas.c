// Any BLAS with CBLAS's interface: OpenBLAS, FlexiBLAS, MKL, AOCL. Beside products, each has calls of its
// own; those that the loaded library has are looked up by name, so that FlexiBLAS or a replaced library needs
// no other program.
#include "kernels/blas.h"
#include "kernels/blas_kernel.h"

#include COPPICE_CBLAS_HEADER
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// ---- products ------------------------------------------------------------------------------------------

static CBLAS_TRANSPOSE transposition(bool transpose)
{
    return transpose ? CblasTrans : CblasNoTrans;
}

void blas_gemm_f32(float *c, const float *a, const float *b, const struct blas_gemm *gemm)
{
    cblas_sgemm(CblasRowMajor, transposition(gemm->transpose_a), transposition(gemm->transpose_b),
                (int)gemm->m, (int)gemm->n, (int)gemm->k, (float)gemm->alpha, a, (int)gemm->a_stride, b,
                (int)gemm->b_stride, (float)gemm->beta, c, (int)gemm->c_stride);
}

void blas_gemm_f64(double *c, const double *a, const double *b, const struct blas_gemm *gemm)
{
    cblas_dgemm(CblasRowMajor, transposition(gemm->transpose_a), transposition(gemm->transpose_b),
                (int)gemm->m, (int)gemm->n, (int)gemm->k, gemm->alpha, a, (int)gemm->a_stride, b,
                (int)gemm->b_stride, gemm->beta, c, (int)gemm->c_stride);
}

bool blas_keeps_bits(void)
{
    return false;
}

// ---- calls that one library has ------------------------------------------------------------------------

// ISO C has no conversion from dlsym's pointer to one of a function; POSIX promises that they are alike.
#define LOOK_UP(pointer, name) (*(void **)&(pointer) = dlsym(RTLD_DEFAULT, (name)), (pointer) != NULL)

void blas_use_one_thread(void)
{
    static const char *const names[] = {"flexiblas_set_num_threads", "openblas_set_num_threads",
                                        "MKL_Set_Num_Threads"};
    void (*set)(int);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (LOOK_UP(set, names[i])) {
            set(1);
            return;
        }
}

void blas_name(char *name, size_t size)
{
    char *(*text)(void);
    void (*numbers)(int *, int *, int *), (*fill)(char *, int);
    const char *(*version)(void);
    char line[256] = "";
    int major = 0, minor = 0, patch = 0;

    if (LOOK_UP(numbers, "flexiblas_get_version")) {
        numbers(&major, &minor, &patch);
        snprintf(name, size, "FlexiBLAS %d.%d.%d", major, minor, patch);
    } else if (LOOK_UP(text, "openblas_get_config")) { // "OpenBLAS 0.3.21 NO_AFFINITY ..."
        snprintf(line, sizeof line, "%s", text());
        const size_t word = strcspn(line, " ");
        if (line[word] == ' ')
            line[word + 1 + strcspn(line + word + 1, " ")] = '\0';
        snprintf(name, size, "%s", line);
    } else if (LOOK_UP(fill,
                       "MKL_Get_Version_String")) { // "Intel(R) ... Version 2023.1-Product Build ... for ..."
        fill(line, sizeof line - 1);
        const char *number = strstr(line, "Version ");
        snprintf(name, size, "MKL %.*s", number != NULL ? (int)strcspn(number + 8, "-, ") : 0,
                 number != NULL ? number + 8 : "");
    } else if (LOOK_UP(version, "bli_info_get_version_str")) {
        snprintf(name, size, "BLIS (CBLAS) %s", version());
    } else {
        snprintf(name, size, "%s", COPPICE_BLAS);
    }
}

const char *blas_kernel_name(void)
{
    static char backend[BLAS_KERNEL_NAME_SIZE];
    char *(*core)(void);
    int (*current)(char *, size_t), (*arch)(void);
    const char *(*arch_name)(int);

    if (LOOK_UP(current, "flexiblas_current_backend") && current(backend, sizeof backend) > 0)
        return backend;
    if (LOOK_UP(core, "openblas_get_corename"))
        return core();
    if (LOOK_UP(arch, "bli_arch_query_id") && LOOK_UP(arch_name, "bli_arch_string"))
        return arch_name(arch());
    return "unknown";
}

// ---- no kernels can be asked for -----------------------------------------------------------------------

const char *blas_kernel_known(size_t index)
{
    (void)index;
    return NULL;
}

bool blas_kernel_fits(const char *name)
{
    (void)name;
    return false;
}

size_t blas_kernel_rivals(const char **names, size_t size, const char *own)
{
    (void)names;
    (void)size;
    (void)own;
    return 0;
}

enum status blas_kernel_set(const char *name, struct error *err)
{
    char library[BLAS_NAME_SIZE];
    blas_name(library, sizeof library);
    return error_set(
        err, STATUS_USAGE,
        "kernels '%.40s' cannot be asked for: they are BLIS's, and the program was built with %s, "
        "which chooses its own when it is loaded (OPENBLAS_CORETYPE, MKL_ENABLE_INSTRUCTIONS)",
        name, library);
}
