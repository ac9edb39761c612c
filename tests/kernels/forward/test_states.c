// What goes from layer to layer in a token's state: its id, for what layers read of the tokens, and keys and
// values that a layer gives to later ones. And experts that stand beside an MLP. By plain loops in double.
#include "kernels/forward/decoder.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    TOKENS = 21,
    HIDDEN = 12,
    HEADS = 4,
    KV_HEADS = 2,
    HEAD_DIM = 6,
    INNER = 10,
    SIZE = 5,
    VOCABULARY = 9
};
enum { QUERY = HEADS * HEAD_DIM, KEY_VALUE = KV_HEADS * HEAD_DIM, PLACE = HIDDEN + 1 };
enum { CARRIED = 1 + 2 * KEY_VALUE, STATE = HIDDEN + CARRIED };
enum { EXPERTS = 3, LAYERS = 3 };

static float *floats[64]; // of one test
static size_t num_floats;

static const float *random_floats(size_t count, float scale)
{
    assert_true(num_floats < sizeof floats / sizeof *floats);
    floats[num_floats] = uniform_floats(count, scale, 7 * num_floats + 1);
    return floats[num_floats++];
}

static int free_floats(void **state)
{
    (void)state;
    while (num_floats > 0)
        free(floats[--num_floats]);
    return 0;
}

static struct linear random_linear(size_t out, size_t in)
{
    return (struct linear){.out = out, .in = in, .weight = random_floats(out * in, 0.5F)};
}

static struct norm random_norm(size_t size)
{
    return (struct norm){.weight = random_floats(size, 1.0F)};
}

static struct decoder_config config_with(size_t carried)
{
    return (struct decoder_config){.hidden_size = HIDDEN,
                                   .intermediate_size = INNER,
                                   .carried_size = carried,
                                   .num_attention_heads = HEADS,
                                   .num_key_value_heads = KV_HEADS,
                                   .head_dim = HEAD_DIM,
                                   .rotary_dim = HEAD_DIM,
                                   .norm_epsilon = 1e-5F,
                                   .activation = ACTIVATION_GELU_TANH,
                                   .attention_scale = 0.4F};
}

static struct decoder_layer random_layer(void)
{
    return (struct decoder_layer){.input_norm = random_norm(HIDDEN),
                                  .post_attention_norm = random_norm(HIDDEN),
                                  .query_norm = random_norm(HEAD_DIM),
                                  .key_norm = random_norm(HEAD_DIM),
                                  .value_norm = {.plain = true},
                                  .q = random_linear(QUERY, HIDDEN),
                                  .k = random_linear(KEY_VALUE, HIDDEN),
                                  .v = random_linear(KEY_VALUE, HIDDEN),
                                  .o = random_linear(HIDDEN, QUERY),
                                  .gate = random_linear(INNER, HIDDEN),
                                  .up = random_linear(INNER, HIDDEN),
                                  .down = random_linear(HIDDEN, INNER)};
}

// Its attention and MLP add nothing to the residual stream.
static struct decoder_layer silent_layer(void)
{
    struct decoder_layer layer = random_layer();
    memset((float *)layer.o.weight, 0, sizeof(float) * HIDDEN * QUERY);
    memset((float *)layer.down.weight, 0, sizeof(float) * HIDDEN * INNER);
    return layer;
}

static struct rotary_table rotary(void)
{
    const float frequencies[HEAD_DIM / 2] = {1.0F, 0.3F, 0.05F};
    const float *cosine = random_floats(TOKENS * HEAD_DIM / 2, 1),
                *sine = random_floats(TOKENS * HEAD_DIM / 2, 1);

    rotary_angles((float *)cosine, (float *)sine, frequencies, HEAD_DIM / 2, TOKENS, 1.0F);
    return (struct rotary_table){.tokens = TOKENS, .cosine = cosine, .sine = sine};
}

// states[TOKENS, state_size] with the id t % VOCABULARY where it has room for one.
static void begin(float *states, const struct decoder_config *config)
{
    const float *hidden = random_floats(TOKENS * HIDDEN, 1.0F);

    for (size_t t = 0; t < TOKENS; t++) {
        memcpy(states + t * state_size(config), hidden + t * HIDDEN, HIDDEN * sizeof *hidden);
        if (config->carried_size != 0)
            states[t * state_size(config) + HIDDEN] = (float)(t % VOCABULARY);
    }
}

static void run(float *states, const struct decoder_config *config, const struct decoder_layer *layer,
                const struct rotary_table *table, const struct decoder_observer *observer)
{
    const float *workspace = random_floats(decoder_workspace_size(config, TOKENS), 1e30F);
    decoder_layer_forward(config, layer, table, states, TOKENS, (float *)workspace, observer);
}

