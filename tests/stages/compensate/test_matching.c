// Outputs matched, and what the guard keeps, against the formulas and a forward pass in double.
// ranks: 1 3
#include "io/store/store.h"
#include "stages/compensate/compensate.h"
#include "stages/layer/calibrate.h"
#include "tests/support/compensated.h"
#include "tests/support/naive.h"
#include "tests/support/naive_energy.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- output matching and the guard, naively --------------------------------------------------------------

// Outputs are sums of up to 36 products, from inputs that went through a dozen float32 operations: 1e-6 of
// their size. A factor is a quotient of two sums of their squares; errors are differences of outputs that
// agree to about a third: 1e-5 of themselves.
static const double tolerance = 1e-4;

// Layer 1 while the variant's linears are compensated one group of inputs after the other.
struct bench {
    const struct small_model *small;
    const struct variant *variant;
    struct naive_layer dense, pruned; // pruned: with what is finished
    float *dense_states, *states;     // what enters: [sequences, length, hidden]
};

static void bench_open(struct bench *bench, const struct small_model *small, const struct variant *variant)
{
    const bool matches = variant_matches(variant);
    *bench = (struct bench){.small = small, .variant = variant};
    naive_layer_read(&bench->dense, small, 1);
    naive_layer_read(&bench->pruned, small, 1);
    bench->dense_states = small_hidden_states(small, "dense", 1);
    bench->states = small_hidden_states(small, matches ? variant->name : "dense", 1);
}

static void bench_close(struct bench *bench)
{
    naive_layer_free(&bench->dense);
    naive_layer_free(&bench->pruned);
    free(bench->dense_states);
    free(bench->states);
}

static void trace_sequence(struct naive_trace *trace, const struct bench *bench, bool pruned, size_t sequence)
{
    const size_t tokens = bench->small->settings.length;
    const size_t values = tokens * bench->small->shape.checkpoint.hidden;
    double *hidden = doubles_of((pruned ? bench->states : bench->dense_states) + sequence * values, values);
    naive_layer_forward(trace, pruned ? &bench->pruned : &bench->dense, hidden, tokens);
    free(hidden);
}

// One linear's outputs without bias over some sequences: y dense, z with `weight` instead; [n, out].
struct outputs {
    size_t n, out;
    double *y, *z;
};

static struct outputs outputs_of(const struct bench *bench, const char *linear, const double *weight,
                                 size_t first, size_t end)
{
    const size_t tokens = bench->small->settings.length, at = naive_index_of(&bench->dense, linear);
    const struct naive_linear *dense = &bench->dense.linears[at];
    struct outputs outputs = {0, dense->out, new_doubles((end - first) * tokens * dense->out),
                              new_doubles((end - first) * tokens * dense->out)};

    for (size_t s = first; s < end; s++) {
        struct naive_trace trace, pruned;
        trace_sequence(&trace, bench, false, s);
        trace_sequence(&pruned, bench, true, s);
        // Experts are measured over the dense stream alone.
        const struct naive_trace *other = variant_matches(bench->variant) ? &pruned : &trace;
        for (size_t t = 0; t < tokens; t++) {
            if (!trace.reached[at][t])
                continue;
            for (size_t i = 0; i < dense->out; i++)
                for (size_t j = 0; j < dense->in; j++) {
                    outputs.y[outputs.n * dense->out + i] +=
                        dense->weight[i * dense->in + j] * trace.inputs[at][t * dense->in + j];
                    outputs.z[outputs.n * dense->out + i] +=
                        weight[i * dense->in + j] * other->inputs[at][t * dense->in + j];
                }
            outputs.n++;
        }
        naive_trace_free(&trace, &bench->dense);
        naive_trace_free(&pruned, &bench->pruned);
    }
    return outputs;
}

static void outputs_free(struct outputs *outputs)
{
    free(outputs->y);
    free(outputs->z);
}

