// ranks: 1 3
// wrap: decoder_layer_forward
// The work that is planned for a unit, against what the stage does: the passes through layers that it makes,
// the work that it reports as its progress, the time that it takes.
#include "kernels/pruning/masks/candidates.h"
#include "pipeline/plan/costs/sizes.h"
#include "pipeline/plan/costs/unit_cost.h"
#include "stages/budget/held_out.h"
#include "stages/compensate/compensate.h"
#include "stages/evaluate/perplexity.h"
#include "stages/joint/joint.h"
#include "stages/layer/calibrate.h"
#include "stages/prune/curves.h"
#include "stages/prune/prune.h"
#include "stages/work.h"
#include "tests/support/small_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Tokens that this rank has passed through whole layers, and processor seconds that it took.
static double passed;
static double passed_in_part; // up to an input
static double seconds_in_layers;

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

__typeof__(decoder_layer_forward) __real_decoder_layer_forward, __wrap_decoder_layer_forward;
void __wrap_decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                                  const struct rotary_table *rotary, float *hidden, size_t tokens,
                                  float *workspace, const struct decoder_observer *observer)
{
    const double before = processor_seconds();
    // One that stops at an input does not go through the whole layer.
    *(observer == NULL || !observer->stops ? &passed : &passed_in_part) += (double)tokens;
    __real_decoder_layer_forward(config, layer, rotary, hidden, tokens, workspace, observer);
    seconds_in_layers += processor_seconds() - before;
}

// Sequences that all ranks have passed since the last call.
static double passed_sequences(const struct small_model *small)
{
    double all = 0;
    assert_int_equal(MPI_Allreduce(&passed, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD), MPI_SUCCESS);
    passed = 0;
    return all / (double)small->settings.length;
}

static double reported;

static void add_progress(void *context, double work)
{
    (void)context;
    reported += work;
}

static double reported_work(void)
{
    const double work = reported;
    reported = 0;
    return work;
}

static struct sizes sizes_of(struct small_model *small)
{
    struct sizes sizes;
    struct error err = {0};
    small->stage.hooks.advance = add_progress;
    reported = passed = 0;
    assert_ok(sizes_measure(&sizes, small->model, &small->settings, &err), err);
    return sizes;
}

static double planned(const struct sizes *sizes, enum stage_kind stage, const struct variant *variant,
                      long layer)
{
    return unit_work(sizes, &(struct unit){.stage = stage, .variant = variant, .layer = layer});
}

static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * fabs(b)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void score(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    assert_ok(prune_layer(&small->stage, &small->weights, &variant, 1, layer, &err), err);
}

static void compensate(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    assert_ok(compensate_layer(&small->stage, &small->weights, variant, layer, &err), err);
}

static void calibration_and_propagation_report_what_is_planned(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    struct sizes sizes = sizes_of(&small);
    passed_sequences(&small);
    assert_ok(calibrate_layer(&small.stage, &small.weights, "dense", 0, CALIBRATE_OUTPUTS, &err), err);
    assert_close(reported_work(), planned(&sizes, STAGE_CALIBRATE, NULL, 0));
    assert_close(planned(&sizes, STAGE_CALIBRATE, NULL, 0),
                 passed_sequences(&small) * sizes.layers[0].forward);
    assert_ok(propagate_layer(&small.stage, &small.weights, "dense", 1, NULL, &err), err);
    assert_close(reported_work(), planned(&sizes, STAGE_PROPAGATE, NULL, 1));
    assert_close(planned(&sizes, STAGE_PROPAGATE, NULL, 1),
                 passed_sequences(&small) * sizes.layers[1].forward);
    sizes_free(&sizes);
    small_model_close(&small);
}

static void masks_and_weights_report_what_is_planned(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "half", METHOD_WANDA);
    variant->energy_columns = variant->energy_rows = true;
    struct sizes sizes = sizes_of(&small);
    small_model_calibrate(&small, false);
    reported_work();
    score(&small, variant, 1);
    assert_close(reported_work(), planned(&sizes, STAGE_SCORE, variant, 1));
    compensate(&small, variant, 1);
    assert_close(reported_work(), planned(&sizes, STAGE_COMPENSATE, variant, 1));
    sizes_free(&sizes);
    small_model_close(&small);
}