static void assert_same_hidden(const float *states, size_t state, const float *expected, size_t other)
{
    for (size_t t = 0; t < TOKENS; t++)
        assert_memory_equal(states + t * state, expected + t * other, HIDDEN * sizeof *states);
}

// A layer that takes the keys and values of one with the same weights and inputs computes what it would with
// its own; and giving them changes nothing.
static void keys_and_values_are_given_and_taken(void **state)
{
    const struct decoder_config plain = config_with(0), carrying = config_with(CARRIED);
    const struct rotary_table table = rotary();
    const struct decoder_layer own = random_layer();
    struct decoder_layer giver = own, taker = own;
    float expected[TOKENS * HIDDEN], states[TOKENS * STATE] = {0}, before[TOKENS * STATE];
    (void)state;

    giver.key_value_sharing = KEY_VALUE_GIVEN;
    taker.key_value_sharing = KEY_VALUE_TAKEN;
    giver.key_value_place = taker.key_value_place = PLACE;
    taker.k = taker.v = (struct linear){0};
    taker.key_norm = (struct norm){0};
    begin(states, &carrying);
    memcpy(before, states, sizeof states);
    for (size_t t = 0; t < TOKENS; t++)
        memcpy(expected + t * HIDDEN, states + t * STATE, HIDDEN * sizeof *states);
    run(expected, &plain, &own, &table, NULL);
    run(states, &carrying, &giver, &table, NULL);
    assert_same_hidden(states, STATE, expected, HIDDEN);
    for (size_t t = 0; t < TOKENS; t++) { // the hidden states are again what entered the giver
        assert_true(states[t * STATE + HIDDEN] == (float)(t % VOCABULARY));
        memcpy(states + t * STATE, before + t * STATE, HIDDEN * sizeof *states);
    }
    memcpy(before, states, sizeof states);
    run(states, &carrying, &taker, &table, NULL);
    assert_same_hidden(states, STATE, expected, HIDDEN);
    for (size_t t = 0; t < TOKENS; t++)
        assert_memory_equal(states + t * STATE + HIDDEN, before + t * STATE + HIDDEN,
                            CARRIED * sizeof *states);
}

static void in_a_tree_the_same_is_given_and_taken(void **state)
{
    const struct decoder_config config = config_with(CARRIED);
    const struct rotary_table table = rotary();
    struct decoder_layer giver = random_layer(), taker = random_layer();
    const size_t branches[] = {4, 7}, prefix = TOKENS - 11;
    const struct token_tree tree = {prefix, 2, branches};
    float row[TOKENS * STATE] = {0}, alone[TOKENS * STATE];
    const float *workspace = random_floats(decoder_workspace_size(&config, TOKENS), 1e30F);
    (void)state;

    giver.key_value_sharing = KEY_VALUE_GIVEN;
    taker.key_value_sharing = KEY_VALUE_TAKEN;
    giver.key_value_place = taker.key_value_place = PLACE;
    begin(row, &config);
    memcpy(alone, row, prefix * STATE * sizeof *row);
    memcpy(alone + prefix * STATE, row + (prefix + 4) * STATE, 7 * STATE * sizeof *row); // the second branch
    decoder_layer_forward_tree(&config, &giver, &table, row, &tree, (float *)workspace);
    decoder_layer_forward_tree(&config, &taker, &table, row, &tree, (float *)workspace);
    decoder_layer_forward(&config, &giver, &table, alone, prefix + 7, (float *)workspace, NULL);
    decoder_layer_forward(&config, &taker, &table, alone, prefix + 7, (float *)workspace, NULL);
    assert_true(largest_difference(row + (prefix + 4) * STATE, alone + prefix * STATE, 7 * STATE) < 1e-5);
    assert_true(largest_difference(row, alone, prefix * STATE) < 1e-5);
}

// ---- what layers read of the tokens --------------------------------------------------------------------

