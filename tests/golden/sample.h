// Written by tests/golden/sample.py.
// clang-format off
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
