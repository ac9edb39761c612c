// simd.h - one C source for several instruction sets.
//
// SIMD_CLONES before a function makes the compiler emit a copy of it for each instruction set below; one of
// them is chosen when the program is loaded. The function must be static: clang 14 gives the copies of others
// a name that callers do not find. There are no intrinsics: the copies are the same C, vectorised by the
// compiler, and the portable path is the same C once more. Their results are the same to the bit, because
// every sum has one fixed order in the source, nothing allows the compiler to reassociate (no -ffast-math)
// and nothing fuses a multiplication with an addition (-ffp-contract=off).
//
// SIMD_INLINE is for the helpers of such a function: they must become part of each copy. SIMD_PREFETCH asks
// for memory that is needed soon and changes nothing else.
#pragma once
#include <stdbool.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SIMD_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(COPPICE_SANITIZE)
#define SIMD_SANITIZED // the sanitizers' runtime is not ready when the loader asks which copy to take
#endif

#if defined(__GNUC__) && defined(__x86_64__) && defined(__gnu_linux__) && !defined(SIMD_SANITIZED)
#if defined(__clang__)
#if defined(__has_attribute)
#if __has_attribute(target_clones)
#define SIMD_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#elif __GNUC__ >= 12
#define SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#endif

#ifndef SIMD_CLONES
#define SIMD_CLONES
#endif

#if defined(__GNUC__)
#define SIMD_INLINE static inline __attribute__((always_inline))
#define SIMD_PREFETCH(address) __builtin_prefetch(address)
#else
#define SIMD_INLINE static inline
#define SIMD_PREFETCH(address) ((void)0)
#endif

// Whether this processor has vector instructions of so many bits: 512 (AVX-512 as in Skylake), 256 (AVX2 and
// FMA), 0.
bool simd_has_vectors(unsigned bits);
// The widest of them, for people: "AVX-512", "AVX2", "NEON", "portable".
const char *simd_instructions(void);
