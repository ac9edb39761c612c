// Queries, keys and values from latents against plain loops in double, and what the observer sees.
#include "kernels/forward/latent_attention.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 19, HIDDEN = 10, HEADS = 3, RANK = 6, PLAIN = 4, TURNED = 2, VALUE = 5 };
enum { HEAD = PLAIN + TURNED, PAIR = PLAIN + VALUE, ROW = HEADS * (2 * HEAD + PAIR) };
enum { FIRST_SOURCE = 3 };

// y[out] = W x + bias
static void multiply(double *y, const struct linear *linear, const double *x)
{
    for (size_t i = 0; i < linear->out; i++) {
        y[i] = linear->bias != NULL ? (double)linear->bias[i] : 0;
        for (size_t j = 0; j < linear->in; j++)
            y[i] += (double)linear->weight[i * linear->in + j] * x[j];
    }
}

static void normalise(double *x, size_t size, const float *weight, double epsilon)
{
    double square = 0;
    for (size_t i = 0; i < size; i++)
        square += x[i] * x[i] / (double)size;
    for (size_t i = 0; i < size; i++)
        x[i] = x[i] / sqrt(square + epsilon) * (double)weight[i];
}

static struct linear random_linear(size_t out, size_t in, bool bias, uint64_t seed)
{
    return (struct linear){.out = out,
                           .in = in,
                           .weight = uniform_floats(out * in, 1.0F, seed),
                           .bias = bias ? uniform_floats(out, 1.0F, seed + 1) : NULL};
}

static void release(const struct linear *linear)
{
    free((void *)linear->weight);
    free((void *)linear->bias);
}

struct fixture {
    struct latent_sizes sizes;
    struct latent_weights weights;
    float *x, *rows, *workspace;
};

static void create(struct fixture *f, size_t query_rank)
{
    *f = (struct fixture){.sizes = {HEADS, query_rank, RANK, PLAIN, TURNED, VALUE, 0.25F}};
    f->x = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 1);
    f->rows = uniform_floats((size_t)TOKENS * ROW, 1e30F, 2);
    f->workspace = uniform_floats(latent_workspace_size(&f->sizes, TOKENS), 1e30F, 3);
    if (query_rank == 0) {
        f->weights.q = random_linear(HEADS * HEAD, HIDDEN, false, 10);
    } else {
        f->weights.q_a = random_linear(query_rank, HIDDEN, true, 20);
        f->weights.q_b = random_linear(HEADS * HEAD, query_rank, false, 30);
        f->weights.q_norm.weight = uniform_floats(query_rank, 1.0F, 40);
    }
    f->weights.kv_a = random_linear(RANK + TURNED, HIDDEN, true, 50);
    f->weights.kv_b = random_linear(HEADS * PAIR, RANK, false, 60);
    f->weights.kv_norm.weight = uniform_floats(RANK, 1.0F, 70);
}

static void destroy(struct fixture *f)
{
    release(&f->weights.q);
    release(&f->weights.q_a);
    release(&f->weights.q_b);
    release(&f->weights.kv_a);
    release(&f->weights.kv_b);
    free((void *)f->weights.q_norm.weight);
    free((void *)f->weights.kv_norm.weight);
    free(f->x);
    free(f->rows);
    free(f->workspace);
}

// Of one token: the row, and both latents.
static void naive_row(double *row, double *query_latent, double *latent, const struct fixture *f,
                      const float *token)
{
    const struct latent_weights *w = &f->weights;
    double x[HIDDEN], compressed[RANK + TURNED], expanded[HEADS * PAIR];

    for (size_t i = 0; i < HIDDEN; i++)
        x[i] = (double)token[i];
    if (f->sizes.query_rank == 0) {
        multiply(row, &w->q, x);
    } else {
        multiply(query_latent, &w->q_a, x);
        normalise(query_latent, f->sizes.query_rank, w->q_norm.weight, 0.25);
        multiply(row, &w->q_b, query_latent);
    }
    multiply(compressed, &w->kv_a, x);
    memcpy(latent, compressed, RANK * sizeof *latent);
    normalise(latent, RANK, w->kv_norm.weight, 0.25);
    multiply(expanded, &w->kv_b, latent);
    for (size_t h = 0; h < HEADS; h++) {
        double *key = row + (HEADS + h) * HEAD;
        for (size_t i = 0; i < PLAIN; i++)
            key[i] = expanded[h * PAIR + i];
        for (size_t i = 0; i < TURNED; i++)
            key[PLAIN + i] = compressed[RANK + i];
        for (size_t i = 0; i < VALUE; i++)
            row[2 * HEADS * HEAD + h * PAIR + PLAIN + i] = expanded[h * PAIR + PLAIN + i];
    }
}

struct seen {
    const struct fixture *fixture;
    size_t sources[4], count;
    float x[2][TOKENS * 16];
};

static void look(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct seen *seen = context;
    assert_int_equal(tokens, TOKENS);
    assert_true(seen->count < 2);
    memcpy(seen->x[seen->count], x, tokens * channels * sizeof *x);
    seen->sources[seen->count++] = source;
}

static void check(size_t query_rank)
{
    struct fixture f;
    create(&f, query_rank);
    struct seen seen = {.fixture = &f};
    const struct latent_attention latent = {&f.sizes, &f.weights};
    const size_t last = query_rank != 0 ? 1 : 0;

    assert_int_equal(latent_row_size(&f.sizes), ROW);
    assert_true(latent_project(f.rows, &latent, f.x, TOKENS, f.workspace,
                               &(struct decoder_observer){.context = &seen, .input = look}, FIRST_SOURCE));
    assert_int_equal(seen.count, last + 1);
    for (size_t i = 0; i <= last; i++)
        assert_int_equal(seen.sources[i], FIRST_SOURCE + i);
    for (size_t t = 0; t < TOKENS; t++) {
        double row[ROW] = {0}, query_latent[16], latents[RANK];
        naive_row(row, query_latent, latents, &f, f.x + t * HIDDEN);
        for (size_t i = 0; i < ROW; i++) {
            const size_t place = i - 2 * HEADS * HEAD;
            if (i < 2 * HEADS * HEAD || place % PAIR >= PLAIN) // the keys' first copy is nobody's
                assert_close((double)f.rows[t * ROW + i], row[i], 2e-5);
        }
        for (size_t i = 0; i < query_rank; i++)
            assert_close((double)seen.x[0][t * query_rank + i], query_latent[i], 1e-5);
        for (size_t i = 0; i < RANK; i++)
            assert_close((double)seen.x[last][t * RANK + i], latents[i], 1e-5);
    }
    destroy(&f);
}

static void queries_come_from_the_input_or_from_a_latent(void **state)
{
    (void)state;
    check(0);
    check(8); // wider than the other latent
    check(4);
}

static void the_observer_may_end_the_pass_at_either_latent(void **state)
{
    (void)state;
    for (size_t last = 0; last < 2; last++) {
        struct fixture f;
        create(&f, 8);
        struct seen seen = {.fixture = &f};
        const struct latent_attention latent = {&f.sizes, &f.weights};
        assert_false(
            latent_project(f.rows, &latent, f.x, TOKENS, f.workspace,
                           &(struct decoder_observer){
                               .context = &seen, .input = look, .stops = true, .last = FIRST_SOURCE + last},
                           FIRST_SOURCE));
        assert_int_equal(seen.count, last + 1);
        destroy(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_come_from_the_input_or_from_a_latent),
        cmocka_unit_test(the_observer_may_end_the_pass_at_either_latent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
