// bench_forward.c - the forward pass at LLaMA-7B's sizes, compared with bare sgemm of the same products in
// the same run.
#include "kernels/error.h"
#include "kernels/forward/attention.h"
#include "kernels/forward/decoder.h"
#include "kernels/forward/logits.h"
#include "tests/bench/bench.h"

#include <cblas.h>

enum { TOKENS = 2048, HIDDEN = 4096, INTERMEDIATE = 11008, HEADS = 32, HEAD_DIM = 128 };
enum { HEAD_TOKENS = 512, VOCABULARY = 32000 };
enum { REPETITIONS = 3 }; // of some ten seconds each

static float *new_floats(size_t count)
{
    float *x;
    struct error err;
    if (allocate_aligned(&x, count, sizeof *x, "the benchmark", &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((i * 2654435761U >> 8) & 0xffff) * 0x1p-20F - 0x1p-5F;
    return x;
}

struct arrays {
    struct decoder_config config;
    struct decoder_layer layer;
    struct rotary_table rotary;
    struct lm_head head;
    float *weights, *hidden, *out, *workspace, *head_workspace;
    int32_t targets[HEAD_TOKENS];
};

static void create(struct arrays *a)
{
    const size_t pairs = HEAD_DIM / 2;
    float *ones = new_floats(HIDDEN), *angles = new_floats(TOKENS * pairs);
    a->weights =
        new_floats((size_t)VOCABULARY * HIDDEN); // shared by all linears: speed does not depend on values
    a->config = (struct decoder_config){.hidden_size = HIDDEN,
                                        .intermediate_size = INTERMEDIATE,
                                        .num_attention_heads = HEADS,
                                        .num_key_value_heads = HEADS,
                                        .head_dim = HEAD_DIM,
                                        .rotary_dim = HEAD_DIM,
                                        .norm_epsilon = 1e-5F,
                                        .attention_scale = 0.088F};
    const struct linear square = {HIDDEN, HIDDEN, a->weights, NULL},
                        wide = {INTERMEDIATE, HIDDEN, a->weights, NULL},
                        narrow = {HIDDEN, INTERMEDIATE, a->weights, NULL};
    a->layer = (struct decoder_layer){.input_norm = {ones, NULL},
                                      .post_attention_norm = {ones, NULL},
                                      .q = square,
                                      .k = square,
                                      .v = square,
                                      .o = square,
                                      .gate = wide,
                                      .up = wide,
                                      .down = narrow};
    a->rotary = (struct rotary_table){.tokens = TOKENS, .cosine = angles, .sine = angles};
    a->head = (struct lm_head){.weight = a->weights, // read as bfloat16
                               .dtype = DTYPE_BF16,
                               .vocab_size = VOCABULARY,
                               .hidden_size = HIDDEN,
                               .norm = {ones, NULL},
                               .norm_epsilon = 1e-5F};
    a->hidden = new_floats((size_t)TOKENS * INTERMEDIATE);
    a->out = new_floats((size_t)TOKENS * VOCABULARY);
    a->workspace = new_floats(decoder_workspace_size(&a->config, TOKENS));
    a->head_workspace = new_floats(lm_head_workspace_size(&a->head, HEAD_TOKENS));
    memset(a->targets, 0, sizeof a->targets);
}

static void layer(struct arrays *a)
{
    decoder_layer_forward(&a->config, &a->layer, &a->rotary, a->hidden, TOKENS, a->workspace, NULL);
}

static void attention(struct arrays *a)
{
    const struct attention attention = {.num_heads = HEADS,
                                        .num_key_value_heads = HEADS,
                                        .head_dim = HEAD_DIM,
                                        .query = a->hidden,
                                        .key = a->hidden,
                                        .value = a->hidden,
                                        .token_stride = HIDDEN,
                                        .query_head_stride = HEAD_DIM,
                                        .key_value_head_stride = HEAD_DIM,
                                        .scale = 0.088F};
    attention_forward(a->out, &attention, TOKENS, a->workspace);
}

static void head(struct arrays *a)
{
    double log_likelihood[HEAD_TOKENS];
    lm_head_log_likelihood(log_likelihood, NULL, &a->head, a->hidden, a->targets, HEAD_TOKENS,
                           a->head_workspace);
}

// x[m, k] W[n, k]^T, the shape of a linear.
static void sgemm(const struct arrays *a, int m, int n, int k)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, a->hidden, k, a->weights, k, 0.0F,
                a->out, n);
}

static void layer_sgemm(struct arrays *a)
{
    for (int i = 0; i < 4; i++)
        sgemm(a, TOKENS, HIDDEN, HIDDEN);
    sgemm(a, TOKENS, INTERMEDIATE, HIDDEN);
    sgemm(a, TOKENS, INTERMEDIATE, HIDDEN);
    sgemm(a, TOKENS, HIDDEN, INTERMEDIATE);
}

static void one_sgemm(struct arrays *a)
{
    sgemm(a, TOKENS, HIDDEN, HIDDEN);
}

static void head_sgemm(struct arrays *a)
{
    sgemm(a, HEAD_TOKENS, VOCABULARY, HIDDEN);
}

// Runs both in turn and prints their rates; *_work in floating-point operations.
static void compare(const struct bench *bench, const char *name, struct arrays *a,
                    void (*ours)(struct arrays *), double our_work, void (*peer)(struct arrays *),
                    double peer_work, double aim)
{
    double rates[REPETITIONS], peer_rates[REPETITIONS];

    for (size_t i = 0; i < REPETITIONS; i++) {
        double start = bench_seconds();
        peer(a);
        peer_rates[i] = 1e-9 * peer_work / (bench_seconds() - start);
        start = bench_seconds();
        ours(a);
        rates[i] = 1e-9 * our_work / (bench_seconds() - start);
    }
    bench_print(bench, name, bench_median(rates, REPETITIONS), "GF/s", bench_median(peer_rates, REPETITIONS),
                aim, true);
}

int main(int argc, char **argv)
{
    static struct arrays a;
    const struct bench bench = bench_begin(argc, argv);
    const double tokens = TOKENS, hidden = HIDDEN;
    const double linears = 2.0 * tokens * (4.0 * hidden * hidden + 3.0 * hidden * INTERMEDIATE);
    const double causal =
        2.0 * tokens * (tokens + 1.0) * hidden; // scores and values of the keys that are seen
    const double logits = 2.0 * HEAD_TOKENS * hidden * VOCABULARY;

    create(&a);
    compare(&bench, "decoder layer, LLaMA-7B, 2048 tokens / sgemm", &a, layer, linears + causal, layer_sgemm,
            linears, 0.7);
    compare(&bench, "attention, 32 heads, 2048 tokens / sgemm", &a, attention, causal, one_sgemm,
            2.0 * tokens * hidden * hidden, NAN);
    compare(&bench, "log-likelihood, 32000 words bf16, 512 tokens / sgemm", &a, head, logits, head_sgemm,
            logits, NAN);
    return 0;
}
