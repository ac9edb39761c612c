// One pass through a decoder layer: who watches it, where it ends, its bits and its memory.
#include "kernels/threads.h"
#include "tests/support/small_decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    const struct decoder_trace *trace;
    size_t calls;
};

static void look(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct seen *seen = context;
    const float *expected[] = {seen->trace->attention, seen->trace->output, seen->trace->mlp,
                               seen->trace->down};
    const size_t sizes[] = {HIDDEN, QUERY, HIDDEN, INTERMEDIATE};
    assert_int_equal(source, seen->calls++); // in order, each once
    assert_int_equal(tokens, TOKENS);
    assert_int_equal(channels, sizes[source]);
    assert_close(largest_difference(x, expected[source], tokens * channels), 0.0, DECODER_TOLERANCE);
}

static void the_observer_sees_the_input_of_every_linear_once(void **state)
{
    static struct decoder_trace trace;
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    naive_decoder_layer(&trace, &config, &layer, hidden, NULL);
    struct seen seen = {.trace = &trace};
    run_layer(hidden, &config, &layer, &(struct decoder_observer){.context = &seen, .input = look}, NULL);
    assert_int_equal(seen.calls, 4);
    free(hidden);
    free_layer(&layer);
}

static void an_observer_that_has_seen_enough_ends_the_pass(void **state)
{
    static struct decoder_trace trace;
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    naive_decoder_layer(&trace, &config, &layer, hidden, NULL);
    for (size_t last = 0; last < 4; last++) {
        struct seen seen = {.trace = &trace};
        float *copy = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
        run_layer(copy, &config, &layer,
                  &(struct decoder_observer){.context = &seen, .input = look, .stops = true, .last = last},
                  NULL);
        assert_int_equal(seen.calls, last + 1);
        free(copy);
    }
    free(hidden);
    free_layer(&layer);
}

static void bits_are_the_same_for_one_and_two_threads(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    float *one = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    threads_set(1);
    run_layer(one, &config, &layer, NULL, NULL);
    float *two = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    threads_set(2);
    run_layer(two, &config, &layer, NULL, NULL);
    assert_memory_equal(one, two, TOKENS * HIDDEN * sizeof *one);
    free(two);
    threads_set(1);
    free(one);
    free_layer(&layer);
}

static void an_mlp_wider_than_a_slab(void **state)
{
    (void)state;
    enum { WIDE = 2500, FEW = 3 };
    struct decoder_config config = small_config();
    config.intermediate_size = WIDE;
    struct decoder_layer layer = random_layer(false);
    struct linear *mlp[] = {&layer.gate, &layer.up, &layer.down};
    for (size_t i = 0; i < 3; i++)
        free((void *)mlp[i]->weight);
    layer.gate = random_linear(WIDE, HIDDEN, true, 7);
    layer.up = random_linear(WIDE, HIDDEN, true, 8);
    layer.down = random_linear(HIDDEN, WIDE, false, 9);
    memset((void *)layer.o.weight, 0, sizeof(float) * HIDDEN * QUERY); // the MLP alone

    float *hidden = uniform_floats(FEW * HIDDEN, 1.0F, 50),
          *expected = uniform_floats(FEW * HIDDEN, 1.0F, 50);
    float *x = uniform_floats(FEW * HIDDEN, 1, 0), *delta = uniform_floats(FEW * HIDDEN, 1, 0);
    float *gate = uniform_floats(FEW * WIDE, 1, 0), *up = uniform_floats(FEW * WIDE, 1, 0);
    naive_norm(x, expected, FEW, HIDDEN, &layer.post_attention_norm, NORM_RMS, 1e-5);
    naive_linear(gate, x, layer.gate.weight, layer.gate.bias, FEW, WIDE, HIDDEN);
    naive_linear(up, x, layer.up.weight, layer.up.bias, FEW, WIDE, HIDDEN);
    for (size_t i = 0; i < (size_t)FEW * WIDE; i++)
        gate[i] = (float)naive_activation((double)gate[i], ACTIVATION_SILU) * up[i];
    naive_linear(delta, gate, layer.down.weight, NULL, FEW, HIDDEN, WIDE);
    for (size_t i = 0; i < (size_t)FEW * HIDDEN; i++)
        expected[i] += delta[i];

    struct rotary_table rotary = small_rotary(NULL);
    float *workspace = uniform_floats(decoder_workspace_size(&config, FEW), 1.0F, 1);
    decoder_layer_forward(&config, &layer, &rotary, hidden, FEW, workspace, NULL);
    // 2500 products of up to 0.4 * 10 each.
    assert_close(largest_difference(hidden, expected, (size_t)FEW * HIDDEN), 0.0, 1e-3);
    free(workspace);
    free_rotary(&rotary);
    free(hidden);
    free(expected);
    free(x);
    free(delta);
    free(gate);
    free(up);
    free_layer(&layer);
}

