// Masks and weights that are made together, against equations that are gathered and solved in plain loops,
// masks by sorting, and the objective that they are to lower.
// ranks: 1 3
#include "io/model/weights/checkpoint.h"
#include "stages/joint/joint.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/linear_record.h"
#include "tests/support/joint_variants.h"
#include "tests/support/naive_masks.h"
#include "tests/support/naive_splitting.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- what the file says ----------------------------------------------------------------------------------

// What results say of the linear; the caller frees it.
static json_t *record_of(const struct small_model *small, const struct variant *variant, size_t layer,
                         const char *linear)
{
    char *path = small_path(small, RUN_MASKS, variant->name, layer);
    json_t *record = json_object();
    struct store_reader *reader;
    struct error err = {0};

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(linear_record_add(record, reader, NULL, linear, &err), err);
    store_close(reader);
    free(path);
    return record;
}

static double number_of(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    if (!json_is_number(value))
        fail_msg("%s is not in the record", key);
    return json_number_value(value);
}

static bool flag_of(const json_t *record, const char *key)
{
    if (!json_is_boolean(json_object_get(record, key)))
        fail_msg("%s is not in the record", key);
    return json_is_true(json_object_get(record, key));
}

// ---- a linear, naively -----------------------------------------------------------------------------------

// A linear that the program pruned, and what is known of it without the program.
struct subject {
    size_t out, in;
    struct naive_equations equations;
    double *dense, *plus;           // [out, in] W0 and W+
    struct small_matrix weight;     // W+ as floats
    struct small_matrix written;    // by the program
    uint8_t *mask;                  // [out, in] by the program
    uint32_t *order;                // [in] or NULL
    struct small_statistics inputs; // of the pruned stream
};

static double *doubles(size_t count)
{
    double *x = calloc(count, sizeof *x);
    assert_non_null(x);
    return x;
}

static void subject_open(struct subject *subject, const struct naive_streams *streams, const char *linear,
                         bool expert)
{
    const struct naive_linear *dense = naive_linear_of(&streams->dense.layer, linear);
    const size_t out = dense->out, in = dense->in;
    struct naive_equations *equations = &subject->equations;

    *subject = (struct subject){.out = out, .in = in, .dense = dense->weight, .plus = doubles(out * in)};
    naive_equations_gather(equations, streams, linear, streams->small->settings.sequences, expert);
    subject->weight = (struct small_matrix){calloc(out * in, sizeof(float)), out, in};
    assert_non_null(subject->weight.values);
    for (size_t i = 0; i < out; i++)
        naive_solve_row(subject->plus + i * in, equations, dense->weight + i * in, NULL);
    for (size_t k = 0; k < out * in; k++)
        subject->weight.values[k] = (float)subject->plus[k];
    subject->written = naive_streams_written(streams, linear);
    subject->mask = small_mask(streams->small, streams->variant, streams->layer, linear);
    subject->order = small_order(streams->small, streams->variant, streams->layer, linear, in).columns;
    subject->inputs = (struct small_statistics){
        .count = equations->tokens, .channels = in, .variance = doubles(in), .second_moment = doubles(in)};
    for (size_t j = 0; j < in; j++) {
        const double mean = equations->sum[j] / (double)equations->tokens;
        subject->inputs.second_moment[j] = equations->g[j * in + j] / (double)equations->tokens;
        subject->inputs.variance[j] = subject->inputs.second_moment[j] - mean * mean;
    }
}

static void subject_close(struct subject *subject)
{
    naive_equations_free(&subject->equations);
    small_statistics_free(&subject->inputs);
    free(subject->plus);
    free(subject->weight.values);
    free(subject->written.values);
    free(subject->mask);
    free(subject->order);
}

static size_t column_at(const struct subject *subject, size_t place)
{
    return subject->order != NULL ? subject->order[place] : place;
}

