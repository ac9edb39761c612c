// bench_gemm.c - bare matrix products, compared with the most that the processor's multiply-add units can do,
// and with the fastest other BLAS that is installed. Every other benchmark divides by BLIS: this one says
// what BLIS is worth.
#include "kernels/gemm.h"
#include "tests/bench/peak.h"

#include <dlfcn.h>

// ---- products
// ----------------------------------------------------------------------------------------------

// cblas_sgemm and cblas_dgemm as every BLAS has them. Row-major is 101; no transpose 111, transpose 112.
typedef void sgemm_function(int, int, int, int, int, int, float, const float *, int, const float *, int,
                            float, float *, int);
typedef void dgemm_function(int, int, int, int, int, int, double, const double *, int, const double *, int,
                            double, double *, int);

struct product {
    int m, n, k;
    void *a, *b, *c;
    sgemm_function *sgemm;
    dgemm_function *dgemm;
};

static void ours_f32(void *context)
{
    struct product *p = context;
    gemm_nt(p->c, (size_t)p->n, p->a, (size_t)p->k, p->b, (size_t)p->k, (size_t)p->m, (size_t)p->n,
            (size_t)p->k, 1.0F);
}

static void peer_f32(void *context)
{
    struct product *p = context;
    p->sgemm(101, 111, 112, p->m, p->n, p->k, 1.0F, p->a, p->k, p->b, p->k, 0.0F, p->c, p->n);
}

static void ours_f64(void *context)
{
    struct product *p = context;
    gemm_subtract_f64(p->c, (size_t)p->n, p->a, (size_t)p->k, p->b, (size_t)p->n, (size_t)p->m, (size_t)p->n,
                      (size_t)p->k);
}

static void peer_f64(void *context)
{
    struct product *p = context;
    p->dgemm(101, 111, 111, p->m, p->n, p->k, -1.0, p->a, p->k, p->b, p->n, 1.0, p->c, p->n);
}

static void *new_array(size_t count, size_t width)
{
    void *array;
    struct error err;
    if (allocate_aligned(&array, count, width, "the benchmark", &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        if (width == sizeof(double))
            ((double *)array)[i] = (double)(i % 89 + 1) * 0x1p-7;
        else
            ((float *)array)[i] = (float)(i % 89 + 1) * 0x1p-7F;
    return array;
}

// The first of these that is installed, on one thread. OpenBLAS, too, takes slow kernels on a processor that
// it does not know: it is told which ones to take, so that the comparison is fair.
static void *open_peer(const char **name)
{
    static const char *const libraries[] = {"libmkl_rt.so.2", "libmkl_rt.so", "libopenblas.so.0",
                                            "libopenblas.so"};
    if (blas_kernel_fits("haswell"))
        setenv("OPENBLAS_CORETYPE", blas_kernel_fits("skx") ? "SkylakeX" : "Haswell", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("MKL_NUM_THREADS", "1", 1);
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        void *library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
        *name = libraries[i];
        if (library != NULL)
            return library;
    }
    *name = NULL;
    return NULL;
}

static void compare(const struct bench *bench, struct product *p, bool wide, double peak, const char *peer)
{
    const double operations = 2.0 * p->m * p->n * p->k;
    const size_t width = wide ? sizeof(double) : sizeof(float);
    char name[96];
    double ours, theirs;

    p->a = new_array((size_t)p->m * (size_t)p->k, width);
    p->b = new_array((size_t)p->n * (size_t)p->k, width);
    p->c = new_array((size_t)p->m * (size_t)p->n, width);
    const struct bench_work mine = {wide ? ours_f64 : ours_f32, p}, other = {wide ? peer_f64 : peer_f32, p};
    bench_time(&ours, &theirs, mine, peer != NULL ? other : mine);
    const char *precision = wide ? "float64" : "float32";
    if (peak > 0) {
        snprintf(name, sizeof name, "%s %d x %d x %d, beside the peak", precision, p->m, p->n, p->k);
        bench_print(bench, name, operations / ours * 1e-9, "GF/s", (wide ? peak / 2 : peak) * 1e-9, 0.75,
                    true);
    }
    if (peer != NULL) {
        snprintf(name, sizeof name, "%s %d x %d x %d, beside %s", precision, p->m, p->n, p->k, peer);
        bench_print(bench, name, operations / ours * 1e-9, "GF/s", operations / theirs * 1e-9, NAN, true);
    }
    free(p->a);
    free(p->b);
    free(p->c);
}

int main(int argc, char **argv)
{
    static const int shapes[][3] = {{2048, 4096, 4096}, {1024, 4864, 896}, {2048, 640, 640}};
    const struct bench bench = bench_begin(argc, argv);
    const double peak = peak_rate();
    const char *peer;
    void *library = open_peer(&peer);
    struct product p = {0};

    if (library != NULL) {
        // ISO C has no conversion from an object pointer to a function's; POSIX asks for this one.
        *(void **)&p.sgemm = dlsym(library, "cblas_sgemm");
        *(void **)&p.dgemm = dlsym(library, "cblas_dgemm");
    }
    if (p.sgemm == NULL || p.dgemm == NULL) {
        peer = NULL;
        fprintf(stderr, "no other BLAS is installed (libopenblas0-serial, MKL): there is no row for one\n");
    }
    fprintf(stderr, "kernels of BLIS: %s\n", blas_kernel_name());
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        p.m = shapes[i][0], p.n = shapes[i][1], p.k = shapes[i][2];
        compare(&bench, &p, false, peak, peer);
        compare(&bench, &p, true, peak, peer);
    }
    return 0;
}
