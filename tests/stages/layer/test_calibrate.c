// A layer's statistics, Hessians and outputs against a forward pass in double and plain sums.
// ranks: 1 3
#include "io/model/open.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/few_tokens.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdlib.h>

// Inputs of a layer's linears are of size 1, and come from a few dozen float32 operations on sums of up to 36
// products: 2^-24 * 200.
static const double tolerance = 1.2e-5;

static const char *const llama_linears[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                            "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                            "mlp.down_proj"};
enum { LLAMA_LINEARS = sizeof llama_linears / sizeof llama_linears[0] };

// One channel's moments over all tokens that reach the linear, in two passes.
struct moments {
    size_t count;
    double mean, variance, second_moment, max_abs;
};

static struct moments naive_moments(const struct naive_pass *pass, size_t index, size_t channel)
{
    const size_t in = pass->layer.linears[index].in;
    struct moments m = {.count = 0};

    for (int step = 0; step < 2; step++)
        for (size_t s = 0; s < pass->sequences; s++)
            for (size_t t = 0; t < pass->traces[s].tokens; t++) {
                const double x = pass->traces[s].inputs[index][t * in + channel];
                if (!pass->traces[s].reached[index][t])
                    continue;
                if (step == 1) {
                    m.variance += (x - m.mean) * (x - m.mean) / (double)m.count;
                    continue;
                }
                m.mean = (m.mean * (double)m.count + x) / (double)(m.count + 1);
                m.second_moment = (m.second_moment * (double)m.count + x * x) / (double)(m.count + 1);
                m.max_abs = fmax(m.max_abs, fabs(x));
                m.count++;
            }
    return m;
}

static void check_statistics(const struct small_model *small, const struct naive_pass *pass,
                             const char *stream, size_t index, const char *linear)
{
    const size_t at = naive_index_of(&pass->layer, linear);
    struct small_statistics found;

    small_statistics_read(&found, small, stream, index, linear);
    assert_int_equal(found.channels, pass->layer.linears[at].in);
    for (size_t j = 0; j < found.channels; j++) {
        const struct moments expected = naive_moments(pass, at, j);
        assert_int_equal(found.count, expected.count);
        assert_close(found.mean[j], expected.mean, tolerance);
        assert_close(found.max_abs[j], expected.max_abs, tolerance);
        // Squares of numbers up to 6 have 12 times the error.
        assert_close(found.variance[j], expected.variance, 12 * tolerance);
        assert_close(found.second_moment[j], expected.second_moment, 12 * tolerance);
    }
    small_statistics_free(&found);
}

static void statistics_are_those_of_every_linears_input(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct naive_pass pass;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    for (size_t layer = 0; layer < 2; layer++) {
        naive_pass_run(&pass, &small, "dense", layer);
        for (size_t i = 0; i < LLAMA_LINEARS; i++)
            check_statistics(&small, &pass, "dense", layer, llama_linears[i]);
        naive_pass_free(&pass);
    }
    small_model_close(&small);
}

static void statistics_of_an_expert_are_those_of_its_tokens(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct naive_pass pass;
    size_t tokens = 0;
    (void)state;

    // The last of them gets no token (random_checkpoint.h), others none in some of the sequences.
    shape.checkpoint.experts = 17;
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    naive_pass_run(&pass, &small, "dense", 1);
    for (size_t i = 0; i < pass.layer.num_linears; i++) {
        check_statistics(&small, &pass, "dense", 1, pass.layer.linears[i].name);
        if (i >= NAIVE_MLP && (i - NAIVE_MLP) % 3 == 0)
            tokens += naive_moments(&pass, i, 0).count;
    }
    assert_int_equal(tokens, 2 * shape.sequences * shape.length); // two experts a token
    assert_int_equal(naive_moments(&pass, pass.layer.num_linears - 1, 0).count, 0);
    naive_pass_free(&pass);
    small_model_close(&small);
}

static void what_enters_the_next_layer_is_what_leaves_this_one(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t values = shape.length * shape.checkpoint.hidden;
    struct small_model small;
    struct naive_pass pass;
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    naive_pass_run(&pass, &small, "dense", 0);
    float *next = small_hidden_states(&small, "dense", 1);
    for (size_t s = 0; s < shape.sequences; s++)
        for (size_t k = 0; k < values; k++)
            assert_close((double)next[s * values + k], pass.traces[s].hidden[k], tolerance);
    free(next);
    naive_pass_free(&pass);
    char *beyond = small_path(&small, RUN_ACTIVATIONS, "dense", 2);
    assert_false(store_exists(beyond)); // the last layer was not asked to advance
    free(beyond);
    small_model_close(&small);
}

static void check_hessian(const struct small_model *small, const struct naive_pass *pass, size_t layer,
                          const char *linear)
{
    const size_t at = naive_index_of(&pass->layer, linear), in = pass->layer.linears[at].in;
    double *found = small_hessian(small, "dense", layer, linear);

    for (size_t i = 0; i < in; i++)
        for (size_t j = 0; j < in; j++) {
            double expected = 0;
            for (size_t s = 0; s < pass->sequences && j >= i; s++)
                for (size_t t = 0; t < pass->traces[s].tokens; t++)
                    expected += 2 / (double)pass->sequences * pass->traces[s].inputs[at][t * in + i] *
                                pass->traces[s].inputs[at][t * in + j];
            // The sum of 12 products for each of the sequences, doubled.
            assert_close(found[i * in + j], expected, 2 * 12 * 12 * tolerance);
        }
    free(found);
}

static void a_hessian_is_twice_the_mean_of_the_outer_products(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct naive_pass pass;
    (void)state;

    shape.checkpoint.intermediate = 140; // three blocks of rows, the last of them short
    small_model_open(&small, &shape);
    small_model_add(&small, "any", METHOD_SPARSEGPT);
    small_model_calibrate(&small, true);
    naive_pass_run(&pass, &small, "dense", 1);
    check_hessian(&small, &pass, 1, "self_attn.q_proj");
    check_hessian(&small, &pass, 1, "self_attn.o_proj");
    check_hessian(&small, &pass, 1, "mlp.gate_proj");
    check_hessian(&small, &pass, 1, "mlp.down_proj");
    naive_pass_free(&pass);
    small_model_close(&small);
}

static void no_hessian_of_inputs_that_only_skipped_linears_read(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"mlp.down_proj", 0}, {(char *)"self_attn.q_proj", 0}};
    struct small_model small;
    struct store_reader *reader;
    struct error err = {0};
    bool is_there;
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = skip;
    small.settings.num_skip = 2;
    small_model_calibrate(&small, true);
    char *path = small_path(&small, RUN_HESSIANS, "dense", 0);
    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    assert_ok(store_find(reader, "/mlp.down_proj/hessian", &is_there, &err), err);
    assert_false(is_there);
    // k and v read the same input as q, and are pruned.
    assert_ok(store_find(reader, "/self_attn.q_proj/hessian", &is_there, &err), err);
    assert_true(is_there);
    store_close(reader);
    free(path);
    small_model_close(&small);
}

static void files_are_the_same_bytes_from_one_rank_and_from_all(void **state)
{
    static const enum run_folder folders[] = {RUN_STATISTICS, RUN_HESSIANS, RUN_ACTIVATIONS};
    struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    shape.checkpoint.intermediate = 140;
    small_model_open(&small, &shape);
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, true);
    small_model_calibrate(&alone, true);
    for (size_t k = 0; k < 3; k++)
        for (size_t layer = k == 2 ? 1 : 0; layer < 2; layer++) {
            char *path = small_path(&small, folders[k], "dense", layer);
            char *other = small_path(&alone, folders[k], "dense", layer);
            assert_same_file(path, other);
            free(path);
            free(other);
        }
    small_model_close(&alone);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(statistics_are_those_of_every_linears_input),
        mpi_unit_test(statistics_of_an_expert_are_those_of_its_tokens),
        mpi_unit_test(what_enters_the_next_layer_is_what_leaves_this_one),
        mpi_unit_test(a_hessian_is_twice_the_mean_of_the_outer_products),
        mpi_unit_test(no_hessian_of_inputs_that_only_skipped_linears_read),
        mpi_unit_test(files_are_the_same_bytes_from_one_rank_and_from_all),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