// Every run of weights that the variant prunes by itself has exactly as many as it may keep.
static void assert_counts(const struct subject *subject, const struct variant *variant)
{
    const size_t in = subject->in, all = subject->out * in;
    const size_t run = variant->is_pattern ? variant->of : variant->group == GROUP_LAYER ? all : in;
    const size_t keep =
        variant->is_pattern ? variant->keep : run - (size_t)floor((double)run * variant->sparsity);

    for (size_t first = 0; first < all; first += run) {
        size_t kept = 0;
        for (size_t k = first; k < first + run; k++)
            kept += subject->mask[k / in * in + column_at(subject, k % in)];
        assert_int_equal(kept, keep);
    }
}

// The scores of the weights that the program keeps add up to nearly as much as those of the best mask in the
// linear's order: ten steps of conjugate gradients towards W+ leave the rest. It comes to 5e-4; behind
// attention, whose averages resemble one another, to 0.015; with 200 steps to 0.
static void assert_nearly_the_best(const struct subject *subject, const struct variant *variant,
                                   double missed)
{
    const size_t in = subject->in, all = subject->out * in;
    double *scores = naive_scores_of(variant, &subject->weight, &subject->inputs), *moved = doubles(all);
    double found = 0, most = 0;

    for (size_t k = 0; k < all; k++)
        moved[k] = scores[k / in * in + column_at(subject, k % in)];
    uint8_t *best = naive_mask(moved, &subject->weight, variant, variant->sparsity);
    for (size_t k = 0; k < all; k++) {
        found += subject->mask[k] ? scores[k] : 0;
        most += best[k] ? moved[k] : 0;
    }
    if (!(found >= (1 - missed) * most))
        fail_msg("%s: %.9g is kept of %.9g", variant->name, found, most);
    free(scores);
    free(moved);
    free(best);
}

// What a group of linears loses of what W+ would give.
static double loss_of_written(const struct subject *subject)
{
    double loss = 0;
    for (size_t i = 0; i < subject->out; i++) {
        double *row = doubles_of(subject->written.values + i * subject->in, subject->in);
        loss += naive_excess(row, subject->plus + i * subject->in, &subject->equations);
        free(row);
    }
    return loss;
}

// The same with wanda's mask of the dense weights and the exact solution for it.
static double loss_of_wanda(const struct subject *subject, const struct variant *variant)
{
    const size_t in = subject->in;
    struct variant wanda = *variant;
    struct small_matrix dense = {calloc(subject->out * in, sizeof(float)), subject->out, in};
    double *row = doubles(in), loss = 0;

    wanda.method = METHOD_WANDA;
    wanda.parameters = importance_defaults(METHOD_WANDA);
    assert_non_null(dense.values);
    for (size_t k = 0; k < subject->out * in; k++)
        dense.values[k] = (float)subject->dense[k];
    double *scores = naive_scores_of(&wanda, &dense, &subject->inputs);
    uint8_t *mask = naive_mask(scores, &dense, &wanda, wanda.sparsity);
    for (size_t i = 0; i < subject->out; i++) {
        naive_solve_row(row, &subject->equations, subject->dense + i * in, mask + i * in);
        loss += naive_excess(row, subject->plus + i * in, &subject->equations);
    }
    free(dense.values);
    free(scores);
    free(mask);
    free(row);
    return loss;
}

// ---- layers ----------------------------------------------------------------------------------------------

// Checks linears[], which share their input, and finishes them.
static void check_group(struct naive_streams *streams, const char *const *linears)
{
    const struct variant *variant = streams->variant;
    double found = 0, wanda = 0;

    for (const char *const *linear = linears; (*linear)[0] != '\0'; linear++) {
        struct subject subject;
        subject_open(&subject, streams, *linear, false);
        assert_counts(&subject, variant);
        if (variant->drift == DRIFT_CORRECTED) {
            assert_nearly_the_best(&subject, variant, behind_attention(*linear) ? 0.02 : 1e-3);
        } else {
            found += loss_of_written(&subject);
            wanda += loss_of_wanda(&subject, variant);
        }
        subject_close(&subject);
        assert_solved(streams, *linear, streams->small->settings.sequences, false);
    }
    if (variant->drift != DRIFT_CORRECTED && !(found < wanda))
        fail_msg("%s, %s: the loss is %g, with wanda's mask %g", variant->name, linears[0], found, wanda);
    naive_streams_finish(streams, linears);
}