// expected[HIDDEN] <- hidden + per_layer_norm(projection(gelu(gate(hidden)) * input)) of token `id`; the
// inputs of the two linears.
static void naive_per_layer(double *expected, float *gated, const struct decoder_layer *layer,
                            const float *hidden, const float *table, const float *own, size_t id)
{
    float scaled[HIDDEN], projected[SIZE], normed[SIZE], gate[SIZE], out[HIDDEN], added[HIDDEN];

    for (size_t i = 0; i < HIDDEN; i++)
        scaled[i] = 1.5F * table[id * HIDDEN + i];
    naive_linear(projected, scaled, layer->per_layer_input.projection.weight, NULL, 1, SIZE, HIDDEN);
    for (size_t i = 0; i < SIZE; i++)
        projected[i] = (float)((double)projected[i] / sqrt(HIDDEN));
    naive_norm(normed, projected, 1, SIZE, &layer->per_layer_input.norm, NORM_RMS, 1e-5);
    naive_linear(gate, hidden, layer->per_layer_gate.weight, NULL, 1, SIZE, HIDDEN);
    for (size_t i = 0; i < SIZE; i++) { // the second layer's part of the table's row
        const double input =
            ((double)normed[i] + 2.0 * (double)own[(id * LAYERS + 1) * SIZE + i]) / sqrt(2.0);
        gated[i] = (float)(naive_activation((double)gate[i], ACTIVATION_GELU_TANH) * input);
    }
    naive_linear(out, gated, layer->per_layer_projection.weight, NULL, 1, HIDDEN, SIZE);
    naive_norm(added, out, 1, HIDDEN, &layer->per_layer_norm, NORM_RMS, 1e-5);
    for (size_t i = 0; i < HIDDEN; i++)
        expected[i] = (double)hidden[i] + (double)added[i];
}

struct sources {
    size_t seen[8], count;
    float gate[TOKENS * HIDDEN], projection[TOKENS * SIZE];
};

static void note(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct sources *sources = context;

    assert_true(sources->count < 8);
    sources->seen[sources->count++] = source;
    if (source == 4 && channels == HIDDEN)
        memcpy(sources->gate, x, tokens * channels * sizeof *x);
    if (source == 5 && channels == SIZE)
        memcpy(sources->projection, x, tokens * channels * sizeof *x);
}

static void layers_read_their_part_of_the_tokens(void **state)
{
    const struct rotary_table angles = rotary();
    struct decoder_config config = config_with(CARRIED);
    struct decoder_layer layer = silent_layer();
    const float *table = random_floats(VOCABULARY * HIDDEN, 1.0F);
    const float *own = random_floats(VOCABULARY * LAYERS * SIZE, 1.0F);
    float states[TOKENS * STATE] = {0}, before[TOKENS * STATE];
    struct sources sources = {.count = 0};
    (void)state;

    config.per_layer_size = SIZE;
    layer.per_layer_gate = random_linear(SIZE, HIDDEN);
    layer.per_layer_projection = random_linear(HIDDEN, SIZE);
    layer.per_layer_norm = random_norm(HIDDEN);
    layer.per_layer_input = (struct per_layer_input){
        .tokens = {.table = table, .hidden_size = HIDDEN, .scale = 1.5F},
        .own = {.table = own + SIZE, .hidden_size = SIZE, .row_size = LAYERS * SIZE, .scale = 2.0F},
        .projection = random_linear(SIZE, HIDDEN),
        .norm = random_norm(SIZE),
        .norm_epsilon = 1e-5F};
    begin(states, &config);
    memcpy(before, states, sizeof states);
    run(states, &config, &layer, &angles, &(struct decoder_observer){.context = &sources, .input = note});
    for (size_t t = 0; t < TOKENS; t++) {
        double expected[HIDDEN];
        float gated[SIZE];
        naive_per_layer(expected, gated, &layer, before + t * STATE, table, own, t % VOCABULARY);
        for (size_t i = 0; i < HIDDEN; i++) {
            assert_close((double)states[t * STATE + i], expected[i], 1e-5);
            assert_close((double)sources.gate[t * HIDDEN + i], (double)before[t * STATE + i], 1e-6);
        }
        for (size_t i = 0; i < SIZE; i++)
            assert_close((double)sources.projection[t * SIZE + i], (double)gated[i], 1e-5);
    }
    assert_int_equal(sources.count, 6);
    for (size_t s = 0; s < 6; s++)
        assert_int_equal(sources.seen[s], s);
    for (size_t last = 4; last < 6; last++) {
        sources.count = 0;
        run(states, &config, &layer, &angles,
            &(struct decoder_observer){.context = &sources, .input = note, .stops = true, .last = last});
        assert_int_equal(sources.count, last + 1);
    }
}

// ---- experts beside an MLP -----------------------------------------------------------------------------

