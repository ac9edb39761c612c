// Products of a source's input channels: one sequence of 2048 tokens at 4096 channels, G and C, from inputs
// to sums in double, beside a bare product of float32 of that size. Operations are those that are needed: the
// upper triangle of G and all of C.
#include "kernels/gemm.h"
#include "kernels/pruning/solving/gram.h"
#include "tests/bench/bench.h"
#include "tests/support/random.h"

enum { TOKENS = 2048, IN = 4096 };

struct source {
    float *pruned, *dense; // [TOKENS, IN]
    float *product;        // [IN, IN]
    double *g, *c, *sum;
};

static void *memory(size_t count, size_t size)
{
    void *block;
    struct error err;

    if (allocate_aligned(&block, count, size, "the benchmark", &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    memset(block, 0, count * size);
    return block;
}

static void gather(void *context)
{
    const struct source *source = context;

    for (size_t i = 0; i < gram_tiles(IN); i++)
        for (size_t j = 0; j < gram_tiles(IN); j++) {
            const struct gram_tile tile = gram_tile_at(IN, i, j);
            if (j >= i)
                gram_add(source->g, source->product, source->pruned, source->pruned, TOKENS, IN, &tile);
            if (j == i)
                gram_add_sums(source->sum + tile.column, source->pruned, TOKENS, IN, &tile);
            gram_add(source->c, source->product, source->pruned, source->dense, TOKENS, IN, &tile);
        }
}

static void multiply(void *context)
{
    const struct source *source = context;

    gemm_tn(source->product, IN, source->pruned, IN, source->dense, IN, IN, IN, TOKENS);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);
    const double square = 2.0 * TOKENS * IN * IN;
    struct random_state random = random_seed(1);
    struct source source = {
        .pruned = memory((size_t)TOKENS * IN, sizeof(float)),
        .dense = memory((size_t)TOKENS * IN, sizeof(float)),
        .product = memory((size_t)IN * IN, sizeof(float)),
        .g = memory((size_t)IN * IN, sizeof(double)),
        .c = memory((size_t)IN * IN, sizeof(double)),
        .sum = memory(IN, sizeof(double)),
    };
    double ours, bare;

    random_fill(&random, source.pruned, (size_t)TOKENS * IN, 1);
    random_fill(&random, source.dense, (size_t)TOKENS * IN, 1);
    bench_time(&ours, &bare, (struct bench_work){gather, &source}, (struct bench_work){multiply, &source});
    bench_print(&bench, "gram: G and C of 4096 channels / the bare product", 1.5e-9 * square / ours, "GF/s",
                1e-9 * square / bare, 0.7, true);
    return 0;
}