// Passes of sequences, of 16, up to an input while a layer with so many experts is solved for.
static double passes_of_solving(size_t experts)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;

    shape.checkpoint.experts = experts;
    shape.sequences = 16;
    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "solved", METHOD_MAGNITUDE);
    variant->output = MATCHING_LEAST_SQUARES;
    small_model_calibrate(&small, false);
    score(&small, variant, 1);
    passed_in_part = 0;
    compensate(&small, variant, 1);
    passed = passed_in_part;
    const double passes = passed_sequences(&small);
    small_model_close(&small);
    return passes;
}

// The equations of all experts are gathered in the same passes, one for gate and up and one for down. What
// grows are the two sequences of each expert that are measured.
static void more_experts_take_no_more_passes(void **state)
{
    (void)state;
    const double more = passes_of_solving(4) - passes_of_solving(2);
    if (!(more <= 2 * 2 * 2 * 2))
        fail_msg("%g passes more", more);
}

// Sequences that the curves of a layer pass, through the layers before it once, and through it and those
// after it once for each candidate and once for the dense model; three layers, so that some lie before and
// some after.
static void curves_report_what_is_planned(void **state)
{
    static const size_t sequences[] = {4, 5, 16};
    (void)state;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        struct small_model_shape shape = small_model_shape();
        struct skip skip = {(char *)"layers.*.self_attn.*", 0};
        struct small_model small;
        struct error err = {0};
        shape.checkpoint.layers = 3;
        small_model_open(&small, &shape);
        small.settings.skip = &skip;
        small.settings.num_skip = 1;
        struct variant *variant = small_model_add(&small, "measured", METHOD_WANDA);
        variant->allocation = ALLOCATION_MEASURED;
        variant->measured_sequences = sequences[i];
        small_model_calibrate(&small, false);
        struct sizes sizes = sizes_of(&small);
        passed_sequences(&small);
        reported_work();
        assert_ok(curves_layer(&small.stage, &small.weights, variant, 1, &err), err);
        const double work = planned(&sizes, STAGE_CURVES, variant, 1);
        const double judges = sequences[i] < 5 ? (double)sequences[i] : 5;
        const double candidates = (3 + 1) * 7; // of the MLP's linears and of all of them together
        assert_close(reported_work(), work);
        assert_close(passed_sequences(&small), judges * (1 + 2 * (1 + candidates)));
        assert_close(work, judges * (sizes.layers[0].forward * (1 + 2 * (1 + candidates)) +
                                     (1 + candidates) * lm_head_work(small.model, 12)));
        sizes_free(&sizes);
        small_model_close(&small);
    }
}

// The method auto passes the held-out sequences, the guard as well, through the layer for each input; nine
// sequences, of which one is held out, and one, which cannot be.
static void trials_pass_as_many_sequences_as_are_planned(void **state)
{
    static const size_t sequences[] = {16, 9, 1};
    (void)state;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        struct small_model_shape shape = small_model_shape();
        struct small_model small;
        shape.sequences = sequences[i];
        small_model_open(&small, &shape);
        struct variant *chosen = small_model_add(&small, "auto", METHOD_AUTO);
        struct variant *guarded = small_model_add(&small, "guarded", METHOD_MAGNITUDE);
        guarded->energy_columns = guarded->energy_rows = guarded->guard = true;
        struct sizes sizes = sizes_of(&small);
        const struct layer_size *layer = &sizes.layers[0];
        small_model_calibrate(&small, false);
        passed_sequences(&small);

        size_t candidates;
        importance_candidates(&candidates);
        reported_work();
        score(&small, chosen, 0);
        assert_close(reported_work(), planned(&sizes, STAGE_SCORE, chosen, 0));
        assert_close(planned(&sizes, STAGE_SCORE, chosen, 0),
                     passed_sequences(&small) * layer->forward +
                         (double)(1 + candidates) * score_work(layer->pruned));

        score(&small, guarded, 0);
        passed_sequences(&small);
        compensate(&small, guarded, 0);
        const double held_out = sequences[i] >= 16 ? 2 : 1;
        // Measuring stops at each input, and multiplies with three kinds of weights.
        assert_close(planned(&sizes, STAGE_COMPENSATE, guarded, 0),
                     passed_sequences(&small) * layer->forward +
                         held_out * (layer->group_passes + 3 * layer->products) +
                         compensate_work(layer->pruned));
        sizes_free(&sizes);
        small_model_close(&small);
    }
}