static void check_layer(const struct small_model *small, const struct variant *variant, size_t layer)
{
    struct naive_streams streams;

    naive_streams_open(&streams, small, variant, layer, RUN_MASKS);
    for (size_t g = 0; g < 4; g++)
        check_group(&streams, naive_groups[g]);
    naive_streams_close(&streams);
}

static void masks_are_scored_on_the_weights_that_correct_the_drift(void **state)
{
    const struct small_model_shape shape = joint_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    joint_add(&small, "row", METHOD_WANDA);
    joint_add(&small, "ria", METHOD_RIA)->sparsity = 0.7;
    joint_add(&small, "layer", METHOD_MAGNITUDE)->group = GROUP_LAYER;
    joint_add_pattern(&small, "pattern", METHOD_CVR, false);
    joint_add_pattern(&small, "ordered", METHOD_WANDA, true);
    for (size_t k = 0; k < small.settings.num_variants; k++) {
        joint_prune(&small, &small.variants[k], 1);
        check_layer(&small, &small.variants[k], 1);
    }
    small_model_close(&small);
}

static void the_drift_of_earlier_layers_is_corrected_too(void **state)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_ADMM};
    const struct small_model_shape shape = joint_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    small.settings.propagation = PROPAGATION_PRUNED;
    for (size_t k = 0; k < 2; k++) {
        const struct variant *variant = joint_add(&small, k == 0 ? "drift" : "admm", methods[k]);
        joint_prune(&small, variant, 0);
        assert_ok(propagate_layer(&small.stage, &small.weights, variant->name, 0, variant, &err), err);
        joint_prune(&small, variant, 1);
        check_layer(&small, variant, 1);
    }
    small_model_close(&small);
}

static void splitting_loses_less_than_the_best_weights_for_wandas_mask(void **state)
{
    static const enum method methods[] = {METHOD_ALPS, METHOD_ADMM};
    const struct small_model_shape shape = joint_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    for (size_t k = 0; k < 2; k++) {
        joint_add(&small, k == 0 ? "alps-half" : "admm-half", methods[k]);
        joint_add(&small, k == 0 ? "alps-0.7" : "admm-0.7", methods[k])->sparsity = 0.7;
        joint_add(&small, k == 0 ? "alps-layer" : "admm-layer", methods[k])->group = GROUP_LAYER;
        joint_add_pattern(&small, k == 0 ? "alps-pattern" : "admm-pattern", methods[k], false);
        joint_add_pattern(&small, k == 0 ? "alps-ordered" : "admm-ordered", methods[k], true);
    }
    for (size_t k = 0; k < small.settings.num_variants; k++) {
        joint_prune(&small, &small.variants[k], 1);
        check_layer(&small, &small.variants[k], 1);
    }
    small_model_close(&small);
}

// The program's masks of the first group, to which no drift has come: W+ is W0. In float32 a score may pass
// another that is nearly its equal, and what follows differs: none here does.
static void masks_are_those_of_the_papers_formulas(void **state)
{
    const struct small_model_shape shape = joint_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    joint_add(&small, "admm", METHOD_ADMM);
    joint_add(&small, "admm-layer", METHOD_ADMM)->group = GROUP_LAYER;
    joint_add(&small, "alps", METHOD_ALPS)->sparsity = 0.7;
    joint_add(&small, "alps-layer", METHOD_ALPS)->group = GROUP_LAYER;
    joint_add_pattern(&small, "alps-pattern", METHOD_ALPS, false);
    for (size_t k = 0; k < small.settings.num_variants; k++) {
        const struct variant *variant = &small.variants[k];
        struct naive_streams streams;
        struct naive_split splits[3];
        struct subject subjects[3];
        size_t differ = 0;

        joint_prune(&small, variant, 1);
        naive_streams_open(&streams, &small, variant, 1, RUN_MASKS);
        for (size_t l = 0; l < 3; l++) {
            subject_open(&subjects[l], &streams, naive_groups[0][l], false);
            splits[l] = (struct naive_split){subjects[l].out, subjects[l].plus, NULL};
        }
        naive_split(splits, 3, &subjects[0].equations, variant);
        for (size_t l = 0; l < 3; l++) {
            for (size_t w = 0; w < subjects[l].out * subjects[l].in; w++)
                differ += splits[l].mask[w] != subjects[l].mask[w];
            free(splits[l].mask);
            subject_close(&subjects[l]);
        }
        assert_true(differ <= 4);
        naive_streams_close(&streams);
    }
    small_model_close(&small);
}

