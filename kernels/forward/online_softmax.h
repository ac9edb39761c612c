// online_softmax.h - a softmax over numbers that come block by block (Milakov and Gimelshein, 2018, arXiv
// 1805.02867).
#pragma once
#include <stddef.h>

// What is known of the numbers so far. Before the first: {-INFINITY, 0}.
struct online_softmax {
    float max;
    double sum; // of e^(x - max)
};

// Numbers that are looked at together: a block's room is a multiple of it.
enum { SOFTMAX_LANES = 32 };

// Takes the numbers from ... to - 1 of x[n] into what is known, and turns x into e^(x - max), or 0 outside of
// them. There is room for n rounded up to SOFTMAX_LANES. Number i is added by lane i modulo SOFTMAX_LANES, in
// float32, the lanes in double: the sum does not depend on n, and on `from` only as a number of lanes.
// Returns what earlier powers, and sums of them, are to be multiplied by: 1 unless the maximum has
// grown over that of an earlier number.
float online_softmax_advance(struct online_softmax *known, float *x, size_t n, size_t from, size_t to);
