// python_random.h - the numbers of Python's random.Random, with which the reference draws examples.
//
// The Mersenne Twister MT19937 (Matsumoto and Nishimura, ACM TOMACS 8, 1998), seeded by its init_by_array as
// CPython seeds it with an integer; Random.sample as CPython 3.11 to 3.13 has it.
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

enum { PYTHON_RANDOM_STATE = 624 };

struct python_random {
    uint32_t state[PYTHON_RANDOM_STATE];
    size_t next; // of the state; PYTHON_RANDOM_STATE: it is to be made anew
};

void python_random_seed(struct python_random *random, uint32_t seed);       // Random(seed)
uint32_t python_random_below(struct python_random *random, uint32_t bound); // randrange(bound), bound > 0
// sample(range(population), count): chosen[count]. count <= population < 2^32.
enum status python_random_sample(size_t *chosen, struct python_random *random, size_t population,
                                 size_t count, struct error *err);
