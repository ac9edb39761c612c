// Operations that the terms of stages/work.h say, against loops that do the arithmetic and count.
#include "stages/work.h"

#include "io/model/open.h"
#include "kernels/forward/delta_rule.h"
#include "tests/support/source_path.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A sum of few terms in double.
static void assert_close(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

// y += W x, a multiplication and an addition for each weight.
static double count_product(size_t out, size_t in)
{
    double operations = 0;
    for (size_t i = 0; i < out; i++)
        for (size_t j = 0; j < in; j++)
            operations += 2;
    return operations;
}

// Scores and weighted values of causal attention.
static double count_attention(size_t heads, size_t head_dim, size_t tokens)
{
    double operations = 0;
    for (size_t t = 0; t < tokens; t++)
        for (size_t s = 0; s <= t; s++)
            operations += 2 * count_product(heads, head_dim);
    return operations;
}

// The demonstration's model: hidden 128, intermediate 344, 4 heads of 32 over 2 key-value heads, 2048 tokens.
static void a_forward_pass_is_its_products_and_its_attention(void **state)
{
    enum { TOKENS = 100, HIDDEN = 128, INTERMEDIATE = 344, KV = 64, HEADS = 4 };
    char *path = source_path("jobs/demo/kjv-llama-1m");
    struct error err = {0};
    struct model *model;
    struct layer_map map;
    (void)state;

    if (model_open(&model, path, &err) != STATUS_OK || layer_map_create(&map, model, 0, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    assert_int_equal(model->config.decoder.num_attention_heads, HEADS);
    const double products =
        TOKENS * (2 * count_product(HIDDEN, HIDDEN) + 2 * count_product(KV, HIDDEN) +
                  2 * count_product(INTERMEDIATE, HIDDEN) + count_product(HIDDEN, INTERMEDIATE));
    const double attention = count_attention(HEADS, HIDDEN / HEADS, TOKENS);
    // The term is half of the square; a token sees itself, too, which is 1 / TOKENS more.
    assert_close(layer_forward_work(model, &map, TOKENS), products + attention * TOKENS / (TOKENS + 1),
                 1e-12);
    // Up to what a source reads there are the linears of the sources before it, and attention after the
    // first.
    const double attended = attention * TOKENS / (TOKENS + 1);
    const double up_to[] = {
        0, TOKENS * (count_product(HIDDEN, HIDDEN) + 2 * count_product(KV, HIDDEN)) + attended,
        TOKENS * (2 * count_product(HIDDEN, HIDDEN) + 2 * count_product(KV, HIDDEN)) + attended,
        products - TOKENS * count_product(HIDDEN, INTERMEDIATE) + attended};
    for (size_t source = 0; source < sizeof up_to / sizeof up_to[0]; source++)
        assert_close(source_forward_work(model, &map, source, TOKENS), up_to[source], 1e-12);
    assert_close(lm_head_work(model, TOKENS), TOKENS * count_product(model->config.vocab_size, HIDDEN),
                 1e-12);
    layer_map_free(&map);
    model_close(model);
    free(path);
}

// Latent attention: a query, its latent and that of keys and values are three inputs before attention, whose
// values are narrower than its keys.
static void latents_are_inputs_of_their_own(void **state)
{
    enum { TOKENS = 10, HIDDEN = 16, HEADS = 4, QUERY_RANK = 6, RANK = 10, PLAIN = 6, TURNED = 4, VALUE = 5 };
    char *path = source_path("tests/golden/families/deepseek-v3");
    struct error err = {0};
    struct model *model;
    struct layer_map map;
    (void)state;

    if (model_open(&model, path, &err) != STATUS_OK || layer_map_create(&map, model, 0, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    const double first = TOKENS * (count_product(QUERY_RANK, HIDDEN) + count_product(RANK + TURNED, HIDDEN));
    const double query = TOKENS * count_product((PLAIN + TURNED) * HEADS, QUERY_RANK);
    const double expanded = TOKENS * count_product((PLAIN + VALUE) * HEADS, RANK);
    // Scores and values; half the square, as above.
    const double attention =
        (count_attention(HEADS, PLAIN + TURNED, TOKENS) + count_attention(HEADS, VALUE, TOKENS)) / 2 *
        TOKENS / (TOKENS + 1);
    const double up_to[] = {0, first, first + query, first + query + expanded + attention};
    for (size_t source = 0; source < sizeof up_to / sizeof up_to[0]; source++)
        assert_close(source_forward_work(model, &map, source, TOKENS), up_to[source], 1e-12);
    assert_int_equal(map.num_sources, 6); // and o's, gate's and down's
    layer_map_free(&map);
    model_close(model);
    free(path);
}

// Of the experts of a layer those that the token visits, and everything else.
static void a_token_works_with_the_experts_that_it_visits(void **state)
{
    enum { TOKENS = 10 };
    char *path = source_path("tests/golden/families/mixtral");
    struct error err = {0};
    struct model *model;
    struct layer_map map;
    double products = 0;
    (void)state;

    if (model_open(&model, path, &err) != STATUS_OK || layer_map_create(&map, model, 0, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    const struct decoder_config *config = &model->config.decoder;
    assert_true(config->num_experts > config->num_experts_per_tok && config->num_experts_per_tok > 0);
    // The experts are alike: the first ones stand for those that are visited.
    for (size_t i = 0; i < map.num_tensors; i++) {
        const char *linear = map.tensors[i].linear, *expert = strstr(linear, "experts.");
        if (linear[0] != '\0' &&
            (expert == NULL || strtoul(expert + strlen("experts."), NULL, 10) < config->num_experts_per_tok))
            products += count_product(map.tensors[i].out, map.tensors[i].in);
    }
    const double attention = count_attention(config->num_attention_heads, config->head_dim, TOKENS);
    assert_close(layer_forward_work(model, &map, TOKENS),
                 TOKENS * products + attention * TOKENS / (TOKENS + 1), 1e-12);
    layer_map_free(&map);
    model_close(model);
    free(path);
}

// The rule's chunks as delta_rule.c has them: K K^T and Q K^T, the triangular system, three products with the
// state and one of the chunk's scores with what was written; and the convolution.
static double count_linear_attention(const struct linear_attention_config *config)
{
    const size_t key = config->key_head_dim, value = config->value_head_dim, chunk = DELTA_RULE_CHUNK;
    double head = 2 * (double)chunk * count_product(chunk, key) +
                  3 * (double)chunk * count_product(key, value) + (double)chunk * count_product(chunk, value);
    for (size_t i = 0; i < chunk; i++)
        head += count_product(i, value);
    const double channels = (double)(2 * config->num_key_heads * key + config->num_value_heads * value);
    return (double)config->num_value_heads * head / (double)chunk + 2 * channels * (double)config->taps;
}

static void linear_attention_is_its_chunks_and_its_convolution(void **state)
{
    enum { TOKENS = 10 };
    char *path = source_path("tests/golden/families/qwen3-5");
    struct error err = {0};
    struct model *model;
    struct layer_map map;
    double products = 0;
    (void)state;

    if (model_open(&model, path, &err) != STATUS_OK || layer_map_create(&map, model, 0, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    assert_true(model->config.layers[0].linear_attention);
    const struct linear_attention_config *config = &model->config.decoder.linear_attention;
    for (size_t i = 0; i < map.num_tensors; i++)
        if (map.tensors[i].linear[0] != '\0')
            products += count_product(map.tensors[i].out, map.tensors[i].in);
    // The system's triangle has no diagonal: 1 / DELTA_RULE_CHUNK less.
    assert_close(layer_forward_work(model, &map, TOKENS),
                 TOKENS * (products + count_linear_attention(config)), 0.5 / DELTA_RULE_CHUNK);
    layer_map_free(&map);
    model_close(model);
    free(path);
}

// X x^T of each token, the upper triangle; the term leaves half of the diagonal out, 1 / channels.
static void a_hessian_is_its_upper_triangle(void **state)
{
    enum { TOKENS = 3, CHANNELS = 200 };
    double operations = 0;
    (void)state;
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < CHANNELS; i++)
            for (size_t j = i; j < CHANNELS; j++)
                operations += 2;
    assert_close(hessian_work(TOKENS, CHANNELS), operations, 1.0 / CHANNELS);
}

// G as the Hessian; C has both triangles.
static void products_of_channels_are_a_triangle_and_a_square(void **state)
{
    enum { TOKENS = 3, CHANNELS = 200 };
    const double square = TOKENS * count_product(CHANNELS, CHANNELS);
    (void)state;
    assert_close(gram_work(TOKENS, CHANNELS, false), hessian_work(TOKENS, CHANNELS), 1e-12);
    assert_close(gram_work(TOKENS, CHANNELS, true), hessian_work(TOKENS, CHANNELS) + square, 1e-12);
}

// Cholesky's factor L of H, and then L's inverse, from which that of the inverse of H is. The largest terms,
// cubes; those in squares are 3 / channels of them.
static void a_factor_is_a_decomposition_and_an_inversion(void **state)
{
    enum { CHANNELS = 150 };
    double operations = 0;
    (void)state;
    for (size_t j = 0; j < CHANNELS; j++) // columns of L
        for (size_t i = j; i < CHANNELS; i++)
            for (size_t k = 0; k < j; k++) // l[i][j] -= l[i][k] * l[j][k]
                operations += 2;
    for (size_t j = 0; j < CHANNELS; j++) // columns of the inverse
        for (size_t i = j; i < CHANNELS; i++)
            for (size_t k = j; k < i; k++) // m[i][j] -= l[i][k] * m[k][j]
                operations += 2;
    assert_close(factor_work(CHANNELS), operations, 3.0 / CHANNELS);
}

// Each column's error corrects those to its right; the diagonal, 1 / in, is not among them.
static void a_correction_reaches_all_columns_to_the_right(void **state)
{
    enum { OUT = 3, IN = 150 };
    double operations = 0;
    (void)state;
    for (size_t i = 0; i < OUT; i++)
        for (size_t j = 0; j < IN; j++)
            for (size_t k = j + 1; k < IN; k++)
                operations += 2;
    assert_close(correct_work(OUT, IN), operations, 1.01 / IN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forward_pass_is_its_products_and_its_attention),
        cmocka_unit_test(latents_are_inputs_of_their_own),
        cmocka_unit_test(a_token_works_with_the_experts_that_it_visits),
        cmocka_unit_test(linear_attention_is_its_chunks_and_its_convolution),
        cmocka_unit_test(a_hessian_is_its_upper_triangle),
        cmocka_unit_test(products_of_channels_are_a_triangle_and_a_square),
        cmocka_unit_test(a_factor_is_a_decomposition_and_an_inversion),
        cmocka_unit_test(a_correction_reaches_all_columns_to_the_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
