// wrap: pthread_create
// How work is cut for threads, and that every kernel that is cut gives the same bits for any number of them.
// Sizes are those at which several threads get a piece.
#include "kernels/dtype.h"
#include "kernels/forward/activation.h"
#include "kernels/forward/attention.h"
#include "kernels/forward/embedding.h"
#include "kernels/forward/experts.h"
#include "kernels/forward/linear_attention.h"
#include "kernels/forward/logits.h"
#include "kernels/forward/norm.h"
#include "kernels/forward/rotary.h"
#include "kernels/gemm.h"
#include "kernels/pruning/energy.h"
#include "kernels/pruning/masks/importance.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/masks/statistics.h"
#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/gram.h"
#include "kernels/pruning/solving/least_squares.h"
#include "kernels/pruning/solving/second_order.h"
#include "kernels/threads.h"
#include "tests/support/naive.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_THREADS = 3 };

// ---- the cut ---------------------------------------------------------------------------------------------

enum { ITEMS = 1003, GRAIN = 7 };

struct count {
    atomic_int *calls, *busy; // of each item; of each thread
    atomic_int *wrong;
    size_t grain;
};

static void count_items(const void *context, size_t first, size_t count, size_t thread)
{
    const struct count *all = context;

    if (thread >= threads_count() || atomic_fetch_add(&all->busy[thread], 1) != 0 ||
        (count > all->grain && threads_count() > 1) || count == 0)
        atomic_fetch_add(all->wrong, 1);
    for (size_t i = first; i < first + count; i++)
        atomic_fetch_add(&all->calls[i], 1);
    atomic_fetch_sub(&all->busy[thread], 1);
}

static void every_item_is_done_once_and_no_thread_has_two_pieces_at_a_time(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 5; threads++) {
        atomic_int calls[ITEMS] = {0}, busy[5] = {0}, wrong = 0;
        const struct count all = {calls, busy, &wrong, GRAIN};
        int jobs = 0;

        threads_set(threads);
        assert_int_equal(threads_count(), threads);
        for (size_t items = 0; items <= ITEMS; items += 59, jobs++)
            threads_share(items, GRAIN, count_items, &all);
        assert_int_equal(wrong, 0);
        for (size_t i = 0, expected = (size_t)jobs - 1; i + 59 < ITEMS; i++) {
            if (i > 0 && i % 59 == 0)
                expected--;
            assert_int_equal(calls[i], expected);
        }
    }
    threads_set(1);
}

// Waits until two threads are within.
static void meet(const void *context, size_t first, size_t count, size_t thread)
{
    atomic_int *present = *(atomic_int *const *)context;

    (void)first;
    (void)thread;
    atomic_fetch_add(present, (int)count);
    while (atomic_load(present) < 2)
        usleep(100);
}

struct nest {
    const struct count *inner;
    atomic_int *pieces, *present;
};

static void share_again(const void *context, size_t first, size_t count, size_t thread)
{
    const struct nest *nest = context;

    meet(&nest->present, first, count, thread);
    for (size_t i = 0; i < count; i++) {
        atomic_int busy[MOST_THREADS] = {1, 1, 1};
        struct count inner = *nest->inner;
        busy[thread] = 0; // within a piece there is this thread alone
        inner.busy = busy;
        inner.grain = ITEMS;
        threads_share(ITEMS, GRAIN, count_items, &inner);
        atomic_fetch_add(nest->pieces, 1);
    }
}

static void work_within_work_is_done_by_the_thread_that_asks(void **state)
{
    (void)state;
    atomic_int calls[ITEMS] = {0}, wrong = 0, pieces = 0, present = 0;
    const struct count inner = {calls, NULL, &wrong, ITEMS};

    threads_set(MOST_THREADS);
    assert_int_equal(threads_start(NULL), STATUS_OK);
    threads_share(10, 1, share_again, &(struct nest){&inner, &pieces, &present});
    threads_set(1);
    assert_int_equal(pieces, 10);
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(calls[i], 10);
}

