// Linear attention against plain loops in double, in both layouts of its projections, and in trees.
#include "kernels/forward/linear_attention.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 100, IN = 12, KEY_HEADS = 2, VALUE_HEADS = 6, KEY_DIM = 5, VALUE_DIM = 3, TAPS = 3 };
enum { SHARED = VALUE_HEADS / KEY_HEADS, K = KEY_HEADS * KEY_DIM, V = VALUE_HEADS * VALUE_DIM };
enum { MIXED = 2 * K + V };

static const struct linear_attention_config config = {.num_key_heads = KEY_HEADS,
                                                      .num_value_heads = VALUE_HEADS,
                                                      .key_head_dim = KEY_DIM,
                                                      .value_head_dim = VALUE_DIM,
                                                      .taps = TAPS,
                                                      .activation = ACTIVATION_GELU_TANH,
                                                      .norm_epsilon = 0.01F};

static struct linear random_linear(size_t out, uint64_t seed)
{
    return (struct linear){.out = out, .in = IN, .weight = uniform_floats(out * IN, 0.6F, seed)};
}

// With linears of their own.
static struct linear_attention random_attention(void)
{
    return (struct linear_attention){.qkv = random_linear(MIXED, 1),
                                     .z = random_linear(V, 2),
                                     .b = random_linear(VALUE_HEADS, 3),
                                     .a = random_linear(VALUE_HEADS, 4),
                                     .convolution = uniform_floats(MIXED * TAPS, 1.0F, 5),
                                     .a_log = uniform_floats(VALUE_HEADS, 2.0F, 6),
                                     .dt_bias = uniform_floats(VALUE_HEADS, 2.0F, 7),
                                     .norm = {.weight = uniform_floats(VALUE_DIM, 1.0F, 8)}};
}

// Appends rows of `from` to `to`, which is large enough.
static void append_rows(struct linear *to, const struct linear *from, size_t first, size_t count)
{
    memcpy((float *)to->weight + to->out * IN, from->weight + first * IN, count * IN * sizeof(float));
    to->out += count;
}

// The same with fused linears: key head by key head.
static struct linear_attention fuse(const struct linear_attention *attention)
{
    struct linear_attention fused = *attention;
    fused.qkv = fused.z = fused.b = fused.a = (struct linear){0};
    fused.qkvz = random_linear(MIXED + V, 0);
    fused.ba = random_linear(2 * VALUE_HEADS, 0);
    fused.qkvz.out = fused.ba.out = 0;
    for (size_t h = 0; h < KEY_HEADS; h++) {
        append_rows(&fused.qkvz, &attention->qkv, h * KEY_DIM, KEY_DIM);
        append_rows(&fused.qkvz, &attention->qkv, K + h * KEY_DIM, KEY_DIM);
        append_rows(&fused.qkvz, &attention->qkv, 2 * K + h * SHARED * VALUE_DIM, SHARED * VALUE_DIM);
        append_rows(&fused.qkvz, &attention->z, h * SHARED * VALUE_DIM, SHARED * VALUE_DIM);
        append_rows(&fused.ba, &attention->b, h * SHARED, SHARED);
        append_rows(&fused.ba, &attention->a, h * SHARED, SHARED);
    }
    return fused;
}

static void free_attention(struct linear_attention *attention)
{
    const struct linear *linears[] = {&attention->qkv, &attention->z, &attention->b, &attention->a};
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
        free((void *)linears[i]->weight);
    free((void *)attention->convolution);
    free((void *)attention->a_log);
    free((void *)attention->dt_bias);
    free((void *)attention->norm.weight);
}

// ---- the oracle ------------------------------------------------------------------------------------------

static double product(const struct linear *linear, size_t row, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < IN; i++)
        sum += (double)linear->weight[row * IN + i] * (double)x[i];
    return sum;
}

// Channel c of query, key and value at token t, after convolution and activation.
static double convolved(const struct linear_attention *attention, const float *x, size_t t, size_t c)
{
    double sum = 0;
    for (size_t k = 0; k < TAPS && k <= t; k++)
        sum += (double)attention->convolution[c * TAPS + TAPS - 1 - k] *
               product(&attention->qkv, c, x + (t - k) * IN);
    return naive_activation(sum, config.activation);
}

static void unit_vector(double *out, const struct linear_attention *attention, const float *x, size_t t,
                        size_t first)
{
    double sum = 1e-6;
    for (size_t i = 0; i < KEY_DIM; i++) {
        out[i] = convolved(attention, x, t, first + i);
        sum += out[i] * out[i];
    }
    for (size_t i = 0; i < KEY_DIM; i++)
        out[i] /= sqrt(sum);
}

