// bench_threads.c - two threads of a rank, and two ranks, beside one: the forward pass of a layer of
// LLaMA-7B, its linears' products alone, and its parts; shares with 2048 tokens, the rest with 512. By the
// clock, but for the shares, so that other programs disturb it. Two cores that share a core's arithmetic are
// no two: what two processes with products alone reach is the limit.
#include "kernels/forward/activation.h"
#include "kernels/forward/attention.h"
#include "kernels/gemm.h"
#include "kernels/pruning/masks/statistics.h"
#include "kernels/threads.h"
#include "tests/bench/llama_layer.h"
#include "tests/bench/sgemm.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOKENS = 2048, FEWER_TOKENS = 512, THREADS = 2 };

struct arrays {
    struct decoder_config config;
    struct decoder_layer layer;
    struct rotary_table rotary;
    float *weights, *ones, *angles, *state, *out, *workspace;
    double *sums; // [3, INTERMEDIATE]
    size_t tokens;
};

static void create(struct arrays *a)
{
    a->weights = new_floats((size_t)INTERMEDIATE * HIDDEN);
    a->ones = new_floats(INTERMEDIATE);
    a->angles = new_floats((size_t)TOKENS * HEAD_DIM / 2);
    a->state = new_floats((size_t)TOKENS * INTERMEDIATE);
    a->out = new_floats((size_t)TOKENS * INTERMEDIATE);
    a->sums = calloc(3 * INTERMEDIATE, sizeof *a->sums);
    llama_layer(&a->config, &a->layer, a->weights, a->ones);
    a->rotary = (struct rotary_table){.tokens = TOKENS, .cosine = a->angles, .sine = a->angles};
    a->tokens = TOKENS;
    threads_set(THREADS);
    a->workspace = new_floats(decoder_workspace_size(&a->config, TOKENS));
}

// ---- what is timed ----------------------------------------------------------------------------------------

static void add_sums(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    const struct arrays *a = context;

    (void)source;
    channel_sums(a->sums, a->sums + channels, a->sums + 2 * channels, x, tokens, channels);
}

// As calibration does it.
static void run_layer(void *context)
{
    struct arrays *a = context;
    const struct decoder_observer observer = {.context = a, .input = add_sums};

    decoder_layer_forward(&a->config, &a->layer, &a->rotary, a->state, a->tokens, a->workspace, &observer);
}

static void run_products(void *context)
{
    const struct arrays *a = context;
    const struct linear *linears[] = {&a->layer.q,    &a->layer.k,  &a->layer.v,   &a->layer.o,
                                      &a->layer.gate, &a->layer.up, &a->layer.down};

    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++)
        linear_forward(a->out, linears[i]->out, linears[i], a->state, a->tokens);
}

static void run_attention(void *context)
{
    const struct arrays *a = context;
    const struct attention attention = {.num_heads = HEADS,
                                        .num_key_value_heads = HEADS,
                                        .head_dim = HEAD_DIM,
                                        .query = a->out,
                                        .key = a->out + HIDDEN,
                                        .value = a->out + HIDDEN,
                                        .token_stride = 2 * HIDDEN,
                                        .query_head_stride = HEAD_DIM,
                                        .key_value_head_stride = HEAD_DIM,
                                        .scale = 0.088F};

    attention_forward(a->state, &attention, a->tokens, a->workspace);
}

static void run_norms(void *context)
{
    const struct arrays *a = context;

    norm_forward(a->out, a->state, a->tokens, HIDDEN, &a->layer.input_norm, NORM_RMS, 1e-5F);
    norm_forward(a->out, a->state, a->tokens, HIDDEN, &a->layer.input_norm, NORM_RMS, 1e-5F);
}

static void run_rotary(void *context)
{
    const struct arrays *a = context;
    const struct heads heads = {a->out, a->tokens, (size_t)3 * HIDDEN / 2, 2 * HEADS, HEAD_DIM / 2};

    rotary_forward(&heads, HEAD_DIM / 2, a->angles, a->angles);
    rotary_forward(&heads, HEAD_DIM / 2, a->angles, a->angles);
}

static void run_gate(void *context)
{
    const struct arrays *a = context;

    activation_gate(a->out, INTERMEDIATE, a->state, INTERMEDIATE, a->tokens, INTERMEDIATE, ACTIVATION_SILU);
}

