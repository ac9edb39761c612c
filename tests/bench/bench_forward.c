// bench_forward.c - the forward pass at the sizes of three models, beside bare sgemm of the same products in
// the same run.
#include "kernels/forward/decoder.h"
#include "kernels/forward/logits.h"
#include "tests/bench/sgemm.h"

struct shape {
    const char *name;
    size_t tokens, hidden, intermediate, heads, key_value_heads, head_dim, window;
    enum activation activation;
    bool biased, gemma; // linears of q, k, v have a bias; norms as Gemma 3 has them
    double aim;
    // The language-model head.
    size_t vocabulary, head_tokens;
    double head_aim;
};

static const struct shape shapes[] = {
    {"Qwen2.5 0.5B", 2048, 896, 4864, 14, 2, 64, 0, ACTIVATION_SILU, true, false, 0.85, 151936, 512, 0.9},
    {"Gemma 3 270M", 2048, 640, 2048, 4, 1, 256, 512, ACTIVATION_GELU_TANH, false, true, 0.85, 262144, 512,
     0.9},
    {"LLaMA 7B", 2048, 4096, 11008, 32, 32, 128, 0, ACTIVATION_SILU, false, false, 0.9, 32000, 512, 0.9},
};

struct arrays {
    const struct shape *shape;
    struct decoder_config config;
    struct decoder_layer layer;
    struct rotary_table rotary;
    struct lm_head head;
    float *weights, *ones, *angles, *state, *out, *workspace, *head_workspace;
    int32_t *targets;
    double *log_likelihood;
    size_t attention_times;
};

static struct linear linear(const struct arrays *a, size_t out, size_t in, bool biased)
{
    return (struct linear){.out = out, .in = in, .weight = a->weights, .bias = biased ? a->ones : NULL};
}

static void make_layer(struct arrays *a)
{
    const struct shape *s = a->shape;
    const size_t queries = s->heads * s->head_dim, keys = s->key_value_heads * s->head_dim;
    const struct norm norm = {.weight = a->ones}, none = {0};

    a->config = (struct decoder_config){.hidden_size = s->hidden,
                                        .intermediate_size = s->intermediate,
                                        .num_attention_heads = s->heads,
                                        .num_key_value_heads = s->key_value_heads,
                                        .head_dim = s->head_dim,
                                        .rotary_dim = s->head_dim,
                                        .norm = s->gemma ? NORM_RMS_ONE_PLUS : NORM_RMS,
                                        .norm_epsilon = 1e-5F,
                                        .activation = s->activation,
                                        .attention_scale = 0.088F};
    a->layer = (struct decoder_layer){.input_norm = norm,
                                      .post_attention_norm = norm,
                                      .attention_output_norm = s->gemma ? norm : none,
                                      .output_norm = s->gemma ? norm : none,
                                      .query_norm = s->gemma ? norm : none,
                                      .key_norm = s->gemma ? norm : none,
                                      .q = linear(a, queries, s->hidden, s->biased),
                                      .k = linear(a, keys, s->hidden, s->biased),
                                      .v = linear(a, keys, s->hidden, s->biased),
                                      .o = linear(a, s->hidden, queries, false),
                                      .gate = linear(a, s->intermediate, s->hidden, false),
                                      .up = linear(a, s->intermediate, s->hidden, false),
                                      .down = linear(a, s->hidden, s->intermediate, false),
                                      .sliding_window = s->window};
    a->rotary = (struct rotary_table){.tokens = s->tokens, .cosine = a->angles, .sine = a->angles};
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void create(struct arrays *a)
{
    const struct shape *s = a->shape;
    const size_t widest = most(most(s->hidden, s->intermediate), s->heads * s->head_dim);

    // All linears and the head share the weights: speed does not depend on values.
    a->weights = new_floats(s->vocabulary * s->hidden);
    a->ones = new_floats(widest);
    a->angles = new_floats(s->tokens * s->head_dim / 2);
    a->state = new_floats(s->tokens * widest);
    a->out = new_floats(most(s->tokens * widest, s->head_tokens * s->vocabulary));
    make_layer(a);
    a->head = (struct lm_head){.weight = a->weights, // read as bfloat16
                               .dtype = DTYPE_BF16,
                               .vocab_size = s->vocabulary,
                               .hidden_size = s->hidden,
                               .norm = {.weight = a->ones},
                               .norm_epsilon = 1e-5F};
    a->workspace = new_floats(decoder_workspace_size(&a->config, s->tokens));
    a->head_workspace = new_floats(lm_head_workspace_size(&a->head, s->head_tokens));
    a->targets = calloc(s->head_tokens, sizeof *a->targets);
    a->log_likelihood = calloc(s->head_tokens, sizeof *a->log_likelihood);
    if (a->targets == NULL || a->log_likelihood == NULL)
        exit(1);
}

static void destroy(struct arrays *a)
{
    free(a->weights);
    free(a->ones);
    free(a->angles);
    free(a->state);
    free(a->out);
    free(a->workspace);
    free(a->head_workspace);
    free(a->targets);
    free(a->log_likelihood);
}

static void run_layer(void *context)
{
    struct arrays *a = context;
    decoder_layer_forward(&a->config, &a->layer, &a->rotary, a->state, a->shape->tokens, a->workspace, NULL);
}

static void multiply_layer(void *context)
{
    const struct arrays *a = context;
    const struct linear *linears[] = {&a->layer.q,    &a->layer.k,  &a->layer.v,   &a->layer.o,
                                      &a->layer.gate, &a->layer.up, &a->layer.down};

    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++)
        sgemm_linear(a->out, a->state, a->weights, a->shape->tokens, linears[i]->out, linears[i]->in);
    sgemm_attention(a->out, a->out + (size_t)SGEMM_ROWS * SGEMM_KEYS, a->state, a->shape->head_dim,
                    a->attention_times);
}