// One token of one head; out[VALUE_DIM].
static void naive_token(float *out, double state[KEY_DIM][VALUE_DIM],
                        const struct linear_attention *attention, const float *x, size_t t, size_t head)
{
    double q[KEY_DIM], k[KEY_DIM], o[VALUE_DIM], mean = 0;
    const double a = product(&attention->a, head, x + t * IN) + (double)attention->dt_bias[head];
    const double decay = exp(-exp((double)attention->a_log[head]) * log(1 + exp(a)));
    const double beta = 1 / (1 + exp(-product(&attention->b, head, x + t * IN)));

    unit_vector(q, attention, x, t, head / SHARED * KEY_DIM);
    unit_vector(k, attention, x, t, K + head / SHARED * KEY_DIM);
    for (size_t j = 0; j < VALUE_DIM; j++) {
        double found = 0;
        for (size_t i = 0; i < KEY_DIM; i++)
            found += decay * state[i][j] * k[i];
        const double v = convolved(attention, x, t, 2 * K + head * VALUE_DIM + j);
        o[j] = 0;
        for (size_t i = 0; i < KEY_DIM; i++) {
            state[i][j] = decay * state[i][j] + k[i] * beta * (v - found);
            o[j] += state[i][j] * q[i] / sqrt(KEY_DIM);
        }
        mean += o[j] * o[j] / VALUE_DIM;
    }
    for (size_t j = 0; j < VALUE_DIM; j++) {
        const double z = product(&attention->z, head * VALUE_DIM + j, x + t * IN);
        out[j] = (float)(o[j] / sqrt(mean + (double)config.norm_epsilon) * (double)attention->norm.weight[j] *
                         z / (1 + exp(-z)));
    }
}

static void naive_forward(float *out, const struct linear_attention *attention, const float *x)
{
    for (size_t head = 0; head < VALUE_HEADS; head++) {
        double state[KEY_DIM][VALUE_DIM] = {{0}};
        for (size_t t = 0; t < TOKENS; t++)
            naive_token(out + t * V + head * VALUE_DIM, state, attention, x, t, head);
    }
}

// ---- the tests -------------------------------------------------------------------------------------------

static void run(float *out, const struct linear_attention *attention, const float *x,
                const struct token_tree *tree)
{
    const size_t size = linear_attention_workspace_size(&config, token_tree_size(tree)), guard = 16;
    float *workspace = uniform_floats(size + guard, 1e30F, 9),
          *before = uniform_floats(size + guard, 1e30F, 9);
    linear_attention_forward(out, attention, &config, x, tree, workspace);
    assert_memory_equal(workspace + size, before + size, guard * sizeof *workspace);
    free(workspace);
    free(before);
}

// Values up to a few units; unit vectors of short ones amplify roundings of 2^-24 some dozen times.
static const double tolerance = 5e-5;

static void check(bool fused)
{
    const struct token_tree sequence = {TOKENS, 0, NULL};
    struct linear_attention attention = random_attention(), used = attention;
    float *x = uniform_floats(TOKENS * IN, 1.0F, 10);
    static float expected[TOKENS * V], found[TOKENS * V];

    if (fused)
        used = fuse(&attention);
    naive_forward(expected, &attention, x);
    run(found, &used, x, &sequence);
    assert_close(largest_difference(found, expected, TOKENS * V), 0.0, tolerance);
    if (fused) {
        free((void *)used.qkvz.weight);
        free((void *)used.ba.weight);
    }
    free(x);
    free_attention(&attention);
}

static void linears_of_their_own(void **state)
{
    (void)state;
    check(false);
}

static void fused_linears(void **state)
{
    (void)state;
    check(true);
}

// Branches shorter than the convolution, empty ones, longer than a chunk; and a prefix shorter than it.
static void branches_begin_where_the_prefix_ends(void **state)
{
    static const size_t branches[] = {1, 0, 70, 2, 9};
    static const size_t prefixes[] = {0, 1, 30};
    struct linear_attention attention = random_attention();
    static float tree_out[(30 + 82) * V], alone_out[TOKENS * V], alone[TOKENS * IN];
    float *x = uniform_floats((30 + 82) * IN, 1.0F, 10);

    (void)state;
    for (size_t p = 0; p < 3; p++) {
        const struct token_tree tree = {prefixes[p], 5, branches};
        size_t first = prefixes[p];
        run(tree_out, &attention, x, &tree);
        memcpy(alone, x, prefixes[p] * IN * sizeof *x);
        for (size_t b = 0; b < 5; b++) {
            const struct token_tree sequence = {prefixes[p] + branches[b], 0, NULL};
            memcpy(alone + prefixes[p] * IN, x + first * IN, branches[b] * IN * sizeof *x);
            run(alone_out, &attention, alone, &sequence);
            assert_true(largest_difference(tree_out, alone_out, prefixes[p] * V) < tolerance);
            assert_true(largest_difference(tree_out + first * V, alone_out + prefixes[p] * V,
                                           branches[b] * V) < tolerance);
            first += branches[b];
        }
    }
    free(x);
    free_attention(&attention);
}

static void the_input_may_be_overwritten(void **state)
{
    const struct token_tree sequence = {TOKENS, 0, NULL};
    struct linear_attention attention = random_attention();
    static float both[TOKENS * V], found[TOKENS * V];
    float *x = uniform_floats(TOKENS * IN, 1.0F, 10);

    (void)state;
    run(found, &attention, x, &sequence);
    memcpy(both, x, TOKENS * IN * sizeof *x);
    run(both, &attention, both, &sequence);
    assert_memory_equal(both, found, sizeof found);
    free(x);
    free_attention(&attention);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linears_of_their_own),
        cmocka_unit_test(fused_linears),
        cmocka_unit_test(branches_begin_where_the_prefix_ends),
        cmocka_unit_test(the_input_may_be_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