static void the_workspace_is_used_no_further_than_it_says(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    struct rotary_table rotary = small_rotary(NULL);
    const size_t size = decoder_workspace_size(&config, TOKENS), guard = 64;
    float *workspace = uniform_floats(size + guard, 1.0F, 1),
          *untouched = uniform_floats(size + guard, 1.0F, 1);
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    decoder_layer_forward(&config, &layer, &rotary, hidden, TOKENS, workspace, NULL);
    assert_memory_equal(workspace + size, untouched + size, guard * sizeof *workspace);
    free(workspace);
    free(untouched);
    free(hidden);
    free_rotary(&rotary);
    free_layer(&layer);
}

static void sequences_that_begin_alike_are_those_computed_alone(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    check_tree(&config, &layer, NULL);
    layer.sliding_window = 9;
    check_tree(&config, &layer, NULL);
    config.rotary_dim = 0;
    check_tree(&config, &layer, NULL);
    config.rotary_dim = HEAD_DIM;
    config.rotary_before_norm = true;
    layer.query_norm = layer.key_norm = (struct norm){.plain = true};
    check_tree(&config, &layer, NULL);
    free_layer(&layer);
}

static void a_layer_of_one_token(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    struct rotary_table rotary = small_rotary(NULL);
    float *all = uniform_floats(TOKENS * HIDDEN, 1.0F, 50), *one = uniform_floats(HIDDEN, 1.0F, 50);
    float *workspace = uniform_floats(decoder_workspace_size(&config, TOKENS), 1.0F, 1);
    decoder_layer_forward(&config, &layer, &rotary, all, TOKENS, workspace, NULL);
    decoder_layer_forward(&config, &layer, &rotary, one, 1, workspace, NULL);
    assert_close(largest_difference(one, all, HIDDEN), 0.0,
                 DECODER_TOLERANCE); // the first token sees itself alone
    decoder_layer_forward(&config, &layer, &rotary, one, 0, workspace, NULL); // and none is fine
    free(all);
    free(one);
    free(workspace);
    free_rotary(&rotary);
    free_layer(&layer);
}

static void note_source(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    (void)x;
    (void)tokens;
    (void)channels;
    *(unsigned *)context |= 1U << source;
}

// The sources that a layer with three experts, all of them taken, reports: bit s for source s.
static unsigned sources_of_experts(bool shared, bool stops, size_t last)
{
    enum { EXPERTS = 3 };
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    config.num_experts = config.num_experts_per_tok = EXPERTS;
    config.moe_intermediate_size = INTERMEDIATE;
    config.shared_expert_intermediate_size = INTERMEDIATE;
    layer.router = random_linear(EXPERTS, HIDDEN, false, 20);
    layer.expert_gate = layer.gate; // experts of equal weights
    layer.expert_up = layer.up;
    layer.expert_down = layer.down;
    if (shared)
        layer.shared_expert_gate = random_linear(1, HIDDEN, false, 21);
    struct decoder_layer used = layer;
    if (!shared)
        used.gate = used.up = used.down = (struct linear){0};
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    unsigned sources = 0;
    run_layer(
        hidden, &config, &used,
        &(struct decoder_observer){.context = &sources, .input = note_source, .stops = stops, .last = last},
        NULL);
    free(hidden);
    free_linear(&layer.router);
    free_linear(&layer.shared_expert_gate);
    free_layer(&layer);
    return sources;
}

static void experts_have_sources_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(sources_of_experts(false, false, 0), 0xff); // attention's two, then two for each expert
    assert_int_equal(sources_of_experts(true, false, 0), 0x3ff); // the shared expert's two between them
}

static void a_pass_ends_within_the_experts_too(void **state)
{
    (void)state;
    assert_int_equal(sources_of_experts(false, true, SOURCE_ATTENTION_OUTPUT), 0x3);
    assert_int_equal(sources_of_experts(false, true, SOURCE_EXPERTS + 2), 0x1f);
    assert_int_equal(sources_of_experts(true, true, SOURCE_MLP_DOWN), 0xf);
    assert_int_equal(sources_of_experts(true, true, SOURCE_EXPERTS_BESIDE_SHARED + 1), 0x3f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_observer_sees_the_input_of_every_linear_once),
        cmocka_unit_test(an_observer_that_has_seen_enough_ends_the_pass),
        cmocka_unit_test(bits_are_the_same_for_one_and_two_threads),
        cmocka_unit_test(an_mlp_wider_than_a_slab),
        cmocka_unit_test(the_workspace_is_used_no_further_than_it_says),
        cmocka_unit_test(sequences_that_begin_alike_are_those_computed_alone),
        cmocka_unit_test(a_layer_of_one_token),
        cmocka_unit_test(experts_have_sources_of_their_own),
        cmocka_unit_test(a_pass_ends_within_the_experts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
