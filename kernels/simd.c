#include "kernels/simd.h"

bool simd_has_vectors(unsigned bits)
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

const char *simd_instructions(void)
{
#if defined(__aarch64__)
    return "NEON";
#else
    return simd_has_vectors(512) ? "AVX-512" : simd_has_vectors(256) ? "AVX2" : "portable";
#endif
}
