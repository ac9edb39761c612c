#include "io/corpus/generator.h"

#include <stddef.h>

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

// SplitMix64: a Weyl sequence (golden ratio) through a mixing function. It never gives four zeros in a row,
// the one state that xoshiro cannot leave.
static uint64_t split_mix(uint64_t *counter)
{
    uint64_t z = *counter += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void generator_seed(struct generator *generator, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        generator->state[i] = split_mix(&seed);
}

uint64_t generator_next(struct generator *generator)
{
    uint64_t *s = generator->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t generator_below(struct generator *generator, uint64_t bound)
{
    // 2^64 mod bound: the lowest values, left out so that a multiple of bound remains.
    const uint64_t left_out = (UINT64_MAX - bound + 1) % bound;
    uint64_t value;

    do {
        value = generator_next(generator);
    } while (value < left_out);
    return value % bound;
}
