// bench_least_squares.c - the bare products that least squares on a support, ALPS and SparseGPT need, beside
// all that they take, in processor time. One block of 256 rows is timed; a linear counts as many blocks as it
// has. ALPS counts as 33 steps and 9 inverses, as many as linears of a small model took. COPPICE_LARGE=1 adds
// a linear of 4096 x 11008, which takes minutes and is not in the table of docs/speed.md.
#include "tests/bench/solving.h"

static void least_squares(const struct bench *bench, size_t in)
{
    struct problem p = problem_create(in);
    struct bench_times times[NUM_PIECES], all = {0}, bare = {0};
    char name[96];

    time_pieces(times, &p, SOLVE + 1, in <= 2048 ? BENCH_REPETITIONS : 3);
    add_solving(&all, times, 1);
    add_bare_solving(&bare, times, 1);
    snprintf(name, sizeof name, "least squares, %d x %zu: products / all", ROWS, in);
    bench_print_times(bench, name, &bare, &all, 0.7, true);
    problem_free(&p);
}

// A linear [out, in], from G to its weights.
static void linear(const struct bench *bench, size_t out, size_t in, size_t rounds)
{
    struct problem p = problem_create(in);
    const double blocks = (double)out / ROWS;
    struct bench_times times[NUM_PIECES], alps = {0}, bare_alps = {0}, sparsegpt = {0}, bare_sparsegpt = {0};
    char name[96];

    time_pieces(times, &p, NUM_PIECES, rounds);
    add_alps(&alps, times, blocks);
    add_bare_alps(&bare_alps, times, (double)in, blocks);
    add_sparsegpt(&sparsegpt, times, blocks);
    add_bare_sparsegpt(&bare_sparsegpt, times, (double)in, blocks);
    snprintf(name, sizeof name, "alps, %zu x %zu: products / all", out, in);
    bench_print_times(bench, name, &bare_alps, &alps, 0.7, true);
    snprintf(name, sizeof name, "sparsegpt, %zu x %zu: products / all", out, in);
    bench_print_times(bench, name, &bare_sparsegpt, &sparsegpt, 0.7, true);
    snprintf(name, sizeof name, "alps / sparsegpt, %zu x %zu", out, in);
    bench_print_times(bench, name, &alps, &sparsegpt, NAN, false);
    problem_free(&p);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);

    least_squares(&bench, 256);
    least_squares(&bench, 2048);
    least_squares(&bench, 11008);
    linear(&bench, 1024, 1024, BENCH_REPETITIONS);
    linear(&bench, 4096, 4096, 3);
    if (getenv("COPPICE_LARGE") != NULL)
        linear(&bench, 4096, 11008, 1);
    return 0;
}
