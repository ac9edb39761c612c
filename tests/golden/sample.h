// Written by tests/golden/sample.py.
// clang-format off
#include <stdbool.h>
#include <stddef.h>
static const size_t golden_counts[] = {3, 40, 9, 8, 120, 1, 17, 9, 30, 2, 64};
enum { GOLDEN_SEED = 2026, GOLDEN_LENGTH = 8, GOLDEN_SEQUENCES = 24 };
static const struct {
    size_t document, start;
} golden_draws[] = {
    {1, 22}, {2, 0}, {10, 44}, {8, 10}, {4, 56}, {7, 0},
    {6, 3}, {6, 9}, {8, 3}, {10, 4}, {2, 0}, {1, 27},
    {7, 0}, {4, 77}, {10, 1}, {6, 5}, {2, 1}, {4, 18},
    {1, 15}, {8, 7}, {7, 0}, {6, 6}, {7, 1}, {1, 15},
};
static const size_t golden_starts[] = {39, 32, 263, 176, 54, 126, 247, 144, 271, 48, 64, 111, 108, 106, 294, 189, 233, 124, 34, 24, 149, 227, 230, 247};
static const size_t golden_sizes[] = {0, 3, 12, 1, 0, 0, 30, 7, 9, 2, 14, 5, 5, 5, 21, 0, 4, 4, 90, 6, 1, 8, 0, 10, 3};
enum { GOLDEN_PIECE = 16, GOLDEN_ENOUGH = 100, GOLDEN_DOCUMENTS = 25 };
// The documents that are joined, by seed.
static const bool golden_joined[][GOLDEN_DOCUMENTS] = {
    {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0},
    {1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
};