// Whatever is done to make good what pruning takes away, on layers with and without experts. Of alps the
// steps and penalties that it usually takes are planned.
static void compensation_and_solving_report_what_is_planned(void **state)
{
    static const struct {
        enum method method;
        enum matching output;
        bool energy, bias, guard;
        enum drift drift;
    } cases[] = {{METHOD_MAGNITUDE, MATCHING_LEAST_SQUARES, false, false, true, DRIFT_IGNORED},
                 {METHOD_MAGNITUDE, MATCHING_LEAST_SQUARES, false, true, false, DRIFT_IGNORED},
                 {METHOD_WANDA, MATCHING_MIXED, true, true, true, DRIFT_IGNORED},
                 {METHOD_WANDA, MATCHING_REGRESSION, false, false, false, DRIFT_IGNORED},
                 {METHOD_WANDA, MATCHING_LEAST_SQUARES, false, false, true, DRIFT_CORRECTED},
                 {METHOD_ALPS, MATCHING_OFF, false, false, true, DRIFT_IGNORED},
                 {METHOD_ADMM, MATCHING_LEAST_SQUARES, false, false, false, DRIFT_IGNORED},
                 {METHOD_AUTO, MATCHING_OFF, true, false, true, DRIFT_IGNORED}};
    (void)state;
    for (size_t experts = 0; experts <= 2; experts += 2) {
        struct small_model_shape shape = small_model_shape();
        struct small_model small;
        struct error err = {0};
        shape.checkpoint.experts = experts;
        shape.sequences = 17; // enough tokens for each expert to be solved for
        small_model_open(&small, &shape);
        struct sizes sizes = sizes_of(&small);
        small_model_calibrate(&small, false);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char name[8];
            snprintf(name, sizeof name, "v%zu", i);
            struct variant *variant = small_model_add(&small, name, cases[i].method);
            variant->output = cases[i].output;
            variant->energy_columns = variant->energy_rows = cases[i].energy;
            variant->bias = cases[i].bias;
            variant->guard = cases[i].guard;
            variant->drift = cases[i].drift;
            reported_work();
            if (variant_is_joint(variant))
                assert_ok(joint_layer(&small.stage, &small.weights, variant, 0, &err), err);
            else
                score(&small, variant, 0);
            assert_close(reported_work(), planned(&sizes, STAGE_SCORE, variant, 0));
            compensate(&small, variant, 0);
            assert_close(reported_work(), planned(&sizes, STAGE_COMPENSATE, variant, 0));
        }
        sizes_free(&sizes);
        small_model_close(&small);
    }
}