static void threads_run_at_the_same_time_also_in_a_child(void **state)
{
    (void)state;
    atomic_int present = 0;
    const atomic_int *context = &present;
    int status;

    threads_set(2);
    assert_int_equal(threads_start(NULL), STATUS_OK);
    threads_share(2, 1, meet, &context);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        present = 0;
        threads_share(2, 1, meet, &context);
        _exit(atomic_load(&present));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    threads_set(1);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

struct signals {
    atomic_int *present;
    atomic_int *faults, *others; // blocked in a helper
};

static void look_at_signals(const void *context, size_t first, size_t count, size_t thread)
{
    const struct signals *signals = context;
    sigset_t blocked;

    meet(&signals->present, first, count, thread);
    if (thread == 0)
        return;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    atomic_store(signals->faults, sigismember(&blocked, SIGBUS) + sigismember(&blocked, SIGSEGV));
    atomic_store(signals->others, sigismember(&blocked, SIGTERM) + sigismember(&blocked, SIGUSR1));
}

// A file that is cut short is a SIGBUS in the thread that reads it; what is sent to the program goes to
// others.
static void helpers_take_the_signals_of_their_own_faults_alone(void **state)
{
    (void)state;
    atomic_int present = 0, faults = -1, others = -1;

    threads_set(2);
    assert_int_equal(threads_start(NULL), STATUS_OK);
    threads_share(2, 1, look_at_signals, &(struct signals){&present, &faults, &others});
    threads_set(1);
    assert_int_equal(faults, 0);
    assert_int_equal(others, 2);
}

static bool no_more_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument)
{
    return no_more_threads ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

// The work is done by those that there are.
static void threads_that_cannot_be_started_are_an_error(void **state)
{
    (void)state;
    atomic_int calls[ITEMS] = {0}, busy[9] = {0}, wrong = 0;
    const struct count all = {calls, busy, &wrong, GRAIN};
    struct error err;

    no_more_threads = true;
    threads_set(9);
    assert_int_equal(threads_start(&err), STATUS_MEMORY);
    threads_share(ITEMS, GRAIN, count_items, &all);
    threads_set(1);
    no_more_threads = false;
    assert_non_null(strstr(err.message, " of 9 threads could be started"));
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(calls[i], 1);
}

// ---- kernels ---------------------------------------------------------------------------------------------

enum { TOKENS = 300, HEADS = 6, KEY_HEADS = 2, HEAD = 64, WIDTH = HEADS * HEAD, WORDS = 2500 };
enum { VALUES = TOKENS * WIDTH, WEIGHTS = WORDS * WIDTH, SUMS = WIDTH * WIDTH };

// What each kernel reads, and room for what it writes.
struct inputs {
    float *x, *y, *weights, *workspace;
    double *sums;
    uint16_t *halves;
    int32_t *ids;
    uint8_t *mask; // of x
};

// Nothing that an earlier run wrote must pass for this one's.
static void forget(const struct inputs *in)
{
    memset(in->sums, 0xff, SUMS * sizeof *in->sums);
    memset(in->halves, 0xff, VALUES * sizeof *in->halves);
}

// Fills result[VALUES] floats, or fewer.
typedef void kernel(float *result, const struct inputs *in);

static struct norm norm_of(const struct inputs *in)
{
    return (struct norm){.weight = in->weights};
}

static void norms(float *result, const struct inputs *in)
{
    const struct norm norm = norm_of(in);
    norm_forward(result, in->x, TOKENS, WIDTH, &norm, NORM_LAYER, 1e-5F);
}

static struct heads heads_of(float *data)
{
    return (struct heads){data, TOKENS, WIDTH, HEADS, HEAD};
}

static void head_norms(float *result, const struct inputs *in)
{
    const struct heads heads = heads_of(result);
    const struct norm norm = norm_of(in);
    norm_heads(&heads, HEAD, &norm, NORM_RMS, 1e-5F);
}

static void rotary(float *result, const struct inputs *in)
{
    const struct heads heads = heads_of(result);
    rotary_forward(&heads, HEAD, in->x, in->y);
}

static void rotary_interleaved(float *result, const struct inputs *in)
{
    const struct heads heads = heads_of(result);
    rotary_forward_interleaved(&heads, HEAD, in->x, in->y);
}

static void activation(float *result, const struct inputs *in)
{
    (void)in;
    activation_forward(result, VALUES, ACTIVATION_GELU);
}

static void gate(float *result, const struct inputs *in)
{
    activation_gate(result, WIDTH, in->y, WIDTH, TOKENS, WIDTH, ACTIVATION_SILU);
}

static void attention(float *result, const struct inputs *in)
{
    const struct attention attention = {.num_heads = HEADS,
                                        .num_key_value_heads = KEY_HEADS,
                                        .head_dim = HEAD,
                                        .query = in->x,
                                        .key = in->y,
                                        .value = in->y + (size_t)KEY_HEADS * HEAD,
                                        .token_stride = WIDTH,
                                        .query_head_stride = HEAD,
                                        .key_value_head_stride = HEAD,
                                        .scale = 0.125F,
                                        .sliding_window = 270};
    attention_forward(result, &attention, TOKENS, in->workspace);
}

static void linear_with_bias(float *result, const struct inputs *in)
{
    const struct linear linear = {.out = WIDTH, .in = WIDTH, .weight = in->weights, .bias = in->y};
    linear_forward(result, WIDTH, &linear, in->x, TOKENS);
}

static void products_in_double(float *result, const struct inputs *in)
{
    enum { N = 160 };
    double *a = in->sums, *c = a + (size_t)N * N;

    for (size_t i = 0; i < (size_t)N * N; i++) {
        a[i] = (double)in->x[i] / 3;
        c[i] = 1;
    }
    gemm_subtract_f64(c, N, a, N, a, N, N, N, N);
    memcpy(result, c, sizeof(double) * N * N);
}

static void products_of_columns(float *result, const struct inputs *in)
{
    gemm_tn(result, 256, in->x, WIDTH, in->y, WIDTH, 256, 256, TOKENS);
}

static void channels(float *result, const struct inputs *in)
{
    channel_sums(in->sums, in->sums + WIDTH, in->sums + 2 * (size_t)WIDTH, in->x, TOKENS, WIDTH);
    memcpy(result, in->sums, 3 * WIDTH * sizeof *in->sums);
}

static void embedding(float *result, const struct inputs *in)
{
    const struct embedding embedding = {
        .table = in->weights, .dtype = DTYPE_F32, .hidden_size = WIDTH, .scale = 2.0F};
    embedding_forward(result, &embedding, in->ids, TOKENS);
}

static struct lm_head head_of(const struct inputs *in)
{
    return (struct lm_head){.weight = in->weights,
                            .dtype = DTYPE_F32,
                            .vocab_size = WORDS,
                            .hidden_size = WIDTH,
                            .norm = norm_of(in),
                            .norm_epsilon = 1e-5F,
                            .bias = in->y,
                            .logit_soft_cap = 30.0F};
}

static void log_likelihoods(float *result, const struct inputs *in)
{
    const struct lm_head head = head_of(in);
    lm_head_log_likelihood((double *)(void *)result, (int32_t *)(void *)(result + 2 * TOKENS), &head, in->x,
                           in->ids, TOKENS, in->workspace);
}

static void comparison(float *result, const struct inputs *in)
{
    const struct lm_head head = head_of(in);
    struct lm_comparison comparison = {.hidden = in->y};
    lm_head_compare(&comparison, 1, &head, in->x, in->ids, TOKENS, in->workspace);
    memcpy(result, &comparison.divergence, 2 * sizeof(double));
}

static void conversions(float *result, const struct inputs *in)
{
    dtype_from_f32(in->halves, in->x, DTYPE_BF16, VALUES);
    for (size_t i = 0; i < VALUES; i++)
        in->sums[i] = (double)in->x[i] * (double)in->y[i];
    dtype_to_f32(result, in->halves, DTYPE_BF16, VALUES / 2);
    dtype_from_f64(in->halves, in->sums, DTYPE_F16, VALUES);
    dtype_to_f32(result + VALUES / 2, in->halves, DTYPE_F16, VALUES / 2);
}

static void first_of_several_that_are_not_finite(float *result, const struct inputs *in)
{
    float *y = in->y;
    const float kept[] = {y[40000], y[90000], y[VALUES - 1]};
    y[40000] = y[90000] = y[VALUES - 1] = 1.0F / 0.0F;
    const size_t found = find_non_finite(y, VALUES);
    y[40000] = kept[0], y[90000] = kept[1], y[VALUES - 1] = kept[2];
    assert_int_equal(found, 40000);
    assert_int_equal(find_non_finite(y, VALUES), VALUES);
    memcpy(result, &found, sizeof found);
}

enum { STATES = 32 }; // channels of a head

static struct linear_attention_config recurrent_config(void)
{
    return (struct linear_attention_config){.num_key_heads = 2,
                                            .num_value_heads = 4,
                                            .key_head_dim = STATES,
                                            .value_head_dim = STATES,
                                            .taps = 4,
                                            .activation = ACTIVATION_SILU,
                                            .norm_epsilon = 1e-5F};
}

static void linear_attention(float *result, const struct inputs *in)
{
    const struct linear_attention_config config = recurrent_config();
    const size_t key = 2 * (size_t)STATES, value = 4 * (size_t)STATES;
    const struct linear_attention attention = {
        .qkv = {.out = 2 * key + value, .in = WIDTH, .weight = in->weights},
        .z = {.out = value, .in = WIDTH, .weight = in->weights + WIDTH},
        .b = {.out = 4, .in = WIDTH, .weight = in->y},
        .a = {.out = 4, .in = WIDTH, .weight = in->y + 4 * (size_t)WIDTH},
        .convolution = in->y,
        .a_log = in->x,
        .dt_bias = in->x + 4,
        .norm = norm_of(in)};
    const struct token_tree tree = {TOKENS, 0, NULL};
    linear_attention_forward(result, &attention, &config, in->x, &tree, in->workspace);
}

enum { EXPERTS = 3, CHOSEN = 2, INNER = 96 };

static void mixture_of_experts(float *result, const struct inputs *in)
{
    const struct linear wide = {.out = INNER, .in = WIDTH, .weight = in->weights};
    const struct experts experts = {
        .router = {.linear = {.out = EXPERTS, .in = WIDTH, .weight = in->y},
                   .num_experts = EXPERTS,
                   .num_experts_per_tok = CHOSEN},
        .first = {.gate = wide,
                  .up = {.out = INNER, .in = WIDTH, .weight = in->weights + WIDTH},
                  .down = {.out = WIDTH, .in = INNER, .weight = in->weights},
                  .activation = ACTIVATION_SILU},
        .stride = (size_t)INNER * WIDTH};
    assert_true(experts_forward(result, &experts, in->x, TOKENS, in->workspace, NULL, 0));
}

// ---- pruning: x is a weight [TOKENS, WIDTH]

static void columns_of_a_weight(float *result, const struct inputs *in)
{
    double *sums = in->sums;
    const struct column_moments moments = {sums, sums + WIDTH, sums + 2 * (size_t)WIDTH};
    const struct matrix_view weight = {in->x, TOKENS, WIDTH, WIDTH};
    column_moments(&moments, &weight);
    memcpy(result, sums, 3 * WIDTH * sizeof *sums);
}

static void energies_of_columns(float *result, const struct inputs *in)
{
    double *sums = in->sums;
    const struct energy_clamp clamp = {0.1, 10, 0};
    const struct linear_view linear = {TOKENS, WIDTH, in->x, in->y, in->mask};
    const struct column_energies columns = {sums, sums + WIDTH, sums + 2 * (size_t)WIDTH,
                                            sums + 3 * (size_t)WIDTH};
    energy_columns(&columns, &linear, 3, WIDTH - 3, &clamp);
    memcpy(result, sums, (4 * WIDTH - 3) * sizeof *sums);
}

static void products_of_inputs(float *result, const struct inputs *in)
{
    enum { ROWS = 150 };
    double *sums = in->sums;

    memset(sums, 0, SUMS * sizeof *sums);
    hessian_add(sums, in->workspace, in->x, TOKENS, WIDTH, 0, ROWS);
    const struct gram_tile tile = gram_tile_at(WIDTH, 0, 0);
    gram_add(sums, in->workspace, in->x, in->y, ROWS, WIDTH, &tile);
    memcpy(result, sums, (size_t)ROWS * WIDTH * sizeof *sums);
}

// G = I + a rank of one.
static void make_equations(struct normal_equations *equations, double *g)
{
    for (size_t j = 0; j < WIDTH; j++)
        for (size_t k = 0; k < WIDTH; k++)
            g[j * WIDTH + k] = (j == k ? 1 : 0) + 0.01 * (double)(j % 7) * (double)(k % 7);
    normal_equations_scale(equations);
    normal_equations_fill(equations, 0, WIDTH);
}

static void least_squares(float *result, const struct inputs *in)
{
    enum { ROWS = 100 };
    struct least_squares_outcome outcomes[ROWS];
    double *g = calloc((size_t)WIDTH * WIDTH, sizeof *g),
           *target = calloc((size_t)ROWS * WIDTH, sizeof *target);
    double *wide = calloc((size_t)ROWS * WIDTH, sizeof *wide);
    double *workspace = calloc(least_squares_workspace(WIDTH), sizeof *workspace);
    double scale[WIDTH];
    float *scaled = calloc((size_t)WIDTH * WIDTH, sizeof *scaled);
    struct normal_equations equations = {WIDTH, 0.01, g, NULL, scale, scaled};
    const struct least_squares_rows rows = {ROWS, target, in->mask, in->y};
    const struct least_squares_limits limits = {.steps = 10};

    make_equations(&equations, g);
    least_squares_target(target, &equations, in->x, ROWS, wide);
    assert_true(least_squares_rows(result, outcomes, &equations, &rows, &limits, workspace));
    memcpy(result + (size_t)ROWS * WIDTH, outcomes, sizeof outcomes);
    free(g);
    free(target);
    free(wide);
    free(workspace);
    free(scaled);
}

static void splitting(float *result, const struct inputs *in)
{
    enum { ROWS = 120 };
    double *g = calloc((size_t)WIDTH * WIDTH, sizeof *g), scale[WIDTH];
    float *scaled = calloc((size_t)WIDTH * WIDTH, sizeof *scaled);
    float *inverse = uniform_floats((size_t)2 * WIDTH * WIDTH, 1.0F, 9);
    float *workspace = calloc(admm_workspace(WIDTH), sizeof *workspace);
    float *scores = calloc((size_t)MOST_THREADS * WIDTH, sizeof *scores);
    uint8_t *mask = calloc(ROWS, mask_row_bytes(WIDTH));
    struct normal_equations equations = {WIDTH, 0.01, g, NULL, scale, scaled};
    const struct admm_rows rows = {ROWS, in->x, result, mask, NULL};

    make_equations(&equations, g);
    admm_begin(&rows, &equations);
    admm_select(&rows, WIDTH, &(struct admm_selection){.prune = WIDTH / 2}, scores);
    admm_step(&rows, &equations, inverse, &(struct admm_penalty){0.1, 0.05}, workspace);
    memcpy(result + (size_t)ROWS * WIDTH, mask, ROWS * mask_row_bytes(WIDTH));
    free(g);
    free(scaled);
    free(inverse);
    free(workspace);
    free(scores);
    free(mask);
}

static const struct {
    const char *name;
    kernel *run;
} kernels[] = {
    {"norms", norms},
    {"norms of heads", head_norms},
    {"rotary", rotary},
    {"rotary, interleaved", rotary_interleaved},
    {"activation", activation},
    {"gate", gate},
    {"attention", attention},
    {"linear attention", linear_attention},
    {"experts", mixture_of_experts},
    {"linear with bias", linear_with_bias},
    {"products in double", products_in_double},
    {"products of columns", products_of_columns},
    {"channel sums", channels},
    {"embedding", embedding},
    {"log-likelihoods", log_likelihoods},
    {"comparison", comparison},
    {"conversions", conversions},
    {"not finite", first_of_several_that_are_not_finite},
    {"columns of a weight", columns_of_a_weight},
    {"energies of columns", energies_of_columns},
    {"products of inputs", products_of_inputs},
    {"least squares", least_squares},
    {"splitting", splitting},
};

static void bits_are_those_of_one_thread(void **state)
{
    (void)state;
    struct inputs in = {.x = uniform_floats(VALUES, 1.0F, 1),
                        .y = uniform_floats(VALUES, 1.0F, 2),
                        .weights = uniform_floats(WEIGHTS, 1.0F, 3),
                        .sums = calloc(SUMS, sizeof(double)),
                        .halves = calloc(VALUES, sizeof(uint16_t)),
                        .ids = calloc(TOKENS, sizeof(int32_t)),
                        .mask = calloc(TOKENS, mask_row_bytes(WIDTH))};
    const struct lm_head head = head_of(&in);
    const struct attention sizes = {.num_heads = HEADS, .head_dim = HEAD};
    const struct linear_attention_config recurrent = recurrent_config();

    for (size_t t = 0; t < TOKENS; t++)
        in.ids[t] = (int32_t)(t * 7919 % WORDS);
    for (size_t i = 0; i < TOKENS * mask_row_bytes(WIDTH); i++)
        in.mask[i] = (uint8_t)(i * 37 + i / 100);
    threads_set(MOST_THREADS);
    in.workspace = calloc(lm_head_workspace_size(&head, TOKENS) + attention_workspace_size(&sizes, TOKENS) +
                              lm_head_compare_workspace_size(&head, 1, TOKENS) +
                              linear_attention_workspace_size(&recurrent, TOKENS) +
                              experts_workspace_size(EXPERTS, CHOSEN, WIDTH, INNER, TOKENS),
                          sizeof(float));
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
        float *one = uniform_floats(VALUES, 1.0F, 4);
        threads_set(1);
        forget(&in);
        kernels[k].run(one, &in);
        for (size_t threads = 2; threads <= MOST_THREADS; threads++) {
            float *result = uniform_floats(VALUES, 1.0F, 4);
            threads_set(threads);
            forget(&in);
            kernels[k].run(result, &in);
            if (memcmp(one, result, VALUES * sizeof *one) != 0)
                fail_msg("%s: other bits with %zu threads", kernels[k].name, threads);
            free(result);
        }
        free(one);
    }
    threads_set(1);
    free(in.x);
    free(in.y);
    free(in.weights);
    free(in.workspace);
    free(in.sums);
    free(in.halves);
    free(in.ids);
    free(in.mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once_and_no_thread_has_two_pieces_at_a_time),
        cmocka_unit_test(work_within_work_is_done_by_the_thread_that_asks),
        cmocka_unit_test(helpers_take_the_signals_of_their_own_faults_alone),
        cmocka_unit_test(threads_run_at_the_same_time_also_in_a_child),
        cmocka_unit_test(threads_that_cannot_be_started_are_an_error),
        cmocka_unit_test(bits_are_those_of_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