// ---- experts ---------------------------------------------------------------------------------------------

static void assert_fallback(const struct small_model *small, const struct variant *variant,
                            const char *linear, uint64_t tokens, const char *fallback)
{
    char *path = small_path(small, RUN_MASKS, variant->name, 1), *text = NULL;
    char name[DATASET_PATH_SIZE];
    struct store_reader *reader;
    struct error err = {0};
    uint64_t count;

    dataset_path(name, linear, DATASET_MASK);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_read_attribute_u64(reader, name, "tokens", &count, &err), err);
    assert_ok(store_read_attribute_string(reader, name, "fallback", &text, &err), err);
    assert_int_equal(count, tokens);
    assert_string_equal(text, fallback);
    store_close(reader);
    free(text);
    free(path);
}

// The linear has the mask of the method's scores of its dense weights, and these weights.
static void assert_dense_under_mask(const struct naive_streams *streams, const char *linear,
                                    const struct variant *scored, const char *fallback)
{
    struct small_matrix dense = small_dense_weight(streams->small, streams->layer, linear);
    struct subject subject;

    subject_open(&subject, streams, linear, true);
    double *scores = naive_scores_of(scored, &dense, &subject.inputs);
    uint8_t *mask = naive_mask(scores, &dense, scored, scored->sparsity);
    for (size_t k = 0; k < dense.out * dense.in; k++) {
        assert_int_equal(subject.mask[k], mask[k]);
        assert_true(subject.written.values[k] == (mask[k] ? dense.values[k] : 0));
    }
    json_t *record = record_of(streams->small, streams->variant, streams->layer, linear);
    assert_false(flag_of(record, "solution_kept"));
    json_decref(record);
    assert_fallback(streams->small, streams->variant, linear, subject.equations.tokens, fallback);
    free(scores);
    free(mask);
    free(dense.values);
    subject_close(&subject);
}

// Two experts, which every token takes: 192 tokens suffice for gate and up, not for an input of 172 channels.
static void an_expert_is_solved_where_its_tokens_suffice(void **state)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_ADMM, METHOD_ALPS};
    struct small_model_shape shape = joint_shape();
    struct small_model small;
    struct naive_streams streams;
    struct variant wanda;
    (void)state;

    shape.checkpoint.experts = 2;
    shape.checkpoint.intermediate = 172;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    for (size_t k = 0; k < 3; k++) {
        const char name[2] = {(char)('a' + k), '\0'};
        const struct variant *variant = joint_add(&small, name, methods[k]);
        wanda = *variant;
        wanda.method = METHOD_WANDA;
        wanda.parameters = importance_defaults(METHOD_WANDA);
        joint_prune(&small, variant, 1);
        naive_streams_open(&streams, &small, variant, 1, RUN_MASKS);
        naive_streams_finish(&streams, naive_groups[0]);
        naive_streams_finish(&streams, naive_groups[1]);
        for (size_t e = 0; e < 2; e++) {
            char gate[64], up[64], down[64];
            snprintf(gate, sizeof gate, "block_sparse_moe.experts.%zu.w1", e);
            snprintf(up, sizeof up, "block_sparse_moe.experts.%zu.w3", e);
            snprintf(down, sizeof down, "block_sparse_moe.experts.%zu.w2", e);
            assert_solved(&streams, gate, shape.sequences, true);
            assert_solved(&streams, up, shape.sequences, true);
            assert_fallback(&small, variant, gate, 192, "none");
            naive_streams_finish(&streams, (const char *const[]){gate, up, ""});
            assert_dense_under_mask(&streams, down, &wanda, "diagonal");
        }
        naive_streams_close(&streams);
    }
    small_model_close(&small);
}