static void run_head(void *context)
{
    struct arrays *a = context;
    lm_head_log_likelihood(a->log_likelihood, NULL, &a->head, a->state, a->targets, a->shape->head_tokens,
                           a->head_workspace);
}

static void multiply_head(void *context)
{
    const struct arrays *a = context;
    sgemm_linear(a->out, a->state, a->weights, a->shape->head_tokens, a->shape->vocabulary, a->shape->hidden);
}

static void compare_layer(const struct bench *bench, struct arrays *a)
{
    const struct shape *s = a->shape;
    const double tokens = (double)s->tokens, queries = (double)(s->heads * s->head_dim);
    const double keys = (double)(s->key_value_heads * s->head_dim);
    const double linears =
        2.0 * tokens * (double)s->hidden * (2 * queries + 2 * keys + 3.0 * (double)s->intermediate);
    const double block = sgemm_attention_operations(s->head_dim);
    char name[96];
    double seen = 0;

    for (size_t t = 0; t < s->tokens; t++)
        seen += (double)(s->window != 0 && t + 1 > s->window ? s->window : t + 1);
    const double attention = 4.0 * seen * queries;
    a->attention_times = (size_t)(attention / block + 0.5);
    snprintf(name, sizeof name, "layer, %s, %zu tokens / sgemm", s->name, s->tokens);
    bench_pair(bench, &(struct bench_pair){name,
                                           {run_layer, a},
                                           {multiply_layer, a},
                                           linears + attention,
                                           linears + block * (double)a->attention_times,
                                           s->aim});
}

static void compare_head(const struct bench *bench, struct arrays *a)
{
    const struct shape *s = a->shape;
    const double operations = 2.0 * (double)s->head_tokens * (double)s->hidden * (double)s->vocabulary;
    char name[96];

    snprintf(name, sizeof name, "log-likelihood, %zu words of %zu, %zu tokens / sgemm", s->vocabulary,
             s->hidden, s->head_tokens);
    bench_pair(bench, &(struct bench_pair){
                          name, {run_head, a}, {multiply_head, a}, operations, operations, s->head_aim});
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct arrays a = {.shape = &shapes[i]};
        create(&a);
        compare_layer(&bench, &a);
        compare_head(&bench, &a);
        destroy(&a);
    }
    return 0;
}
