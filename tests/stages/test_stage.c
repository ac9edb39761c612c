// The words that stages share: whose hidden states, which weights are written, which linears are pruned, and
// how ranks agree at a safe point.
// ranks: 1 3
#include "stages/stage.h"
#include "stages/work.h"
#include "tests/support/small_model.h"

#include <stdlib.h>
#include <string.h>

static void hidden_states_are_the_variants_own_once_its_layers_differ(void **state)
{
    struct settings settings = {.propagation = PROPAGATION_DENSE};
    struct variant plain = {.name = "plain"}, matched = {.name = "matched", .output = MATCHING_MOMENT};
    (void)state;

    assert_string_equal(stream_name(&settings, NULL), "dense");
    assert_string_equal(stream_name(&settings, &matched), "dense");
    assert_string_equal(hidden_stream(&settings, NULL), "dense");
    assert_string_equal(hidden_stream(&settings, &plain), "dense");
    assert_string_equal(hidden_stream(&settings, &matched), "matched"); // matching needs both streams
    settings.propagation = PROPAGATION_PRUNED;
    assert_string_equal(stream_name(&settings, NULL), "dense");
    assert_string_equal(stream_name(&settings, &plain), "plain");
    assert_string_equal(hidden_stream(&settings, &plain), "plain");
}

static void weights_are_written_where_a_mask_does_not_say_all(void **state)
{
    struct settings settings = {.keep_weights = false};
    const struct variant plain = {.guard = true}, columns = {.energy_columns = true},
                         rows = {.energy_rows = true}, bias = {.bias = true},
                         matched = {.output = MATCHING_MIXED};
    (void)state;

    assert_false(weights_are_written(&settings, &plain));
    assert_true(weights_are_written(&settings, &columns));
    assert_true(weights_are_written(&settings, &rows));
    assert_true(weights_are_written(&settings, &bias));
    assert_true(weights_are_written(&settings, &matched));
    settings.keep_weights = true;
    assert_true(weights_are_written(&settings, &plain));
}

static void outputs_are_measured_to_match_or_to_guard_or_to_choose(void **state)
{
    struct variant variant = {.method = METHOD_WANDA, .energy_rows = true};
    (void)state;

    assert_false(variant_reads_states(&variant));
    variant.guard = true;
    assert_true(variant_measures(&variant));
    variant.energy_rows = false; // nothing to guard
    assert_false(variant_measures(&variant));
    variant.bias = true;
    assert_true(variant_measures(&variant) && variant_matches(&variant));
    variant = (struct variant){.method = METHOD_AUTO};
    assert_false(variant_measures(&variant));
    assert_true(variant_reads_states(&variant));
}

static void a_pattern_means_a_linear_in_all_layers_or_in_one(void **state)
{
    struct skip skip[] = {
        {(char *)"mlp.down_proj", 0}, {(char *)"layers.0.*", 0}, {(char *)"*.experts.1.*", 0}};
    const struct settings settings = {.skip = skip, .num_skip = 3};
    const struct layer_tensor norm = {.linear = ""}, down = {.linear = "mlp.down_proj"},
                              up = {.linear = "mlp.up_proj"};
    (void)state;

    assert_true(linear_is_skipped(&settings, 7, "mlp.down_proj"));
    assert_true(linear_is_skipped(&settings, 0, "mlp.up_proj"));
    assert_false(linear_is_skipped(&settings, 10, "mlp.up_proj"));
    assert_true(linear_is_skipped(&settings, 3, "mlp.experts.1.up_proj"));
    assert_false(linear_is_skipped(&settings, 3, "mlp.experts.11.up_proj"));
    assert_false(tensor_is_pruned(&settings, 1, &norm));
    assert_false(tensor_is_pruned(&settings, 1, &down));
    assert_true(tensor_is_pruned(&settings, 1, &up));
}