// gamma and shift of channel i that match z to y.
static void match(double *gamma, double *shift, const struct outputs *o, size_t i,
                  const struct variant *variant)
{
    const double mean_y = mean_of(o->y + i, o->n, o->out), mean_z = mean_of(o->z + i, o->n, o->out);
    double yy = 0, zz = 0, yz = 0;

    for (size_t t = 0; t < o->n; t++) {
        const double y = o->y[t * o->out + i] - mean_y, z = o->z[t * o->out + i] - mean_z;
        yy += y * y;
        zz += z * z;
        yz += y * z;
    }
    const double moment = sqrt(yy / zz), regression = fmax(yz / zz, 0.001);
    *gamma = variant->output == MATCHING_MOMENT       ? moment
             : variant->output == MATCHING_REGRESSION ? regression
             : variant->output == MATCHING_MIXED      ? sqrt(moment * regression)
                                                      : 1;
    if (variant->output != MATCHING_OFF)
        *gamma = fmin(fmax(*gamma, variant->clamp.low), variant->clamp.high);
    *shift = variant->bias ? mean_y - *gamma * mean_z : 0;
}

// sum |y - gamma z - shift|^2 / sum |y - mean y|^2.
static double own_error(const struct outputs *o, const double *gamma, const double *shift)
{
    double error = 0, variance = 0;
    for (size_t i = 0; i < o->out; i++) {
        const double mean = mean_of(o->y + i, o->n, o->out);
        for (size_t t = 0; t < o->n; t++) {
            error += pow(o->y[t * o->out + i] - gamma[i] * o->z[t * o->out + i] - shift[i], 2);
            variance += pow(o->y[t * o->out + i] - mean, 2);
        }
    }
    return error / variance;
}

// A linear with one choice of compensation.
struct naive_choice {
    double *weight, *gamma, *shift; // [out, in], [out], [out]
};

// fitted: the sequences [0, fitted) that factors are fitted to.
static struct naive_choice choice_of(const struct bench *bench, const char *linear, bool energy, bool output,
                                     size_t fitted)
{
    struct variant variant = *bench->variant;
    struct small_matrix dense = small_dense_weight(bench->small, 1, linear);
    uint8_t *mask = small_mask(bench->small, bench->variant, 1, linear);
    struct energy_case c = {dense.out, dense.in, dense.values, dense.values, mask, NULL,
                            NULL,      NULL,     NULL,         NULL,         NULL};
    struct naive_choice choice;

    variant.energy_columns = variant.energy_columns && energy;
    variant.energy_rows = variant.energy_rows && energy;
    naive_energy(&c, &variant);
    choice.weight = c.weight;
    choice.gamma = new_doubles(dense.out);
    choice.shift = new_doubles(dense.out);
    for (size_t i = 0; i < dense.out; i++)
        choice.gamma[i] = 1;
    if (output) {
        struct outputs outputs = outputs_of(bench, linear, c.weight, 0, fitted);
        for (size_t i = 0; i < dense.out; i++)
            match(&choice.gamma[i], &choice.shift[i], &outputs, i, bench->variant);
        for (size_t k = 0; k < dense.out * dense.in; k++)
            choice.weight[k] *= choice.gamma[k / dense.in];
        outputs_free(&outputs);
    }
    c.weight = NULL;
    energy_case_free(&c);
    free(mask);
    free(dense.values);
    return choice;
}

static void choice_free(struct naive_choice *choice)
{
    free(choice->weight);
    free(choice->gamma);
    free(choice->shift);
}

static void put_choice(struct bench *bench, const char *linear, const struct naive_choice *choice)
{
    struct naive_linear *target = naive_linear_of(&bench->pruned, linear);
    memcpy(target->weight, choice->weight, target->out * target->in * sizeof(double));
    if (!bench->variant->bias)
        return;
    if (target->bias == NULL)
        target->bias = new_doubles(target->out);
    memcpy(target->bias, choice->shift, target->out * sizeof(double));
}

