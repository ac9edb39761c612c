// Channels whose order is free: every family's tiny checkpoint computes the same logits when they are in a
// random order. What is fused is taken apart here once more, by its own formula.
#include "io/model/free_channels.h"
#include "io/model/open.h"
#include "io/model/tensor_rows.h"
#include "tests/support/random.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 40 };

static void *new_floats(size_t count)
{
    void *floats;
    struct error err;
    assert_int_equal(allocate_aligned(&floats, count, sizeof(float), "a test", &err), STATUS_OK);
    return floats;
}

static struct model *open_family(const char *name)
{
    char relative[256];
    struct model *model;
    struct error err = {0};
    snprintf(relative, sizeof relative, "tests/golden/families/%s", name);
    char *directory = source_path(relative);
    assert_ok(model_open(&model, directory, &err), err);
    free(directory);
    return model;
}

static void shuffle(uint32_t *order, size_t n, struct random_state *random)
{
    for (size_t k = 0; k < n; k++)
        order[k] = (uint32_t)k;
    for (size_t k = n; k > 1; k--) {
        const size_t other = random_below(random, k);
        const uint32_t last = order[k - 1];
        order[k - 1] = order[other];
        order[other] = last;
    }
}

// A random order of the channels in each block, the same in its copies; the caller frees.
static uint32_t *random_columns(const struct layer_tensor *reader, const struct free_columns *blocks,
                                struct random_state *random)
{
    uint32_t *columns = malloc(reader->in * sizeof *columns),
             *block = malloc(blocks->channels * sizeof *block);
    assert_true(columns != NULL && block != NULL);
    assert_int_equal(blocks->blocks * blocks->copies * blocks->channels, reader->in);
    for (size_t b = 0; b < blocks->blocks; b++) {
        shuffle(block, blocks->channels, random);
        for (size_t q = 0; q < blocks->copies; q++)
            for (size_t k = 0; k < blocks->channels; k++) {
                const size_t first = (b * blocks->copies + q) * blocks->channels;
                columns[first + k] = (uint32_t)(first + block[k]);
            }
    }
    free(block);
    return columns;
}

static void move_columns(float *weight, const struct layer_tensor *tensor, const uint32_t *columns)
{
    float *row = malloc(tensor->in * sizeof *row);
    assert_non_null(row);
    for (size_t i = 0; i < tensor->out; i++) {
        memcpy(row, weight + i * tensor->in, tensor->in * sizeof *row);
        for (size_t k = 0; k < tensor->in; k++)
            weight[i * tensor->in + k] = row[columns[k]];
    }
    free(row);
}

static void move_rows(float *weight, const struct layer_tensor *tensor, const uint32_t *rows)
{
    const size_t n = tensor->out * tensor->in;
    float *copy = malloc(n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, weight, n * sizeof *copy);
    for (size_t k = 0; k < tensor->out; k++)
        memcpy(weight + k * tensor->in, copy + rows[k] * tensor->in, tensor->in * sizeof *copy);
    free(copy);
}

// Puts the channels of all readers of the layer in a random order. Returns how many readers there are.
static size_t reorder(float *block, const struct layer_map *map, const struct model *model,
                      struct random_state *random)
{
    const struct decoder_config *config = &model->config.decoder;
    size_t readers = 0;

    for (size_t r = 0; r < map->num_tensors; r++) {
        const struct layer_tensor *reader = &map->tensors[r];
        struct free_columns free_channels;
        if (!free_columns_of(&free_channels, reader, config))
            continue;
        uint32_t *columns = random_columns(reader, &free_channels, random);
        move_columns(block + reader->offset, reader, columns);
        for (size_t i = 0; i < map->num_tensors; i++) {
            const struct layer_tensor *writer = &map->tensors[i];
            if (free_rows_reader(map, writer) != reader)
                continue;
            uint32_t *rows = malloc(writer->out * sizeof *rows);
            assert_non_null(rows);
            free_rows_order(rows, writer, columns, config);
            move_rows(block + writer->offset, writer, rows);
            free(rows);
        }
        free(columns);
        readers++;
    }
    return readers;
}

// logits[TOKENS, vocabulary] of fixed ids; the caller frees. random NULL: channels as they are.
static float *logits_of(const struct model *model, struct random_state *random, size_t *readers)
{
    const struct decoder_config *config = &model->config.decoder;
    float *hidden = new_floats(TOKENS * state_size(config));
    float *workspace = new_floats(decoder_workspace_size(config, TOKENS));
    struct rotary_table rotary;
    struct lm_head head;
    struct error err = {0};
    int32_t ids[TOKENS];

    for (size_t t = 0; t < TOKENS; t++)
        ids[t] = (int32_t)(t * 7 % model->config.vocab_size);
    model_embed(model, hidden, ids, TOKENS);
    assert_ok(model_rotary_table(&rotary, model, TOKENS, &err), err);
    *readers = 0;
    for (size_t l = 0; l < model->config.num_hidden_layers; l++) {
        struct layer_map map;
        struct decoder_layer layer;
        assert_ok(layer_map_create(&map, model, l, &err), err);
        float *block = new_floats(map.block_size);
        for (size_t i = 0; i < map.num_tensors; i++)
            tensor_rows_f32(block + map.tensors[i].offset, &map.tensors[i], 0, map.tensors[i].out);
        if (random != NULL)
            *readers += reorder(block, &map, model, random);
        layer_map_bind(&layer, &map, model, block);
        decoder_layer_forward(config, &layer, &rotary, hidden, TOKENS, workspace, NULL);
        free(block);
        layer_map_free(&map);
    }
    rotary_table_free(&rotary);
    free(workspace);
    model_lm_head(&head, model);
    workspace = new_floats(lm_head_workspace_size(&head, TOKENS));
    float *logits = new_floats(TOKENS * model->config.vocab_size);
    lm_head_logits(logits, &head, hidden, TOKENS, workspace);
    free(workspace);
    free(hidden);
    return logits;
}

