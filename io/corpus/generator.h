// generator.h - random numbers that are the same on every machine: xoshiro256** 1.0, seeded through
// SplitMix64 (both by D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS
// 47 (2021), and https://prng.di.unimi.it).
#pragma once
#include <stdint.h>

struct generator {
    uint64_t state[4];
};

void generator_seed(struct generator *generator, uint64_t seed);
// All 64-bit values, equally likely. Public for tests.
uint64_t generator_next(struct generator *generator);
// 0 .. bound - 1, equally likely (values that would favour some are drawn again); bound > 0.
uint64_t generator_below(struct generator *generator, uint64_t bound);