static void run_sums(void *context)
{
    struct arrays *a = context;

    for (size_t source = 0; source < 3; source++)
        add_sums(a, source, a->state, a->tokens, HIDDEN);
    add_sums(a, 3, a->state, a->tokens, INTERMEDIATE);
}

// ---- one and two
// --------------------------------------------------------------------------------------------

struct trial {
    const char *name;
    void (*run)(void *context);
    double aim;
};

static double time_once(const struct trial *trial, struct arrays *a)
{
    const double start = bench_seconds();

    trial->run(a);
    return bench_seconds() - start;
}

// Runs it again and again beside this process, until it is ended.
static pid_t start_neighbour(const struct trial *trial, struct arrays *a)
{
    const pid_t child = fork();

    if (child != 0)
        return child;
    for (;;)
        trial->run(a);
}

static void stop_neighbour(pid_t neighbour)
{
    if (neighbour <= 0)
        return;
    (void)kill(neighbour, SIGKILL);
    (void)waitpid(neighbour, NULL, 0);
}

enum { ROUNDS = 3 };

static void print_two(const struct bench *bench, const struct trial *trial, const char *which, double *two,
                      double *one)
{
    char name[96];

    snprintf(name, sizeof name, "%s, %s: runs a second / twice one", trial->name, which);
    bench_print(bench, name, THREADS / bench_median(two, ROUNDS), "1/s", THREADS / bench_median(one, ROUNDS),
                trial->aim, true);
}

static void compare_threads(const struct bench *bench, const struct trial *trial, struct arrays *a)
{
    double one[ROUNDS], two[ROUNDS];

    trial->run(a);
    for (size_t i = 0; i < ROUNDS; i++) {
        threads_set(1);
        one[i] = time_once(trial, a);
        threads_set(THREADS);
        two[i] = time_once(trial, a) * THREADS;
    }
    print_two(bench, trial, "1 rank x 2 threads", two, one);
}

static void compare_ranks(const struct bench *bench, const struct trial *trial, struct arrays *a)
{
    double one[ROUNDS], two[ROUNDS];

    threads_set(1);
    trial->run(a);
    for (size_t i = 0; i < ROUNDS; i++) {
        one[i] = time_once(trial, a);
        const pid_t neighbour = start_neighbour(trial, a);
        (void)time_once(trial, a); // until it is at work
        two[i] = time_once(trial, a);
        stop_neighbour(neighbour);
    }
    print_two(bench, trial, "2 ranks x 1 thread", two, one);
}

static double processor_time(const struct trial *trial, struct arrays *a)
{
    const double start = bench_processor_seconds();

    trial->run(a);
    return bench_processor_seconds() - start;
}

// What a part takes of the layer's time, on one thread, in processor time.
static void print_share(const struct bench *bench, const struct trial *part, double layer, struct arrays *a)
{
    double times[ROUNDS];
    char name[96];

    threads_set(1);
    const double once = processor_time(part, a);
    for (size_t i = 0; i < ROUNDS; i++)
        times[i] = once > 1 ? once : processor_time(part, a);
    snprintf(name, sizeof name, "%s: share of the layer's time", part->name);
    bench_print(bench, name, bench_median(times, ROUNDS), "s", layer, NAN, false);
}

int main(int argc, char **argv)
{
    const struct trial layer = {"layer", run_layer, 0.95}, products = {"products alone", run_products, NAN};
    const struct trial layer_in_threads = {"layer", run_layer, 0.93};
    const struct trial parts[] = {
        {"products", run_products, NAN}, {"attention", run_attention, NAN},
        {"norms", run_norms, NAN},       {"rotary positions", run_rotary, NAN},
        {"gate", run_gate, NAN},         {"channel sums", run_sums, NAN},
    };
    const struct bench bench = bench_begin(argc, argv);
    struct arrays a = {0};

    create(&a);
    threads_set(1);
    const double seconds = processor_time(&layer, &a);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        print_share(&bench, &parts[i], seconds, &a);
    a.tokens = FEWER_TOKENS;
    compare_ranks(&bench, &layer, &a);
    compare_ranks(&bench, &products, &a);
    compare_threads(&bench, &layer_in_threads, &a);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        compare_threads(&bench, &parts[i], &a);
    free(a.weights);
    free(a.ones);
    free(a.angles);
    free(a.state);
    free(a.out);
    free(a.workspace);
    free(a.sums);
    return 0;
}