struct family_case {
    const char *name;
    size_t readers; // attention's and each MLP's, of all layers
};

static void a_random_order_computes_the_same_logits(void **state)
{
    const struct family_case *family = *state;
    struct model *model = open_family(family->name);
    struct random_state random = random_seed(5);
    size_t readers;
    double largest = 0, difference = 0;

    float *expected = logits_of(model, NULL, &readers);
    float *found = logits_of(model, &random, &readers);
    assert_int_equal(readers, family->readers);
    for (size_t k = 0; k < TOKENS * model->config.vocab_size; k++) {
        largest = fmax(largest, fabs((double)expected[k]));
        difference = fmax(difference, fabs((double)expected[k] - (double)found[k]));
    }
    // Sums in another order, a few layers deep: float32 has 2^-24.
    print_message("%-20s relative difference %.2g\n", family->name, difference / largest);
    assert_true(difference < 1e-5 * largest);
    assert_true(difference > 0); // something moved
    free(expected);
    free(found);
    model_close(model);
}

#define FAMILY(text, count)                                                                 \
    {                                                                                       \
        .name = "any order of " text, .test_func = a_random_order_computes_the_same_logits, \
        .initial_state = &(struct family_case)                                              \
        {                                                                                   \
            .name = (text), .readers = (count)                                              \
        }                                                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAMILY("llama3", 6),
        FAMILY("mistral", 6),
        FAMILY("qwen2", 6),
        FAMILY("qwen3", 6),
        FAMILY("phi3", 6),
        FAMILY("gemma2", 4),
        FAMILY("gemma3", 6),
        FAMILY("gpt-neox", 6),
        FAMILY("gpt-neox-sequential", 2),
        FAMILY("opt", 6),
        FAMILY("opt-norm-after", 4),
        FAMILY("llava", 4),
        FAMILY("gemma3-vl", 4),
        FAMILY("qwen3-vl-moe", 2 + 5 + 1),
        FAMILY("mixtral", 2 + 2 * 4),
        FAMILY("qwen2-moe", 3 + 1 + 2 * (1 + 4)),
        FAMILY("qwen3-moe", 4 + 2 + 2 * 5),
        FAMILY("gpt2", 6),
        FAMILY("gpt2-unscaled", 4),
        FAMILY("gpt-bigcode", 6),
        FAMILY("gpt-bigcode-multi-head", 4),
        FAMILY("gptj", 6),
        FAMILY("codegen", 6),
        FAMILY("bloom", 6),
        FAMILY("bloom-power", 4),
        FAMILY("falcon", 6),
        FAMILY("falcon-one-norm", 4),
        FAMILY("falcon-multi-query", 4),
        FAMILY("falcon-alibi", 4),
        FAMILY("mpt", 6),
        FAMILY("granite", 6),
        FAMILY("cohere", 6),
        FAMILY("cohere2", 8),
        FAMILY("phi", 6),
        FAMILY("starcoder2", 6),
        FAMILY("starcoder2-no-bias", 4),
        FAMILY("stablelm", 6),
        FAMILY("stablelm-sequential", 4),
        FAMILY("ministral", 6),
        FAMILY("ministral3", 6),
        FAMILY("smollm3", 6),
        FAMILY("olmo", 6),
        FAMILY("olmo2", 6),
        FAMILY("olmo3", 6),
        FAMILY("exaone4", 6),
        FAMILY("seed-oss", 6),
        FAMILY("cwm", 6),
        FAMILY("iquestcoder", 2),
        FAMILY("internlm3", 2),
        FAMILY("exaone", 4),
        FAMILY("arcee", 4),
        FAMILY("nemotron", 6),
        FAMILY("jais2", 4),
        FAMILY("apertus", 4),
        FAMILY("nanochat", 4),
        FAMILY("hunyuan", 6),
        FAMILY("glm", 4),
        FAMILY("glm4", 6),
        FAMILY("ernie4-5", 6),
        FAMILY("helium", 4),
        FAMILY("gemma", 4),
        FAMILY("vaultgemma", 4),
        // Not the values of linear attention.
        FAMILY("qwen3-next", 1 + 1 + 2 * (1 + 3)),
        FAMILY("qwen3-5", 1 + 3),
        FAMILY("qwen3-5-moe", 1 + 2 * (1 + 4)),
        FAMILY("deepseek-v2", 2 + 1 + 1 + 6),
        FAMILY("deepseek-v2-lite", 1 + 1 + 6),
        FAMILY("deepseek-v3", 2 + 1 + 1 + 6),
        FAMILY("glm4-moe", 2 + 1 + 1 + 6),
        FAMILY("granitemoe", 2 * (1 + 4)),
        FAMILY("granitemoeshared", 1 + 1 + 4),
        FAMILY("gpt-oss", 2 * (1 + 4)),
        FAMILY("minimax-m2", 2 * (1 + 5)),
        FAMILY("ernie4-5-moe", 3 + 2 + 1 + 4),
        FAMILY("dots1", 3 + 1 + 2 * (1 + 6)),
        FAMILY("qwen3-5-moe-fused", 1 + 3),
        FAMILY("gemma4", 3 + 1), // values that are keys have an order
        FAMILY("gemma4-published", 4),
        FAMILY("gemma4-per-layer", 7 + 1), // values that several layers read keep their order
        FAMILY("gemma4-experts", 1 + 2 * (1 + 5)),
        FAMILY("llama4", 4 + 2 + 2 * (1 + 5)),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
