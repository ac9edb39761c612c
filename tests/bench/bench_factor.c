// bench_factor.c - the tiles on the diagonal of SparseGPT's factor, of 256 channels each, which LAPACK
// computes, beside the whole factor; in processor time.
#include "kernels/pruning/solving/tiles.h"
#include "tests/bench/solving.h"

static void factor_diagonal(void *context)
{
    struct problem *p = context;
    const size_t in = p->equations.in;

    for (size_t k = 0; k < matrix_tiles(in); k++) {
        const size_t n = tile_size(in, k);
        double *tile = tile_at(p->wide, in, k, k);
        const double *g = tile_at(p->g, in, k, k);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                tile[i * in + j] = g[i * in + j] + (i == j ? p->equations.lambda : 0);
        hessian_factor_pivot(p->wide, in, k, p->workspace);
        if (!hessian_factor_pivot_succeeded(p->wide, in, k))
            exit(1);
    }
}

static void compare(const struct bench *bench, size_t in)
{
    struct problem p = problem_create(in);
    struct bench_times times[2];
    char name[96];

    bench_rounds(times, (struct bench_work[]){{factor_diagonal, &p}, {factor_hessian, &p}}, 2,
                 BENCH_REPETITIONS);
    snprintf(name, sizeof name, "factor, %zu channels: diagonal tiles / all", in);
    bench_print_times(bench, name, &times[0], &times[1], NAN, false);
    problem_free(&p);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);

    compare(&bench, 1024);
    compare(&bench, 4096);
    return 0;
}
