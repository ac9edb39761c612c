#include "io/tasks/python_random.h"

#include <stdlib.h>

enum { STATE = PYTHON_RANDOM_STATE, MIDDLE = 397 };

// ---- the twister ----------------------------------------------------------------------------------------

static uint32_t scrambled(const uint32_t *state, size_t i)
{
    return state[i - 1] ^ (state[i - 1] >> 30);
}

// init_genrand(19650218), then init_by_array with the one word `seed`.
void python_random_seed(struct python_random *random, uint32_t seed)
{
    uint32_t *state = random->state;

    state[0] = 19650218U;
    for (size_t i = 1; i < STATE; i++)
        state[i] = 1812433253U * scrambled(state, i) + (uint32_t)i;
    size_t i = 1;
    for (size_t k = 0; k < STATE; k++) {
        state[i] = (state[i] ^ (scrambled(state, i) * 1664525U)) + seed;
        if (++i == STATE) {
            state[0] = state[STATE - 1];
            i = 1;
        }
    }
    for (size_t k = 0; k < STATE - 1; k++) {
        state[i] = (state[i] ^ (scrambled(state, i) * 1566083941U)) - (uint32_t)i;
        if (++i == STATE) {
            state[0] = state[STATE - 1];
            i = 1;
        }
    }
    state[0] = 0x80000000U;
    random->next = STATE;
}

static void renew(uint32_t *state)
{
    for (size_t i = 0; i < STATE; i++) {
        const uint32_t y = (state[i] & 0x80000000U) | (state[(i + 1) % STATE] & 0x7fffffffU);
        state[i] = state[(i + MIDDLE) % STATE] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfU : 0);
    }
}

static uint32_t next_word(struct python_random *random)
{
    if (random->next == STATE) {
        renew(random->state);
        random->next = 0;
    }
    uint32_t y = random->state[random->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

// ---- what Python makes of it ----------------------------------------------------------------------------

// As many leading bits as bound has, until they are a number below it.
uint32_t python_random_below(struct python_random *random, uint32_t bound)
{
    int bits = 0;
    uint32_t value;

    while (bits < 32 && bound >> bits != 0)
        bits++;
    do
        value = next_word(random) >> (32 - bits);
    while (value >= bound);
    return value;
}

// Up to which size of the population Python draws from a list of all, which shrinks: 21, and for more than
// five the table of a set of 3 * count, a power of four.
static size_t list_limit(size_t count)
{
    size_t table = 1;
    if (count <= 5)
        return 21;
    while (table < 3 * count)
        table *= 4;
    return 21 + table;
}

static enum status draw_from_list(size_t *chosen, struct python_random *random, size_t population,
                                  size_t count, struct error *err)
{
    size_t *pool;

    FORWARD_IF_ERROR(allocate(&pool, population, sizeof *pool, "a sample", err));
    for (size_t i = 0; i < population; i++)
        pool[i] = i;
    for (size_t i = 0; i < count; i++) {
        const size_t j = python_random_below(random, (uint32_t)(population - i));
        chosen[i] = pool[j];
        pool[j] = pool[population - i - 1];
    }
    free(pool);
    return STATUS_OK;
}

enum status python_random_sample(size_t *chosen, struct python_random *random, size_t population,
                                 size_t count, struct error *err)
{
    if (population <= list_limit(count))
        return draw_from_list(chosen, random, population, count, err);
    for (size_t i = 0; i < count; i++) {
        size_t k;
        do {
            chosen[i] = python_random_below(random, (uint32_t)population);
            for (k = 0; k < i && chosen[k] != chosen[i]; k++)
                ;
        } while (k < i);
    }
    return STATUS_OK;
}
