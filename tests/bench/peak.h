// peak.h - the most that a core can do: multiply-adds of its vector units, and bytes from memory.
#pragma once
#include "kernels/blas_kernel.h"
#include "tests/bench/bench.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum { CHAINS = 16, STEPS = 4000000 }; // enough independent chains to fill two units of latency 4 to 5

static volatile float sink;

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx512f"))) static inline double peak_512(void)
{
    __m512 sums[CHAINS];
    const __m512 a = _mm512_set1_ps(0.999F), b = _mm512_set1_ps(1e-3F);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm512_set1_ps((float)i);
    for (int step = 0; step < STEPS; step++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_fmadd_ps(sums[i], a, b);
    for (int i = 0; i < CHAINS; i++)
        sink = _mm512_cvtss_f32(sums[i]);
    return 2.0 * 16 * CHAINS * STEPS;
}

__attribute__((target("avx2,fma"))) static inline double peak_256(void)
{
    __m256 sums[CHAINS - 2]; // there are 16 registers, two of which hold the factors
    const __m256 a = _mm256_set1_ps(0.999F), b = _mm256_set1_ps(1e-3F);
    for (int i = 0; i < CHAINS - 2; i++)
        sums[i] = _mm256_set1_ps((float)i);
    for (int step = 0; step < STEPS; step++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS - 2; i++)
            sums[i] = _mm256_fmadd_ps(sums[i], a, b);
    for (int i = 0; i < CHAINS - 2; i++)
        sink = _mm256_cvtss_f32(sums[i]);
    return 2.0 * 8 * (CHAINS - 2) * STEPS;
}
#endif

// float32 operations a second of one core; 0 where it is not known how to ask.
static inline double peak_rate(void)
{
    double best = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    double (*peak)(void) = blas_kernel_fits("skx") ? peak_512 : blas_kernel_fits("haswell") ? peak_256 : NULL;
    for (int i = 0; i < BENCH_REPETITIONS && peak != NULL; i++) {
        const double start = bench_processor_seconds(), operations = peak();
        best = fmax(best, operations / (bench_processor_seconds() - start));
    }
#endif
    return best;
}

enum { READ_BYTES = 256 << 20 }; // more than the caches hold

// Bytes a second that one core reads from memory, one after the other.
static inline double read_rate(void)
{
    const size_t count = READ_BYTES / sizeof(unsigned long);
    unsigned long *words = malloc(READ_BYTES), all = 0;
    double best = 0;

    if (words == NULL) {
        perror("malloc");
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        words[i] = i;
    for (int i = 0; i < BENCH_REPETITIONS; i++) {
        const double start = bench_processor_seconds();
        for (size_t k = 0; k < count; k++)
            all ^= words[k];
        best = fmax(best, READ_BYTES / (bench_processor_seconds() - start));
    }
    sink = (float)all;
    free(words);
    return best;
}
