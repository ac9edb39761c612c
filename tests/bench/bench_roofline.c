// bench_roofline.c - what kernels reach on one core, beside what the core could do: the smaller one of what
// its multiply-add units can and of what memory lets it, by the operations that a kernel has for each byte
// which it must read or write once; in processor time. An exponential, a root and a comparison count as one
// operation. Kernels that find their inputs in a cache can be above the roof of memory.
#include "kernels/forward/activation.h"
#include "kernels/forward/attention.h"
#include "kernels/forward/norm.h"
#include "kernels/gemm.h"
#include "kernels/pruning/masks/importance.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/masks/statistics.h"
#include "kernels/pruning/solving/gram.h"
#include "tests/bench/peak.h"
#include "tests/bench/sgemm.h"

enum { HIDDEN = 4096, INNER = 11008, TOKENS = 2048, HEADS = 8, HEAD_DIM = 128 };

struct arrays {
    float *weight;   // [INNER, HIDDEN]
    float *x, *y;    // [TOKENS, INNER]
    double *g;       // [HIDDEN, HIDDEN]
    double *sums[3]; // [INNER]
    float *factors;  // [INNER]
    uint8_t *mask;
    float *workspace;
    size_t tokens;
    struct attention attention;
};

static void product(void *context)
{
    const struct arrays *a = context;
    gemm_nt(a->y, HIDDEN, a->x, HIDDEN, a->weight, HIDDEN, a->tokens, HIDDEN, HIDDEN, 1.0F);
}

static void attend(void *context)
{
    const struct arrays *a = context;
    attention_forward(a->y, &a->attention, a->tokens, a->workspace);
}

static void sum_products(void *context)
{
    const struct arrays *a = context;
    for (size_t i = 0; i < gram_tiles(HIDDEN); i++)
        for (size_t j = i; j < gram_tiles(HIDDEN); j++) {
            const struct gram_tile tile = gram_tile_at(HIDDEN, i, j);
            gram_add(a->g, a->workspace, a->x, a->x, TOKENS, HIDDEN, &tile);
        }
}

static void normalise(void *context)
{
    const struct arrays *a = context;
    const struct norm norm = {.weight = a->factors};
    norm_forward(a->y, a->x, TOKENS, HIDDEN, &norm, NORM_RMS, 1e-5F);
}

static void activate(void *context)
{
    const struct arrays *a = context;
    activation_gate(a->y, INNER, a->x, INNER, TOKENS, INNER, ACTIVATION_SILU);
}

static void gather(void *context)
{
    const struct arrays *a = context;
    channel_sums(a->sums[0], a->sums[1], a->sums[2], a->x, TOKENS, INNER);
}

static void prune(void *context)
{
    const struct arrays *a = context;
    for (size_t i = 0; i < HIDDEN; i++) {
        importance_row(a->workspace, a->weight + i * INNER, a->factors, NULL, INNER);
        select_row(a->mask + i * mask_row_bytes(INNER), a->workspace, INNER, INNER / 2);
    }
}

struct roof {
    double operations, bytes; // a second
};

static void point(struct bench *bench, const struct roof *roof, const char *name, struct bench_work work,
                  double operations, double bytes)
{
    struct bench_times times;

    bench_rounds(&times, &work, 1, BENCH_REPETITIONS);
    bench->x = operations / bytes;
    const double limit = 1e-9 * fmin(roof->operations, bench->x * roof->bytes);
    const double middle = bench_middle(&times);
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < times.rounds; i++) {
        least = fmin(least, times.seconds[i]);
        most = fmax(most, times.seconds[i]);
    }
    bench_print_row(bench, &(struct bench_row){name, "GF/s", 1e-9 * operations / middle, limit,
                                               1e-9 * operations / most / limit,
                                               1e-9 * operations / least / limit, NAN, true});
}

int main(int argc, char **argv)
{
    static const size_t rows[] = {1, 4, 16, 64, 256, 2048};
    struct bench bench = bench_begin(argc, argv);
    const struct roof roof = {peak_rate(), read_rate()};
    struct arrays a = {.weight = new_floats((size_t)INNER * HIDDEN),
                       .x = new_floats((size_t)TOKENS * INNER),
                       .y = new_floats((size_t)TOKENS * INNER),
                       .g = calloc((size_t)HIDDEN * HIDDEN, sizeof(double)),
                       .factors = new_floats(INNER),
                       .mask = malloc(HIDDEN * mask_row_bytes(INNER))};
    const double f = sizeof(float), hidden = HIDDEN, inner = INNER, tokens = TOKENS;
    char name[64];

    if (roof.operations == 0) {
        fprintf(stderr,
                "bench_roofline: left out: nobody has said how this processor's units are measured\n");
        return 0;
    }
    for (size_t i = 0; i < INNER; i++)
        a.factors[i] = 0.5F + (float)(i % 97) * 0x1p-7F;
    for (size_t i = 0; i < 3; i++)
        a.sums[i] = calloc(INNER, sizeof(double));
    a.attention = (struct attention){.num_heads = HEADS,
                                     .num_key_value_heads = HEADS,
                                     .head_dim = HEAD_DIM,
                                     .query = a.x,
                                     .key = a.x + (size_t)HEADS * HEAD_DIM,
                                     .value = a.x + 2 * (size_t)HEADS * HEAD_DIM,
                                     .token_stride = 3 * (size_t)HEADS * HEAD_DIM,
                                     .query_head_stride = HEAD_DIM,
                                     .key_value_head_stride = HEAD_DIM,
                                     .scale = 1.0F};
    const size_t room = attention_workspace_size(&a.attention, TOKENS);
    a.workspace = new_floats(room > GRAM_TILE * GRAM_TILE ? room : GRAM_TILE * GRAM_TILE);
    if (a.g == NULL || a.mask == NULL || a.sums[2] == NULL)
        return 1;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double n = (double)rows[i];
        a.tokens = rows[i];
        snprintf(name, sizeof name, "product with 4096 x 4096: %zu token%s", rows[i],
                 rows[i] == 1 ? "" : "s");
        point(&bench, &roof, name, (struct bench_work){product, &a}, 2 * n * hidden * hidden,
              f * (hidden * hidden + 2 * n * hidden));
    }
    for (a.tokens = 256; a.tokens <= TOKENS; a.tokens *= 8) {
        const double n = (double)a.tokens, width = (double)HEADS * HEAD_DIM;
        snprintf(name, sizeof name, "attention, heads of 128: %zu tokens", a.tokens);
        point(&bench, &roof, name, (struct bench_work){attend, &a}, 2 * n * (n + 1) * width,
              f * 4 * n * width);
    }
    point(&bench, &roof, "products of 4096 channels with each other: 2048 tokens",
          (struct bench_work){sum_products, &a}, tokens * hidden * (hidden + 1),
          f * tokens * hidden + 2 * sizeof(double) * hidden * hidden / 2);
    point(&bench, &roof, "RMS norm: 4096 channels", (struct bench_work){normalise, &a}, 4 * tokens * hidden,
          2 * f * tokens * hidden);
    point(&bench, &roof, "SiLU and gate: 11008 channels", (struct bench_work){activate, &a},
          5 * tokens * inner, 3 * f * tokens * inner);
    point(&bench, &roof, "sums of calibration: 11008 channels", (struct bench_work){gather, &a},
          4 * tokens * inner, f * tokens * inner);
    point(&bench, &roof, "wanda's scores and mask: 4096 x 11008", (struct bench_work){prune, &a},
          2 * hidden * inner, (f + 0.125) * hidden * inner);
    return 0;
}