// added[HIDDEN] <- dense_output_norm(mlp(post_attention_norm(x))) + experts_output_norm(sum of share *
// expert( experts_norm(x))), shares from router(router_norm(x) / 4), over their sum, times the experts' own
// scales.
static void naive_beside(float *added, const struct decoder_layer *layer, const float *x)
{
    float read[HIDDEN], routed[HIDDEN], logits[EXPERTS], dense[HIDDEN], mixed[HIDDEN], out[HIDDEN];
    double sum = 0.0, mix[HIDDEN] = {0};
    size_t last = 0;

    naive_norm(routed, x, 1, HIDDEN, &layer->router_norm, NORM_RMS, 1e-5);
    for (size_t i = 0; i < HIDDEN; i++)
        routed[i] *= 0.25F;
    naive_linear(logits, routed, layer->router.weight, NULL, 1, EXPERTS, HIDDEN);
    for (size_t e = 1; e < EXPERTS; e++)
        last = logits[e] < logits[last] ? e : last; // two of three are taken
    for (size_t e = 0; e < EXPERTS; e++)
        sum += e != last ? exp((double)logits[e]) : 0.0;
    for (size_t e = 0; e <= EXPERTS; e++) { // the last one is the MLP
        const size_t skip = e < EXPERTS ? e * layer->expert_stride : 0;
        const struct linear *gate = e < EXPERTS ? &layer->expert_gate : &layer->gate;
        const struct linear *up = e < EXPERTS ? &layer->expert_up : &layer->up;
        const struct linear *down = e < EXPERTS ? &layer->expert_down : &layer->down;
        float inner[INNER], slab[INNER];
        naive_norm(read, x, 1, HIDDEN, e < EXPERTS ? &layer->experts_norm : &layer->post_attention_norm,
                   NORM_RMS, 1e-5);
        naive_linear(inner, read, gate->weight + skip, NULL, 1, INNER, HIDDEN);
        naive_linear(slab, read, up->weight + skip, NULL, 1, INNER, HIDDEN);
        for (size_t i = 0; i < INNER; i++)
            inner[i] = (float)(naive_activation((double)inner[i], ACTIVATION_GELU_TANH) * (double)slab[i]);
        naive_linear(out, inner, down->weight + skip, NULL, 1, HIDDEN, INNER);
        for (size_t i = 0; i < HIDDEN && e < EXPERTS && e != last; i++)
            mix[i] += exp((double)logits[e]) / sum * (double)layer->router_expert_scale[e] * (double)out[i];
    }
    naive_norm(dense, out, 1, HIDDEN, &layer->dense_output_norm, NORM_RMS, 1e-5);
    for (size_t i = 0; i < HIDDEN; i++)
        out[i] = (float)mix[i];
    naive_norm(mixed, out, 1, HIDDEN, &layer->experts_output_norm, NORM_RMS, 1e-5);
    for (size_t i = 0; i < HIDDEN; i++)
        added[i] = dense[i] + mixed[i];
}

static void experts_and_mlp_read_the_residual_stream(void **state)
{
    const struct rotary_table angles = rotary();
    struct decoder_config config = config_with(0);
    struct decoder_layer layer = random_layer();
    const float *experts = random_floats(3 * EXPERTS * INNER * HIDDEN, 0.5F);
    float states[TOKENS * HIDDEN], before[TOKENS * HIDDEN];
    (void)state;

    memset((float *)layer.o.weight, 0, sizeof(float) * HIDDEN * QUERY);
    config.num_experts = EXPERTS;
    config.num_experts_per_tok = 2;
    config.moe_intermediate_size = INNER;
    config.routing.normalise = true;
    config.experts_beside_mlp = true;
    config.router_input_scale = 0.25F;
    layer.router = random_linear(EXPERTS, HIDDEN);
    layer.router_expert_scale = random_floats(EXPERTS, 2.0F);
    layer.router_norm = random_norm(HIDDEN);
    layer.experts_norm = random_norm(HIDDEN);
    layer.dense_output_norm = random_norm(HIDDEN);
    layer.experts_output_norm = random_norm(HIDDEN);
    layer.expert_gate = (struct linear){.out = INNER, .in = HIDDEN, .weight = experts};
    layer.expert_up = (struct linear){.out = INNER, .in = HIDDEN, .weight = experts + INNER * HIDDEN};
    layer.expert_down = (struct linear){.out = HIDDEN, .in = INNER, .weight = experts + 2 * INNER * HIDDEN};
    layer.expert_stride = 3 * INNER * HIDDEN;
    layer.output_norm = random_norm(HIDDEN);
    begin(states, &config);
    memcpy(before, states, sizeof states);
    run(states, &config, &layer, &angles, NULL);
    for (size_t t = 0; t < TOKENS; t++) {
        float added[HIDDEN], normed[HIDDEN];
        naive_beside(added, &layer, before + t * HIDDEN);
        naive_norm(normed, added, 1, HIDDEN, &layer.output_norm, NORM_RMS, 1e-5);
        for (size_t i = 0; i < HIDDEN; i++)
            assert_close((double)states[t * HIDDEN + i], (double)before[t * HIDDEN + i] + (double)normed[i],
                         2e-5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_and_values_are_given_and_taken, free_floats),
        cmocka_unit_test_teardown(in_a_tree_the_same_is_given_and_taken, free_floats),
        cmocka_unit_test_teardown(layers_read_their_part_of_the_tokens, free_floats),
        cmocka_unit_test_teardown(experts_and_mlp_read_the_residual_stream, free_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