// Orders of channels: of every method, of experts, of heads that cannot be cut, and of two variants that
// share an order.
static void orders_of_channels_report_what_is_planned(void **state)
{
    static const struct {
        enum method method;
        size_t experts, of, count;
    } cases[] = {{METHOD_RIA, 0, 4, 1},   {METHOD_SPARSEGPT, 0, 4, 2}, {METHOD_AUTO, 0, 4, 1},
                 {METHOD_WANDA, 3, 4, 1}, {METHOD_WANDA, 0, 8, 2},     {METHOD_MAGNITUDE, 0, 1, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small_model_shape shape = small_model_shape();
        struct small_model small;
        struct error err = {0};
        shape.checkpoint.hidden = 48;
        shape.checkpoint.heads = 4; // of 12 channels
        shape.checkpoint.kv_heads = 2;
        shape.checkpoint.intermediate = 40;
        shape.checkpoint.experts = cases[i].experts;
        small_model_open(&small, &shape);
        const struct variant *variants[2];
        for (size_t k = 0; k < cases[i].count; k++) {
            struct variant *variant = small_model_add(&small, k == 0 ? "a" : "b", cases[i].method);
            variant->is_pattern = variant->permute = true;
            variant->keep = 1;
            variant->of = cases[i].of;
            variants[k] = variant;
        }
        struct sizes sizes = sizes_of(&small);
        small_model_calibrate(&small, true);
        reported_work();
        assert_ok(prune_layer(&small.stage, &small.weights, variants, cases[i].count, 0, &err), err);
        const double orders = ordering_of(&sizes, 0, variants[0]).gains;
        assert_true(orders > 0);
        assert_close(reported_work(), (double)cases[i].count * planned(&sizes, STAGE_SCORE, variants[0], 0));
        sizes_free(&sizes);
        small_model_close(&small);
    }
}

// Hessians, their factors and corrections, of one mask and of two that share the factors.
static void second_order_masks_report_what_is_planned(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *const variants[] = {small_model_add(&small, "half", METHOD_SPARSEGPT),
                                              small_model_add(&small, "more", METHOD_SPARSEGPT)};
    small.variants[1].sparsity = 0.75;
    struct sizes sizes = sizes_of(&small);
    assert_ok(calibrate_layer(&small.stage, &small.weights, "dense", 0, CALIBRATE_OUTPUTS | CALIBRATE_HESSIAN,
                              &err),
              err);
    assert_close(reported_work(), planned(&sizes, STAGE_CALIBRATE, NULL, 0));
    for (size_t count = 1; count <= 2; count++) {
        assert_ok(prune_layer(&small.stage, &small.weights, variants, count, 0, &err), err);
        assert_close(reported_work(), (double)count * planned(&sizes, STAGE_SCORE, variants[0], 0));
    }
    sizes_free(&sizes);
    small_model_close(&small);
}

// The text of a real evaluation is longer or shorter than the plan's guess; each of its windows is as
// planned.
static void windows_report_what_is_planned(void **state)
{
    enum { WINDOWS = 4, LENGTH = 10 };
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct perplexity result;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.evaluate_length = LENGTH;
    const struct evaluation_windows windows = {.ids = small.ids, .count = WINDOWS, .length = LENGTH};
    struct sizes sizes = sizes_of(&small);
    assert_ok(evaluate_perplexity(&result, &small.stage, &small.weights, &windows, NULL, &err), err);
    assert_close(reported_work() / WINDOWS,
                 planned(&sizes, STAGE_EVALUATE, NULL, NO_LAYER) / planned_windows(&small.settings, 0));
    sizes_free(&sizes);
    small_model_close(&small);
}

// Of a text that is there the size says how many windows there are, about.
static void windows_are_planned_by_the_size_of_the_text(void **state)
{
    char path[PATH_SIZE], packed[PATH_SIZE + 3];
    struct text_settings text = {.data = path, .is_plain = true};
    struct settings settings = {.num_texts = 1, .texts = &text, .evaluate_length = 10};
    (void)state;

    snprintf(path, sizeof path, "%s/text.%d.txt", mpi_test_directory(), mpi_rank());
    assert_true(planned_windows(&settings, 0) == 300000 / 10);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fprintf(file, "%4001s", ""), 4001); // of 1000 tokens and a part of one
    assert_int_equal(fclose(file), 0);
    assert_true(planned_windows(&settings, 0) == 101);
    // Memory: a text, and a corpus of one document, are tokenised whole.
    assert_true(longest_text_bytes(&settings) == 5 * 4001);
    settings.num_texts = 0;
    settings.corpus = path;
    assert_true(longest_text_bytes(&settings) == 5 * 4001);
    file = fopen(path, "w"); // lines of JSON are documents
    assert_non_null(file);
    assert_int_equal(fprintf(file, "{\"text\": \"%3986s\"}\n", ""), 3999);
    assert_int_equal(fclose(file), 0);
    assert_true(longest_text_bytes(&settings) == 3999);
    settings.corpus = NULL;
    settings.num_texts = 1;
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fprintf(file, "%4001s", ""), 4001);
    assert_int_equal(fclose(file), 0);
    snprintf(packed, sizeof packed, "%s.gz", path);
    assert_int_equal(rename(path, packed), 0);
    text.data = packed;
    assert_true(planned_windows(&settings, 0) == 267); // text takes a third of its bytes, and a little more
    settings.num_texts = 0;
    assert_true(planned_windows(&settings, 0) == 300000 / 10);
}

// So is each sequence of the text that a budget is judged by, for the dense model and for an attempt.
static void attempts_report_what_is_planned(void **state)
{
    enum { WINDOWS = 4 };
    const struct small_model_shape shape = small_model_shape();
    const struct variant searched = {.name = "searched"};
    const struct variant attempt = {.name = "searched~1", .base = &searched, .attempt = 1};
    struct small_model small;
    struct perplexity result;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    const struct evaluation_windows windows = {.ids = small.ids, .count = WINDOWS, .length = shape.length};
    struct sizes sizes = sizes_of(&small);
    assert_ok(evaluate_perplexity(&result, &small.stage, &small.weights, &windows, NULL, &err), err);
    const double work = reported_work() / WINDOWS * BUDGET_SEQUENCES;
    assert_close(work, planned(&sizes, STAGE_ATTEMPT, NULL, NO_LAYER));
    assert_close(work, planned(&sizes, STAGE_ATTEMPT, &attempt, NO_LAYER));
    assert_true(planned(&sizes, STAGE_ATTEMPT, &searched, NO_LAYER) == 0); // the end of the search
    sizes_free(&sizes);
    small_model_close(&small);
}

