#include "tests/support/naive_splitting.h"

#include "tests/support/naive_masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A linear while it is split: weights are scaled, W' = W n.
struct split {
    size_t out, in;
    double *plus, *t, *d, *v; // [out, in] W', T, D and V
    uint8_t *mask, *before;   // [out, in]
};

struct splitting {
    size_t count, in;
    double *a, *scale; // [in, in] A, [in] n
    struct split splits[NAIVE_SPLITS];
};

static double *doubles(size_t count)
{
    double *x = calloc(count, sizeof *x);
    assert_non_null(x);
    return x;
}

static void splitting_open(struct splitting *s, const struct naive_split *linears, size_t count,
                           const struct naive_equations *equations)
{
    const size_t in = equations->in;

    assert_true(count <= NAIVE_SPLITS);
    *s = (struct splitting){.count = count, .in = in, .a = doubles(in * in), .scale = doubles(in)};
    for (size_t j = 0; j < in; j++)
        s->scale[j] = sqrt(equations->g[j * in + j] + equations->lambda);
    for (size_t j = 0; j < in; j++)
        for (size_t k = 0; k < in; k++)
            s->a[j * in + k] =
                (equations->g[j * in + k] + (j == k ? equations->lambda : 0)) / (s->scale[j] * s->scale[k]);
    for (size_t l = 0; l < count; l++) {
        const size_t all = linears[l].out * in;
        s->splits[l] = (struct split){.out = linears[l].out,
                                      .in = in,
                                      .plus = doubles(all),
                                      .t = doubles(all),
                                      .d = doubles(all),
                                      .v = doubles(all)};
        for (size_t k = 0; k < all; k++)
            s->splits[l].plus[k] = linears[l].plus[k] * s->scale[k % in];
    }
}

static void splitting_close(struct splitting *s)
{
    for (size_t l = 0; l < s->count; l++) {
        free(s->splits[l].plus);
        free(s->splits[l].t);
        free(s->splits[l].d);
        free(s->splits[l].v);
        free(s->splits[l].before);
    }
    free(s->a);
    free(s->scale);
}

static size_t size_of(const struct split *split)
{
    return split->out * split->in;
}

// T <- W', V <- 0.
static void begin_all(struct splitting *s)
{
    for (size_t l = 0; l < s->count; l++)
        for (size_t k = 0; k < size_of(&s->splits[l]); k++) {
            s->splits[l].t[k] = s->splits[l].plus[k];
            s->splits[l].v[k] = 0;
        }
}

// Of the masks: D <- T on them, V <- rho T elsewhere.
static void take_masks(struct splitting *s, double rho)
{
    for (size_t l = 0; l < s->count; l++) {
        struct split *split = &s->splits[l];
        for (size_t k = 0; k < size_of(split); k++) {
            split->d[k] = split->mask[k] ? split->t[k] : 0;
            split->v[k] = split->mask[k] ? 0 : rho * split->t[k];
        }
    }
}

// The masks are the largest |T|.
static void select_all(struct splitting *s, const struct variant *variant, double sparsity)
{
    for (size_t l = 0; l < s->count; l++) {
        struct split *split = &s->splits[l];
        const struct small_matrix shape = {NULL, split->out, s->in};
        double *scores = doubles(size_of(split));
        for (size_t k = 0; k < size_of(split); k++)
            scores[k] = fabs(split->t[k]);
        free(split->mask);
        split->mask = naive_mask(scores, &shape, variant, sparsity);
        free(scores);
    }
}

// T <- B + V / rho of every row, where (A + damped I) (B - W') = rho (D - W') - V.
static void step_all(struct splitting *s, double rho, double damped)
{
    const size_t in = s->in;
    double *a = doubles(in * in), *b = doubles(in), *x = doubles(in);

    for (size_t l = 0; l < s->count; l++)
        for (size_t first = 0; first < size_of(&s->splits[l]); first += in) {
            const struct split *split = &s->splits[l];
            for (size_t j = 0; j < in; j++) {
                b[j] = rho * (split->d[first + j] - split->plus[first + j]) - split->v[first + j];
                for (size_t k = 0; k < in; k++)
                    a[j * in + k] = s->a[j * in + k] + (j == k ? damped : 0);
            }
            naive_eliminate(x, a, b, in);
            for (size_t j = 0; j < in; j++)
                split->t[first + j] = split->plus[first + j] + x[j] + split->v[first + j] / rho;
        }
    free(a);
    free(b);
    free(x);
}

static void run_admm(struct splitting *s, const struct variant *variant)
{
    begin_all(s);
    for (int t = 0; t < 20; t++) {
        if (t < 15)
            select_all(s, variant, variant->sparsity * (1 - pow(1 - (t + 1) / 15.0, 3)));
        take_masks(s, 1);
        step_all(s, 1, 1.1);
    }
}

static void begin_alps(struct splitting *s, const struct variant *variant)
{
    begin_all(s);
    select_all(s, variant, variant->sparsity);
    take_masks(s, 0);
    for (size_t l = 0; l < s->count; l++) {
        free(s->splits[l].before);
        s->splits[l].before = malloc(size_of(&s->splits[l]));
        assert_non_null(s->splits[l].before);
        memcpy(s->splits[l].before, s->splits[l].mask, size_of(&s->splits[l]));
    }
}

// The changed columns as a share of those that are kept, over all linears.
static double share_changed(struct splitting *s)
{
    double changed = 0, kept = 0;
    for (size_t l = 0; l < s->count; l++)
        for (size_t k = 0; k < size_of(&s->splits[l]); k++) {
            changed += s->splits[l].mask[k] != s->splits[l].before[k];
            kept += s->splits[l].mask[k];
            s->splits[l].before[k] = s->splits[l].mask[k];
        }
    return changed / kept;
}

static void run_alps(struct splitting *s, const struct variant *variant)
{
    double wanted = 0.1;
    bool grew = false;

    begin_alps(s, variant);
    for (int t = 1; t <= 300; t++) {
        const double rho = 0.1 * pow(1.3, floor(log(wanted / 0.1) / log(1.3) + 1e-6));
        step_all(s, rho, rho);
        select_all(s, variant, variant->sparsity);
        take_masks(s, rho);
        if (t % 3 != 0)
            continue;
        const double changed = share_changed(s);
        if (changed > 0.005) {
            grew = true;
            wanted *= changed > 0.1 ? 1.3 : 1.2;
        } else if (!grew) {
            wanted /= 5;
            if (wanted < 0.001)
                return;
            begin_alps(s, variant);
        } else if (changed == 0 || (t > 30 && changed < 0.0003)) {
            return;
        } else {
            wanted *= 1.1;
        }
    }
}

void naive_split(struct naive_split *linears, size_t count, const struct naive_equations *equations,
                 const struct variant *variant)
{
    struct splitting s;

    splitting_open(&s, linears, count, equations);
    (variant->method == METHOD_ALPS ? run_alps : run_admm)(&s, variant);
    for (size_t l = 0; l < count; l++)
        linears[l].mask = s.splits[l].mask;
    splitting_close(&s);
}