static void of_the_ratios_that_fit_the_last_one_counts(void **state)
{
    struct ratio ratios[] = {{.pattern = (char *)"mlp.*", .sparsity = 0.3},
                             {.pattern = (char *)"layers.2.*", .sparsity = 0.6}};
    const struct settings settings = {.ratios = ratios, .num_ratios = 2};
    (void)state;

    assert_null(linear_ratio(&settings, 0, "self_attn.q_proj"));
    assert_ptr_equal(linear_ratio(&settings, 0, "mlp.up_proj"), &ratios[0]);
    assert_ptr_equal(linear_ratio(&settings, 2, "mlp.up_proj"), &ratios[1]);
}

// Two operations for each weight and token; q k^T and its product with v: two products of head_dim for each
// pair of a query head, over half of tokens x tokens.
static void work_is_counted_in_operations(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct layer_map map;
    struct error err = {0};
    (void)state;

    for (size_t experts = 0; experts <= 4; experts += 4) {
        shape.checkpoint.experts = experts;
        small_model_open(&small, &shape);
        assert_ok(layer_map_create(&map, small.model, 0, &err), err);
        const double attention_weights = 2 * 20 * 20 + 2 * 20 * 10, mlp_weights = 3 * 20 * 36;
        const double mlps = experts > 0 ? 2 : 1; // a token takes two experts
        const double expected =
            2 * 12 * (attention_weights + mlps * mlp_weights) + 2 * 2 * (12.0 * 12 / 2) * (2 * 10);
        assert_true(layer_forward_work(small.model, &map, 12) == expected);
        layer_map_free(&map);
        small_model_close(&small);
    }
}

// ---- safe points -----------------------------------------------------------------------------------------

struct listener {
    bool stop;
    double fraction, work;
};

static bool should_stop(void *context, double fraction)
{
    struct listener *listener = context;
    listener->fraction = fraction;
    return listener->stop;
}

static void advance(void *context, double work)
{
    ((struct listener *)context)->work += work;
}

static void one_rank_that_is_told_to_stop_stops_all(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const int last = mpi_size() - 1;
    struct listener listener = {.stop = false};
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.stage.hooks =
        (struct stage_hooks){.context = &listener, .should_stop = should_stop, .advance = advance};
    assert_ok(stage_safe_point(&small.stage, STATUS_OK, 0.25, &err), err);
    assert_true(listener.fraction == 0.25);
    listener.stop = mpi_rank() == last;
    assert_int_equal(stage_safe_point(&small.stage, STATUS_OK, 0.5, &err), STATUS_STOPPED);
    stage_advance(&small.stage, 3);
    stage_advance(&small.stage, 4);
    assert_true(listener.work == 7);
    small.stage.hooks = (struct stage_hooks){0};
    stage_advance(&small.stage, 3); // nobody listens
    stage_notice(&small.stage, "nobody listens");
    small_model_close(&small);
}

static void a_failure_on_one_rank_outweighs_a_stop_on_another(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const int last = mpi_size() - 1;
    struct listener listener = {.stop = mpi_rank() == 0 && mpi_rank() != last};
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.stage.hooks = (struct stage_hooks){.context = &listener, .should_stop = should_stop};
    const enum status mine =
        mpi_rank() == last ? error_set(&err, STATUS_INPUT, "the third weight is NaN") : STATUS_OK;
    assert_int_equal(stage_safe_point(&small.stage, mine, 0, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "the third weight is NaN");
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(hidden_states_are_the_variants_own_once_its_layers_differ),
        mpi_unit_test(weights_are_written_where_a_mask_does_not_say_all),
        mpi_unit_test(outputs_are_measured_to_match_or_to_guard_or_to_choose),
        mpi_unit_test(a_pattern_means_a_linear_in_all_layers_or_in_one),
        mpi_unit_test(of_the_ratios_that_fit_the_last_one_counts),
        mpi_unit_test(work_is_counted_in_operations),
        mpi_unit_test(one_rank_that_is_told_to_stop_stops_all),
        mpi_unit_test(a_failure_on_one_rank_outweighs_a_stop_on_another),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
