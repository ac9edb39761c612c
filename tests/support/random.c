#include "tests/support/random.h"

struct random_state random_seed(uint64_t seed)
{
    return (struct random_state){seed};
}

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
uint64_t random_u64(struct random_state *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t random_below(struct random_state *random, size_t n)
{
    return (size_t)(random_u64(random) % n);
}

double random_uniform(struct random_state *random)
{
    return (double)(random_u64(random) >> 11) * 0x1p-53;
}

double random_normal(struct random_state *random)
{
    double sum = -6;

    for (int i = 0; i < 12; i++)
        sum += random_uniform(random);
    return sum;
}

void random_fill(struct random_state *random, float *x, size_t n, double scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * random_normal(random));
}