// The seconds of a calibration on one rank, at the rate that this machine has for a layer in this very test.
// Processor time: others may be busy. A calibration also sums statistics and writes files, which for layers
// as small as these is half as much again: work that is counted twice gives 0.75 of the estimate, work that
// is half forgotten 3 times.
static void an_estimate_is_the_time_that_is_measured(void **state)
{
    enum { LAYERS = 6, SEQUENCES = 12 };
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct estimate estimate = {0};
    struct machine machine;
    (void)state;

    if (mpi_size() > 1)
        return; // ranks would wait for one another, busily
#ifdef COPPICE_SANITIZE
    return; // sanitizers slow down some code more than other
#endif
    shape.checkpoint.hidden = 192;
    shape.checkpoint.intermediate = 768;
    shape.checkpoint.layers = LAYERS;
    shape.sequences = SEQUENCES;
    shape.length = 256;
    small_model_open(&small, &shape);
    struct sizes sizes = sizes_of(&small);
    small_model_calibrate(&small, false); // once, to have code and memory in place
    passed_sequences(&small);
    seconds_in_layers = 0;
    const double before = processor_seconds();
    small_model_calibrate(&small, false);
    const double measured = processor_seconds() - before;

    machine_default(&machine, 1);
    machine.flops = passed_sequences(&small) * sizes.layers[0].forward / seconds_in_layers;
    struct worker worker = {.sizes = &sizes,
                            .machine = &machine,
                            .ranks = 1,
                            .nodes = 1,
                            .copies = 1,
                            .node_read = machine.node_read,
                            .node_write = machine.node_write};
    for (long layer = 0; layer < LAYERS; layer++)
        unit_time(&worker, &estimate, &(struct unit){.stage = STAGE_CALIBRATE, .layer = layer});
    const double estimated = estimate.parts[PART_ARITHMETIC];
    if (!(measured > 0.9 * estimated && measured < 2.5 * estimated))
        fail_msg("%.3f s measured, %.3f s estimated", measured, estimated);
    sizes_free(&sizes);
    small_model_close(&small);
}

// A team of one rank factors as long whether it has the node for itself or shares it with other teams; on two
// nodes of as many ranks each both factor the same.
static void a_factor_is_each_nodes_own_work(void **state)
{
    static const double nodes[] = {1, 0.5, 2}, ranks[] = {1, 1, 2};
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct machine machine;
    double seconds[3];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = small_model_add(&small, "half", METHOD_SPARSEGPT);
    struct sizes sizes = sizes_of(&small);
    machine_default(&machine, 1);
    sizes.layers[0].factoring = 1e15; // nothing else counts
    for (size_t i = 0; i < 3; i++) {
        struct estimate estimate = {0};
        struct worker worker = {.sizes = &sizes,
                                .machine = &machine,
                                .ranks = ranks[i],
                                .nodes = nodes[i],
                                .copies = nodes[i] > 1 ? nodes[i] : 1,
                                .node_read = machine.node_read,
                                .node_write = machine.node_write};
        unit_time(&worker, &estimate, &(struct unit){.stage = STAGE_SCORE, .variant = variant, .layer = 0});
        seconds[i] = estimate.parts[PART_ARITHMETIC];
    }
    assert_true(fabs(seconds[1] / seconds[0] - 1) < 1e-3);
    assert_true(fabs(seconds[2] / seconds[0] - 1) < 1e-3);
    sizes_free(&sizes);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(calibration_and_propagation_report_what_is_planned),
        mpi_unit_test(masks_and_weights_report_what_is_planned),
        mpi_unit_test(more_experts_take_no_more_passes),
        mpi_unit_test(curves_report_what_is_planned),
        mpi_unit_test(trials_pass_as_many_sequences_as_are_planned),
        mpi_unit_test(compensation_and_solving_report_what_is_planned),
        mpi_unit_test(orders_of_channels_report_what_is_planned),
        mpi_unit_test(second_order_masks_report_what_is_planned),
        mpi_unit_test(windows_report_what_is_planned),
        mpi_unit_test(windows_are_planned_by_the_size_of_the_text),
        mpi_unit_test(attempts_report_what_is_planned),
        mpi_unit_test(a_factor_is_each_nodes_own_work),
        mpi_unit_test(an_estimate_is_the_time_that_is_measured),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
