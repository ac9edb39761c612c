// A program without oneDNN.
#include "kernels/bf16_unit.h"

#include <math.h>
#include <stdio.h>

enum status bf16_unit_prepare(size_t threads, struct error *err)
{
    (void)threads;
    return error_set(err, STATUS_USAGE, "the program was built without oneDNN");
}

void bf16_unit_name(char *name, size_t size)
{
    snprintf(name, size, "none");
}

// Not reached: nothing is prepared.
void bf16_unit_multiply(float *c, const uint16_t *a, const uint16_t *b, size_t steps, size_t thread)
{
    (void)a;
    (void)b;
    (void)steps;
    (void)thread;
    for (size_t i = 0; i < (size_t)BF16_ROWS * BF16_COLUMNS; i++)
        c[i] = NAN;
}
