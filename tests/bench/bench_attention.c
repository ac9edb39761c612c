// bench_attention.c - attention beside bare sgemm of its products: only those of keys that a query sees are
// counted, and the peer computes them in blocks that lie in the caches, without softmax.
#include "kernels/forward/attention.h"
#include "tests/bench/sgemm.h"

struct shape {
    const char *name;
    size_t tokens, heads, key_value_heads, head_dim, window;
};

// Of 8192 tokens a quarter of the 32 heads: heads are computed one after the other.
static const struct shape shapes[] = {
    {"2048 tokens, 32/32 heads of 128", 2048, 32, 32, 128, 0},
    {"2048 tokens, 32/8 heads of 128", 2048, 32, 8, 128, 0},
    {"2048 tokens, 14/2 heads of 64", 2048, 14, 2, 64, 0},
    {"2048 tokens, 32/8 heads of 128, window 1024", 2048, 32, 8, 128, 1024},
    {"2048 tokens, 4/1 heads of 256, window 512", 2048, 4, 1, 256, 512},
    {"8192 tokens, 8/8 heads of 128", 8192, 8, 8, 128, 0},
    {"8192 tokens, 8/2 heads of 128", 8192, 8, 2, 128, 0},
    {"8192 tokens, 14/2 heads of 64", 8192, 14, 2, 64, 0},
    {"8192 tokens, 8/2 heads of 128, window 1024", 8192, 8, 2, 128, 1024},
};
static const double AIM = 0.8;

struct arrays {
    struct attention attention;
    size_t tokens, peer_times;
    float *rows, *out, *workspace, *scores, *sums;
};

static void attend(void *context)
{
    const struct arrays *a = context;
    attention_forward(a->out, &a->attention, a->tokens, a->workspace);
}

static void multiply(void *context)
{
    const struct arrays *a = context;
    sgemm_attention(a->scores, a->sums, a->rows, a->attention.head_dim, a->peer_times);
}

static void compare(const struct bench *bench, const struct shape *shape)
{
    const size_t row = (shape->heads + 2 * shape->key_value_heads) * shape->head_dim;
    struct arrays a = {.tokens = shape->tokens};
    char name[96];
    double seen = 0;

    for (size_t t = 0; t < shape->tokens; t++)
        seen += (double)(shape->window != 0 && t + 1 > shape->window ? shape->window : t + 1);
    a.rows = new_floats(shape->tokens * row);
    a.out = new_floats(shape->tokens * shape->heads * shape->head_dim);
    a.scores = new_floats((size_t)SGEMM_ROWS * SGEMM_KEYS);
    a.sums = new_floats(SGEMM_ROWS * shape->head_dim);
    a.attention = (struct attention){.num_heads = shape->heads,
                                     .num_key_value_heads = shape->key_value_heads,
                                     .head_dim = shape->head_dim,
                                     .query = a.rows,
                                     .key = a.rows + shape->heads * shape->head_dim,
                                     .value = a.rows + row - shape->key_value_heads * shape->head_dim,
                                     .token_stride = row,
                                     .query_head_stride = shape->head_dim,
                                     .key_value_head_stride = shape->head_dim,
                                     .scale = 40.0F,
                                     .sliding_window = shape->window};
    a.workspace = new_floats(attention_workspace_size(&a.attention, shape->tokens));
    const double operations = 4.0 * seen * (double)(shape->heads * shape->head_dim);
    const double block = sgemm_attention_operations(shape->head_dim);
    a.peer_times = 1 + (size_t)(operations / block / 4); // a quarter of the time is enough
    snprintf(name, sizeof name, "attention, %s / sgemm", shape->name);
    bench_pair(bench, &(struct bench_pair){
                          name, {attend, &a}, {multiply, &a}, operations, block * (double)a.peer_times, AIM});
    free(a.rows);
    free(a.out);
    free(a.scores);
    free(a.sums);
    free(a.workspace);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        compare(&bench, &shapes[i]);
    return 0;
}
