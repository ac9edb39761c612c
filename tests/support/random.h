// random.h - reproducible numbers for tests: the same on every machine, from a seed.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct random_state {
    uint64_t state;
};

struct random_state random_seed(uint64_t seed);
uint64_t random_u64(struct random_state *random);
// Uniform in [0, n), n > 0.
size_t random_below(struct random_state *random, size_t n);
// Uniform in [0, 1).
double random_uniform(struct random_state *random);
// About normal, mean 0, standard deviation 1 (the sum of twelve uniform numbers, less six).
double random_normal(struct random_state *random);
// x[n] <- scale * normal, as float32.
void random_fill(struct random_state *random, float *x, size_t n, double scale);
