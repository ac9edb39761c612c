// workspace.h - cutting one array of floats into parts, each as aligned as the whole.
#pragma once
#include <stddef.h>

// floats rounded up to whole cache lines of 64 bytes.
static inline size_t cache_lines(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static inline size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}