static void an_expert_of_few_tokens_is_pruned_by_its_weights(void **state)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_ADMM, METHOD_ALPS};
    struct small_model_shape shape = joint_shape();
    struct small_model small;
    struct naive_streams streams;
    struct variant magnitude;
    (void)state;

    shape.checkpoint.experts = 5; // 60 tokens: too few for each; the last one gets none
    shape.sequences = 5;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    for (size_t k = 0; k < 3; k++) {
        const char name[2] = {(char)('a' + k), '\0'};
        const struct variant *variant = joint_add(&small, name, methods[k]);
        magnitude = *variant;
        magnitude.method = METHOD_MAGNITUDE;
        magnitude.parameters = importance_defaults(METHOD_MAGNITUDE);
        joint_prune(&small, variant, 1);
        naive_streams_open(&streams, &small, variant, 1, RUN_MASKS);
        naive_streams_finish(&streams, naive_groups[0]);
        naive_streams_finish(&streams, naive_groups[1]);
        assert_dense_under_mask(&streams, "block_sparse_moe.experts.0.w1", &magnitude, "weights");
        assert_dense_under_mask(&streams, "block_sparse_moe.experts.1.w3", &magnitude, "weights");
        assert_dense_under_mask(&streams, "block_sparse_moe.experts.4.w1", &magnitude, "weights");
        assert_dense_under_mask(&streams, "block_sparse_moe.experts.4.w2", &magnitude, "weights");
        naive_streams_close(&streams);
    }
    small_model_close(&small);
}

// ---- the guard -------------------------------------------------------------------------------------------

// Dense weights under the mask: of a group whose solution and whose factors the guard dropped.
static void assert_plain(const struct small_model *small, const struct variant *variant, const char *linear)
{
    struct small_matrix dense = small_dense_weight(small, 0, linear);
    struct small_matrix found = small_update(small, variant, 0, linear);
    uint8_t *mask = small_mask(small, variant, 0, linear);

    for (size_t k = 0; k < dense.out * dense.in; k++)
        assert_true(found.values[k] == (mask[k] ? dense.values[k] : 0));
    free(dense.values);
    free(found.values);
    free(mask);
}

// 24 tokens are fitted, of which a weight can explain anything; the 24 that are held out tell.
static void the_guard_drops_a_solution_that_overfits(void **state)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_ADMM, METHOD_ALPS};
    struct small_model_shape shape = joint_shape();
    struct small_model small;
    size_t dropped = 0, plain = 0;
    (void)state;

    shape.checkpoint.hidden = 64;
    shape.checkpoint.intermediate = 96;
    shape.sequences = 2;
    shape.length = 24;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    for (size_t k = 0; k < 3; k++) {
        const char name[2] = {(char)('a' + k), '\0'};
        struct variant *variant = joint_add(&small, name, methods[k]);
        variant->guard = true;
        joint_prune(&small, variant, 0);
        for (size_t g = 0; g < 4; g++) {
            json_t *record = record_of(&small, variant, 0, naive_groups[g][0]);
            const double before = number_of(record, "layer_error_pruned");
            const double after = number_of(record, "layer_error_compensated");
            const bool kept = flag_of(record, "solution_kept"), factors = flag_of(record, "output_kept");
            assert_true(kept || factors ? after <= before : after == before);
            assert_false(kept && factors);
            assert_int_equal(number_of(record, "solution_tokens"), 24);
            assert_true(number_of(record, "output_error_sequences") == 1);
            assert_true(kept || factors ||
                        number_of(record, "output_error_compensated") ==
                            number_of(record, "output_error_pruned"));
            if (!kept && !factors)
                assert_plain(&small, variant, naive_groups[g][0]);
            dropped += !kept;
            plain += !kept && !factors;
            json_decref(record);
        }
    }
    assert_true(dropped > 0);
    assert_true(plain > 0);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(masks_are_scored_on_the_weights_that_correct_the_drift),
        mpi_unit_test(the_drift_of_earlier_layers_is_corrected_too),
        mpi_unit_test(splitting_loses_less_than_the_best_weights_for_wandas_mask),
        mpi_unit_test(masks_are_those_of_the_papers_formulas),
        mpi_unit_test(an_expert_is_solved_where_its_tokens_suffice),
        mpi_unit_test(an_expert_of_few_tokens_is_pruned_by_its_weights),
        mpi_unit_test(the_guard_drops_a_solution_that_overfits),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