// The layer's output against the dense layer's, relative to what that adds, on the sequences from `first` on.
static double layer_error(const struct bench *bench, size_t first)
{
    const size_t values = bench->small->settings.length * bench->small->shape.checkpoint.hidden;
    double error = 0, added = 0;

    for (size_t s = first; s < bench->small->settings.sequences; s++) {
        struct naive_trace dense, pruned;
        trace_sequence(&dense, bench, false, s);
        trace_sequence(&pruned, bench, true, s);
        for (size_t k = 0; k < values; k++) {
            error += pow(dense.hidden[k] - pruned.hidden[k], 2);
            added += pow(dense.hidden[k] - (double)bench->dense_states[s * values + k], 2);
        }
        naive_trace_free(&dense, &bench->dense);
        naive_trace_free(&pruned, &bench->pruned);
    }
    return error / added;
}

static const char *const groups[4][4] = {{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", ""},
                                         {"self_attn.o_proj", ""},
                                         {"mlp.gate_proj", "mlp.up_proj", ""},
                                         {"mlp.down_proj", ""}};

// The file's weight, factors and bias are those of this choice, to the tolerance; it takes its place.
static void check_kept(struct bench *bench, const char *linear, const struct naive_choice *choice,
                       bool output)
{
    const struct small_model *small = bench->small;
    const struct variant *variant = bench->variant;
    struct small_matrix found = small_pruned_weight(small, variant, 1, linear);

    for (size_t k = 0; k < found.out * found.in; k++)
        assert_close((double)found.values[k], choice->weight[k], tolerance * fabs(choice->weight[k]));
    assert_int_equal(weights_file_has(small, variant, 1, linear, "output_gamma"),
                     variant->output != MATCHING_OFF && output);
    if (variant->output != MATCHING_OFF && output) {
        double *gamma = weights_file_vector(small, variant, 1, linear, "output_gamma", found.out);
        assert_vector(gamma, choice->gamma, found.out, tolerance);
        free(gamma);
    }
    assert_int_equal(weights_file_has(small, variant, 1, linear, "bias"), variant->bias);
    if (variant->bias) {
        struct store_reader *reader = open_layer_file(small, variant, RUN_WEIGHTS, 1);
        struct error err = {0};
        float bias[64];
        char name[80];
        snprintf(name, sizeof name, "/%s/bias", linear);
        assert_ok(store_read(reader, name, STORE_F32, 0, found.out, bias, &err), err);
        for (size_t i = 0; i < found.out; i++)
            assert_close((double)bias[i], choice->shift[i], tolerance * 0.1); // a mean of outputs of size 1
        store_close(reader);
    }
    put_choice(bench, linear, choice);
    free(found.values);
}

// The errors of the linear's own outputs, over `judged` sequences from `first` on.
static void check_own_errors(const struct bench *bench, const char *linear, const struct naive_choice *choice,
                             size_t first, size_t end)
{
    const size_t out = naive_linear_of(&bench->dense, linear)->out;
    const size_t in = naive_linear_of(&bench->dense, linear)->in;
    struct naive_choice plain = choice_of(bench, linear, false, false, 0);
    struct naive_choice unscaled = {new_doubles(out * in), NULL, NULL};
    struct outputs as_pruned = outputs_of(bench, linear, plain.weight, first, end);

    for (size_t k = 0; k < out * in; k++)
        unscaled.weight[k] = choice->weight[k] / choice->gamma[k / in];
    struct outputs kept = outputs_of(bench, linear, unscaled.weight, first, end);
    const double before = own_error(&as_pruned, plain.gamma, plain.shift);
    const double after = own_error(&kept, choice->gamma, choice->shift);
    assert_close(weights_file_number(bench->small, bench->variant, 1, linear, "output_error_pruned"), before,
                 tolerance * before);
    assert_close(weights_file_number(bench->small, bench->variant, 1, linear, "output_error_compensated"),
                 after, tolerance * after);
    assert_int_equal(weights_file_count(bench->small, bench->variant, 1, linear, "output_error_sequences"),
                     end - first);
    outputs_free(&as_pruned);
    outputs_free(&kept);
    choice_free(&plain);
    choice_free(&unscaled);
}

// ---- matching without the guard --------------------------------------------------------------------------

// Biases are added to the model before anything is loaded.
static void open_with_biases(struct small_model *small, const struct small_model_shape *shape,
                             void (*add)(struct small_model *small))
{
    struct error err = {0};
    small_model_open(small, shape);
    add(small);
    layer_weights_free(&small->weights);
    assert_ok(compensate_check(small->model, &small->settings, &err), err);
    assert_ok(layer_weights_create(&small->weights, &small->stage, &err), err);
    small_model_calibrate(small, false);
}

static void add_matchings(struct small_model *small)
{
    struct variant *variant = small_model_add(small, "moment", METHOD_WANDA);
    variant->output = MATCHING_MOMENT;
    variant = small_model_add(small, "regression", METHOD_WANDA);
    variant->output = MATCHING_REGRESSION;
    variant->energy_columns = variant->energy_rows = true;
    variant = small_model_add(small, "mixed", METHOD_WANDA);
    variant->output = MATCHING_MIXED;
    variant->clamp = (struct energy_clamp){.low = 0.98, .high = 1.02, .epsilon = 1e-8};
}

static void add_biased(struct small_model *small)
{
    struct variant *variant = small_model_add(small, "mixed-bias", METHOD_WANDA);
    variant->output = MATCHING_MIXED;
    variant->bias = true;
    variant = small_model_add(small, "bias", METHOD_WANDA);
    variant->bias = true;
}

static void check_matched_layer(struct small_model *small, const struct variant *variant)
{
    const size_t all = small->settings.sequences;
    struct bench bench;

    finish_first_layer(small, variant);
    prune_one(small, variant, 1);
    compensate_one(small, variant, 1);
    bench_open(&bench, small, variant);
    for (size_t g = 0; g < 4; g++) {
        struct naive_choice choices[3];
        for (size_t i = 0; groups[g][i][0] != '\0'; i++)
            choices[i] = choice_of(&bench, groups[g][i], true, true, all);
        for (size_t i = 0; groups[g][i][0] != '\0'; i++)
            check_own_errors(&bench, groups[g][i], &choices[i], 0, all);
        for (size_t i = 0; groups[g][i][0] != '\0'; i++) {
            check_kept(&bench, groups[g][i], &choices[i], true);
            choice_free(&choices[i]);
        }
    }
    bench_close(&bench);
}

static void outputs_get_the_scale_and_mean_of_the_dense_models(void **state)
{
    void (*const adds[])(struct small_model *) = {add_matchings, add_biased};
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.checkpoint.dtype = DTYPE_F32;
    for (size_t k = 0; k < 2; k++) {
        open_with_biases(&small, &shape, adds[k]);
        for (size_t v = 0; v < small.settings.num_variants; v++)
            check_matched_layer(&small, &small.variants[v]);
        small_model_close(&small);
    }
}

// ---- the guard -------------------------------------------------------------------------------------------

struct kept {
    size_t with, without; // groups that kept the compensation, or some of it, and that kept nothing
};

// Every group of layer 1 keeps the choice with the least error of the layer's output on the last two
// sequences.
static struct kept check_guarded_layer(struct small_model *small, const struct variant *variant)
{
    const size_t all = small->settings.sequences, first = all - 2;
    const bool asks_energy = variant->energy_columns || variant->energy_rows;
    struct bench bench;
    struct kept kept = {0, 0};

    finish_first_layer(small, variant);
    prune_one(small, variant, 1);
    compensate_one(small, variant, 1);
    bench_open(&bench, small, variant);
    for (size_t g = 0; g < 4; g++) {
        const char *const lead = groups[g][0];
        const bool energy = asks_energy && weights_file_count(small, variant, 1, lead, "energy_kept") == 1;
        const bool output =
            variant_matches(variant) && weights_file_count(small, variant, 1, lead, "output_kept") == 1;
        struct naive_choice choices[4][3]; // [energy * 2 + output]
        double least = INFINITY, plain = 0, found = 0;
        for (size_t c = 0; c < 4; c++) {
            if ((c / 2 != 0 && !asks_energy) || (c % 2 != 0 && !variant_matches(variant)))
                continue;
            for (size_t i = 0; groups[g][i][0] != '\0'; i++)
                choices[c][i] = choice_of(&bench, groups[g][i], c / 2 != 0, c % 2 != 0, first);
            for (size_t i = 0; groups[g][i][0] != '\0'; i++)
                put_choice(&bench, groups[g][i], &choices[c][i]);
            const double error = layer_error(&bench, first);
            least = fmin(least, error);
            plain = c == 0 ? error : plain;
            found = c == energy * 2U + output ? error : found;
        }
        assert_true(found <= least * (1 + tolerance));
        for (size_t i = 0; groups[g][i][0] != '\0'; i++) {
            assert_close(weights_file_number(small, variant, 1, groups[g][i], "layer_error_pruned"), plain,
                         tolerance * plain);
            assert_close(weights_file_number(small, variant, 1, groups[g][i], "layer_error_compensated"),
                         found, tolerance * found);
            check_own_errors(&bench, groups[g][i], &choices[energy * 2U + output][i], first, all);
        }
        for (size_t i = 0; groups[g][i][0] != '\0'; i++)
            check_kept(&bench, groups[g][i], &choices[energy * 2U + output][i], output);
        for (size_t c = 0; c < 4; c++)
            for (size_t i = 0; groups[g][i][0] != '\0'; i++)
                if ((c / 2 == 0 || asks_energy) && (c % 2 == 0 || variant_matches(variant)))
                    choice_free(&choices[c][i]);
        kept.with += energy || output;
        kept.without += !energy && !output;
    }
    bench_close(&bench);
    return kept;
}

static struct small_model_shape guarded_shape(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.dtype = DTYPE_F32;
    shape.sequences = 17; // the last two are held out
    return shape;
}

static void the_guard_keeps_what_lowers_the_layers_error(void **state)
{
    const struct small_model_shape shape = guarded_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    struct variant *all = small_model_add(&small, "all", METHOD_WANDA);
    all->energy_columns = all->energy_rows = true;
    all->output = MATCHING_MIXED;
    struct variant *energy = small_model_add(&small, "energy", METHOD_WANDA);
    energy->energy_rows = true;
    // The pruned outputs are too small by a fifth or so: a clamp that lets regression have its way helps.
    struct variant *output = small_model_add(&small, "output", METHOD_WANDA);
    output->output = MATCHING_REGRESSION;
    output->sparsity = 0.3;
    all->guard = energy->guard = output->guard = true;
    check_guarded_layer(&small, all);
    check_guarded_layer(&small, energy);
    assert_true(check_guarded_layer(&small, output).with > 0);
    small_model_close(&small);
}

// Factors of at least 3 make every output much too large.
static void the_guard_drops_what_raises_the_layers_error(void **state)
{
    const struct small_model_shape shape = guarded_shape();
    struct small_model small;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    struct variant *variant = small_model_add(&small, "too-large", METHOD_WANDA);
    variant->energy_rows = true;
    variant->output = MATCHING_MOMENT;
    variant->clamp.low = 3;
    variant->guard = true;
    const struct kept kept = check_guarded_layer(&small, variant);
    assert_int_equal(kept.without, 4);
    small_model_close(&small);
}

static void experts_are_judged_by_their_own_outputs(void **state)
{
    static const char *const names[] = {"w1", "w3", "w2"};
    struct small_model_shape shape = guarded_shape();
    struct small_model small;
    struct bench bench;
    size_t unseen = 0;
    char linear[64];
    (void)state;

    shape.checkpoint.experts = 5; // the last one gets no token
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    for (int k = 0; k < 2; k++) {
        struct variant *variant = small_model_add(&small, k == 0 ? "rows" : "too-large", METHOD_MAGNITUDE);
        variant->energy_rows = true;
        variant->guard = true;
        variant->clamp.low = k == 0 ? 0.1 : 3;
        prune_one(&small, variant, 1);
        compensate_one(&small, variant, 1);
        bench_open(&bench, &small, variant);
        for (size_t e = 0; e < shape.checkpoint.experts; e++)
            for (size_t i = 0; i < 3; i++) {
                snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.%s", e, names[i]);
                struct naive_choice choices[] = {choice_of(&bench, linear, false, false, 0),
                                                 choice_of(&bench, linear, true, false, 0)};
                struct outputs plain = outputs_of(&bench, linear, choices[0].weight, 15, 17);
                struct outputs with = outputs_of(&bench, linear, choices[1].weight, 15, 17);
                const bool expected =
                    plain.n > 0 && own_error(&with, choices[1].gamma, choices[1].shift) <=
                                       own_error(&plain, choices[0].gamma, choices[0].shift);
                assert_int_equal(weights_file_count(&small, variant, 1, linear, "energy_kept"), expected);
                assert_false(k == 1 && expected);
                check_kept(&bench, linear, &choices[expected], false);
                unseen += plain.n == 0;
                outputs_free(&plain);
                outputs_free(&with);
                choice_free(&choices[0]);
                choice_free(&choices[1]);
            }
        bench_close(&bench);
    }
    assert_true(unseen > 0);
    small_model_close(&small);
}

static void the_bytes_do_not_depend_on_the_ranks(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "all", METHOD_WANDA);
    variant->energy_columns = variant->energy_rows = true;
    variant->output = MATCHING_MIXED;
    variant->guard = true;
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, false);
    small_model_calibrate(&alone, false);
    finish_first_layer(&small, variant);
    finish_first_layer(&alone, &alone.variants[0]);
    char *path = small_path(&small, RUN_WEIGHTS, "all", 0),
         *other = small_path(&alone, RUN_WEIGHTS, "all", 0);
    assert_same_file(path, other);
    free(path);
    free(other);
    small_model_close(&alone);
    small_model_close(&small);
}

