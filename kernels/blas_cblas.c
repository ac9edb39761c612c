// Any BLAS with CBLAS's interface: OpenBLAS, FlexiBLAS, MKL, AOCL. Beside products, each has calls of its
// own; those that the loaded library has are looked up by name, so that FlexiBLAS or a replaced library needs
// no other program.
#include "kernels/blas.h"
#include "kernels/blas_kernel.h"

#include COPPICE_CBLAS_HEADER
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// ---- calls of several threads ---------------------------------------------------------------------------

// ISO C has no conversion from dlsym's pointer to one of a function; POSIX promises that they are alike.
#define LOOK_UP(pointer, name) (*(void **)&(pointer) = dlsym(RTLD_DEFAULT, (name)), (pointer) != NULL)

// An OpenBLAS that was built without threads keeps one set of buffers for all callers: products of two
// threads at a time are wrong. What is behind FlexiBLAS is not known.
static bool serves_threads(void)
{
    int (*parallel)(void);
    void (*call)(void);

    if (LOOK_UP(call, "flexiblas_get_version"))
        return false;
    if (LOOK_UP(parallel, "openblas_get_parallel"))
        return parallel() != 0;
    return LOOK_UP(call, "MKL_Get_Version_String") || LOOK_UP(call, "bli_info_get_version_str");
}

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_locked;

static void find_out(void)
{
    is_locked = !serves_threads();
}

static void enter(void)
{
    pthread_once(&once, find_out);
    if (is_locked)
        pthread_mutex_lock(&one_at_a_time);
}

static void leave(void)
{
    if (is_locked)
        pthread_mutex_unlock(&one_at_a_time);
}

// ---- products ------------------------------------------------------------------------------------------

static CBLAS_TRANSPOSE transposition(bool transpose)
{
    return transpose ? CblasTrans : CblasNoTrans;
}

void blas_gemm_f32(float *c, const float *a, const float *b, const struct blas_gemm *gemm)
{
    enter();
    cblas_sgemm(CblasRowMajor, transposition(gemm->transpose_a), transposition(gemm->transpose_b),
                (int)gemm->m, (int)gemm->n, (int)gemm->k, (float)gemm->alpha, a, (int)gemm->a_stride, b,
                (int)gemm->b_stride, (float)gemm->beta, c, (int)gemm->c_stride);
    leave();
}

void blas_gemm_f64(double *c, const double *a, const double *b, const struct blas_gemm *gemm)
{
    enter();
    cblas_dgemm(CblasRowMajor, transposition(gemm->transpose_a), transposition(gemm->transpose_b),
                (int)gemm->m, (int)gemm->n, (int)gemm->k, gemm->alpha, a, (int)gemm->a_stride, b,
                (int)gemm->b_stride, gemm->beta, c, (int)gemm->c_stride);
    leave();
}

bool blas_keeps_bits(void)
{
    return false;
}

// ---- calls that one library has ------------------------------------------------------------------------

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