// ---- what is refused -------------------------------------------------------------------------------------

static void outputs_of_experts_are_not_matched(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"block_sparse_moe.*", 0}};
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.experts = 3;
    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "matched", METHOD_WANDA);
    assert_ok(compensate_check(small.model, &small.settings, &err), err);
    variant->output = MATCHING_MOMENT;
    assert_int_equal(compensate_check(small.model, &small.settings, &err), STATUS_USAGE);
    assert_error(err, STATUS_USAGE, "layers.0.block_sparse_moe.experts.0.w");
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    err = (struct error){0};
    assert_ok(compensate_check(small.model, &small.settings, &err), err);
    variant->bias = true; // config.json of a Mixtral cannot ask for biases
    assert_int_equal(compensate_check(small.model, &small.settings, &err), STATUS_USAGE);
    assert_error(err, STATUS_USAGE, "compensate.bias: mixtral has no place");
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(outputs_get_the_scale_and_mean_of_the_dense_models),
        mpi_unit_test(the_guard_keeps_what_lowers_the_layers_error),
        mpi_unit_test(the_guard_drops_what_raises_the_layers_error),
        mpi_unit_test(experts_are_judged_by_their_own_outputs),
        mpi_unit_test(the_bytes_do_not_depend_on_the_ranks),
        mpi_unit_test(outputs_of_experts_are_not_matched),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
