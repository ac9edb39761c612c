// Products of input channels against loops in double over a naive forward pass.
// ranks: 1 3
#include "stages/layer/gram.h"
#include "stages/work.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Inputs of down_proj are products of two outputs, which are off by up to 7e-5 (test_measure.c); the other
// inputs are closer. A product of two inputs is off by that times the other one.
static const double tolerance = 7e-5;

// down_proj has three tiles of channels on a side.
static struct small_model_shape wide_shape(void)
{
    struct small_model_shape shape = small_model_shape();
    shape.checkpoint.intermediate = 800;
    return shape;
}

// A small model, its dense stream, and a second one that other pruned layers left; the pruned layer lacks
// every other row of up_proj.
struct two_streams {
    struct small_model small;
    struct layer_weights pruned;
    struct hidden_states dense_states, pruned_states;
};

enum { LAYER = 1 };

static const struct layer_tensor *tensor_of(const struct layer_weights *weights, const char *linear)
{
    size_t i = 0;
    while (strcmp(weights->map.tensors[i].linear, linear) != 0)
        i++;
    return &weights->map.tensors[i];
}

// activations/other/layer-001.h5: the dense stream's states, halved, and another sign for every third.
static void write_other_stream(const struct small_model *small)
{
    const size_t values = small->settings.length * small->shape.checkpoint.hidden;
    const size_t sequences = small->settings.sequences, ranks = (size_t)small->team.size;
    float *states = small_hidden_states(small, "dense", LAYER);
    struct hidden_output output;
    struct error err = {0};

    for (size_t k = 0; k < sequences * values; k++)
        states[k] *= k % 3 == 0 ? -0.5F : 0.5F;
    assert_ok(hidden_states_create(&output, &small->stage, "other", LAYER, &err), err);
    for (size_t wave = 0; wave < sequences; wave += ranks) {
        const size_t s = wave + (size_t)small->team.rank;
        const bool mine = s < sequences;
        assert_ok(hidden_states_write(&output, mine ? s : 0, mine, states + (mine ? s : 0) * values, &err),
                  err);
    }
    assert_ok(hidden_states_commit(&output, &err), err);
    free(states);
}

// up_proj's rows 0, 2, ... at 0.
static void drop_rows(float *up, size_t out, size_t in)
{
    for (size_t i = 0; i < out; i += 2)
        memset(up + i * in, 0, in * sizeof *up);
}

// From a small model that is open.
static void open_streams(struct two_streams *two)
{
    struct small_model *small = &two->small;
    struct error err = {0};

    small_model_calibrate(small, false);
    write_other_stream(small);
    assert_ok(layer_weights_load(&small->weights, &small->stage, LAYER, NULL, &err), err);
    assert_ok(layer_weights_create(&two->pruned, &small->stage, &err), err);
    assert_ok(layer_weights_load(&two->pruned, &small->stage, LAYER, NULL, &err), err);
    if (small->shape.checkpoint.experts == 0 && small->team.node_rank == 0) {
        const struct layer_tensor *up = tensor_of(&two->pruned, "mlp.up_proj");
        drop_rows((float *)two->pruned.memory.data + up->offset, up->out, up->in);
    }
    shared_block_sync(&two->pruned.memory, &small->team);
    assert_ok(hidden_states_open(&two->dense_states, &small->stage, "dense", LAYER, &err), err);
    assert_ok(hidden_states_open(&two->pruned_states, &small->stage, "other", LAYER, &err), err);
}

static void close_streams(struct two_streams *two)
{
    hidden_states_close(&two->dense_states);
    hidden_states_close(&two->pruned_states);
    layer_weights_free(&two->pruned);
    small_model_close(&two->small);
}

// Both streams up to the linear.
static struct gram_input input_of(const struct two_streams *two, const char *linear, size_t first, size_t end)
{
    return (struct gram_input){.map = &two->small.weights.map,
                               .source = tensor_of(&two->small.weights, linear)->source,
                               .pruned = {&two->pruned.layer, &two->pruned_states},
                               .dense = {&two->small.weights.layer, &two->dense_states},
                               .first = first,
                               .end = end};
}

// ---- the oracle -----------------------------------------------------------------------------------------

// matrix[in, in] = sum left^T right over the tokens of the sequences [first, end) that reach the linear in
// `left`; bound: by how much it may be off.
static void naive_products(double *matrix, double *bound, const struct naive_pass *left,
                           const struct naive_pass *right, const struct gram_input *input, size_t at)
{
    const size_t in = left->layer.linears[at].in;

    memset(matrix, 0, in * in * sizeof *matrix);
    memset(bound, 0, in * in * sizeof *bound);
    for (size_t s = input->first; s < input->end; s++)
        for (size_t t = 0; t < left->traces[s].tokens; t++) {
            const double *a = left->traces[s].inputs[at] + t * in, *b = right->traces[s].inputs[at] + t * in;
            for (size_t i = 0; i < in && left->traces[s].reached[at][t]; i++)
                for (size_t j = 0; j < in; j++) {
                    matrix[i * in + j] += a[i] * b[j];
                    bound[i * in + j] += tolerance * (fabs(a[i]) + fabs(b[j]));
                }
        }
}

static void check_products(const double *found, const struct naive_pass *left, const struct naive_pass *right,
                           const struct gram_input *input, size_t at)
{
    const size_t in = left->layer.linears[at].in;
    double *expected = malloc(in * in * sizeof *expected), *bound = malloc(in * in * sizeof *bound);

    assert_true(expected != NULL && bound != NULL);
    naive_products(expected, bound, left, right, input, at);
    for (size_t k = 0; k < in * in; k++)
        if (!(fabs(found[k] - expected[k]) <= bound[k]))
            fail_msg("[%zu, %zu]: %g is not %g", k / in, k % in, found[k], expected[k]);
    free(expected);
    free(bound);
}

// dense NULL: C must not be there.
static void check_gram(const struct gram *gram, const struct naive_pass *pruned,
                       const struct naive_pass *dense, const struct gram_input *input, const char *linear)
{
    const size_t at = naive_index_of(&pruned->layer, linear), in = pruned->layer.linears[at].in;
    uint64_t tokens = 0;

    assert_int_equal(gram->in, in);
    check_products(gram->g, pruned, pruned, input, at);
    for (size_t i = 0; i < in; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(gram->g[i * in + j] == gram->g[j * in + i]);
    if (dense != NULL)
        check_products(gram->c, pruned, dense, input, at);
    else
        assert_null(gram->c);
    for (size_t j = 0; j < in; j++) {
        double sum = 0;
        tokens = 0;
        for (size_t s = input->first; s < input->end; s++)
            for (size_t t = 0; t < pruned->traces[s].tokens; t++) {
                sum += pruned->traces[s].reached[at][t] ? pruned->traces[s].inputs[at][t * in + j] : 0;
                tokens += pruned->traces[s].reached[at][t];
            }
        if (!(fabs(gram->sum[j] - sum) <= (double)tokens * tolerance))
            fail_msg("channel %zu: %g is not %g", j, gram->sum[j], sum);
    }
    assert_int_equal(gram->tokens, tokens);
}

// ---- tests ----------------------------------------------------------------------------------------------

static void one_stream_gives_the_products_of_each_source(void **state)
{
    static const char *const linears[] = {"mlp.down_proj", "self_attn.q_proj", "self_attn.o_proj",
                                          "mlp.gate_proj"};
    const struct small_model_shape shape = wide_shape();
    struct small_model small;
    struct hidden_states states;
    struct naive_pass pass;
    struct gram gram;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err);
    assert_ok(hidden_states_open(&states, &small.stage, "dense", 0, &err), err);
    assert_ok(gram_create(&gram, &small.stage, gram_shared_bytes(shape.checkpoint.intermediate, false), &err),
              err);
    naive_pass_run(&pass, &small, "dense", 0);
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        const struct gram_input input = {.map = &small.weights.map,
                                         .source = tensor_of(&small.weights, linears[i])->source,
                                         .pruned = {&small.weights.layer, &states},
                                         .first = 1, // a part of the sequences
                                         .end = 4};
        assert_ok(gram_gather(&gram, &input, &err), err);
        check_gram(&gram, &pass, NULL, &input, linears[i]);
        assert_int_equal(gram.tokens, 3 * shape.length);
    }
    naive_pass_free(&pass);
    gram_free(&gram);
    hidden_states_close(&states);
    small_model_close(&small);
}

static void two_streams_give_the_products_of_what_each_layer_feeds(void **state)
{
    static const char *const linears[] = {"mlp.down_proj", "self_attn.v_proj"};
    const struct small_model_shape shape = wide_shape();
    struct two_streams two;
    struct naive_pass dense, pruned;
    struct gram gram;
    struct error err = {0};
    (void)state;

    // Given two layers that differ, and other states that enter them
    small_model_open(&two.small, &shape);
    open_streams(&two);
    naive_pass_run(&dense, &two.small, "dense", LAYER);
    naive_pass_run(&pruned, &two.small, "other", LAYER);
    struct small_matrix up = small_dense_weight(&two.small, LAYER, "mlp.up_proj");
    drop_rows(up.values, up.out, up.in);
    naive_layer_put(&pruned.layer, "mlp.up_proj", up.values);
    free(up.values);
    naive_pass_again(&pruned, &two.small, "other", LAYER);

    // When they are gathered, then G is the pruned layer's and C the pruned one's with the dense one's
    assert_ok(
        gram_create(&gram, &two.small.stage, gram_shared_bytes(shape.checkpoint.intermediate, true), &err),
        err);
    for (size_t i = 0; i < 2; i++) {
        const struct gram_input input = input_of(&two, linears[i], 0, shape.sequences);
        assert_ok(gram_gather(&gram, &input, &err), err);
        check_gram(&gram, &pruned, &dense, &input, linears[i]);
        if (i != 0)
            continue;
        // And where the pruned layer feeds nothing there are exact zeros.
        for (size_t j = 0; j < gram.in; j++) {
            assert_true(gram.g[j] == 0 && gram.g[j * gram.in] == 0 && gram.c[j] == 0);
            assert_true(gram.c[j * gram.in] != 0 || j % 2 == 0);
        }
        assert_true(gram.sum[0] == 0);
    }
    naive_pass_free(&dense);
    naive_pass_free(&pruned);
    gram_free(&gram);
    close_streams(&two);
}

static void an_expert_has_the_tokens_of_the_pruned_stream_alone(void **state)
{
    static const char *const linears[] = {"block_sparse_moe.experts.1.w2", "block_sparse_moe.experts.2.w1"};
    struct small_model_shape shape = small_model_shape();
    struct two_streams two;
    struct naive_pass pruned;
    struct gram gram;
    struct error err = {0};
    (void)state;

    shape.checkpoint.experts = 4;
    small_model_open(&two.small, &shape);
    open_streams(&two);
    naive_pass_run(&pruned, &two.small, "other", LAYER);
    assert_ok(
        gram_create(&gram, &two.small.stage, gram_shared_bytes(shape.checkpoint.intermediate, true), &err),
        err);
    for (size_t i = 0; i < 2; i++) {
        const struct gram_input input = input_of(&two, linears[i], 1, shape.sequences);
        assert_ok(gram_gather(&gram, &input, &err), err);
        check_gram(&gram, &pruned, NULL, &input, linears[i]);
        assert_in_range(gram.tokens, 1, 4 * shape.length - 1);
    }
    naive_pass_free(&pruned);
    gram_free(&gram);
    close_streams(&two);
}

// Of one expert after the other, alone and together with the others.
static void experts_are_gathered_together(void **state)
{
    static const char *const linears[] = {"block_sparse_moe.experts.3.w1", "block_sparse_moe.experts.0.w1",
                                          "block_sparse_moe.experts.1.w1"};
    struct small_model_shape shape = small_model_shape();
    struct two_streams two, alone;
    struct naive_pass pruned;
    struct gram gram, one;
    struct error err = {0};
    size_t others[2];
    (void)state;

    // Given the inputs of three experts of four, in any order
    shape.checkpoint.experts = 4;
    small_model_open(&two.small, &shape);
    small_model_open_alone(&alone.small, &two.small);
    open_streams(&two);
    open_streams(&alone);
    naive_pass_run(&pruned, &two.small, "other", LAYER);
    const uint64_t bytes = gram_shared_bytes(shape.checkpoint.hidden, false);
    struct gram_input all = input_of(&two, linears[0], 0, shape.sequences);
    for (size_t i = 0; i < 2; i++)
        others[i] = tensor_of(&two.small.weights, linears[i + 1])->source;
    all.others = others;
    all.num_others = 2;

    // When they are gathered in the same passes
    assert_ok(gram_create(&gram, &two.small.stage, 3 * bytes, &err), err);
    assert_ok(gram_create(&one, &alone.small.stage, bytes, &err), err);
    assert_ok(gram_gather(&gram, &all, &err), err);

    // Then each has what it has alone, also on one rank
    assert_int_equal(gram.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct gram_input input = input_of(&two, linears[i], 0, shape.sequences);
        const struct gram_input single = input_of(&alone, linears[i], 0, shape.sequences);
        if (i > 0)
            assert_true(gram_select(&gram, others[i - 1]));
        check_gram(&gram, &pruned, NULL, &input, linears[i]);
        assert_ok(gram_gather(&one, &single, &err), err);
        assert_int_equal(gram.tokens, one.tokens);
        assert_memory_equal(gram.g, one.g, gram.in * gram.in * sizeof *gram.g);
        assert_memory_equal(gram.sum, one.sum, gram.in * sizeof *gram.sum);
    }
    assert_false(gram_select(&gram, tensor_of(&two.small.weights, "block_sparse_moe.experts.2.w1")->source));
    naive_pass_free(&pruned);
    gram_free(&gram);
    gram_free(&one);
    close_streams(&alone);
    close_streams(&two);
}

// ---- the same bits --------------------------------------------------------------------------------------

// [2 in + 1, in]: G, C and the sums of down_proj, as `gram` has them; the caller frees.
static double *copy_of(const struct gram *gram, size_t *bytes)
{
    const size_t square = gram->in * gram->in;
    *bytes = (2 * square + gram->in) * sizeof(double);
    double *copy = malloc(*bytes);

    assert_non_null(copy);
    memcpy(copy, gram->g, square * sizeof *copy);
    memcpy(copy + square, gram->c, square * sizeof *copy);
    memcpy(copy + 2 * square, gram->sum, gram->in * sizeof *copy);
    return copy;
}

static double *gathered(const struct stage *stage, const struct gram_input *input, size_t *bytes)
{
    struct gram gram;
    struct error err = {0};

    assert_ok(
        gram_create(&gram, stage, gram_shared_bytes(input->map->source_channels[input->source], true), &err),
        err);
    assert_ok(gram_gather(&gram, input, &err), err);
    assert_int_equal(gram.tokens, (input->end - input->first) * stage->settings->length);
    double *copy = copy_of(&gram, bytes);
    gram_free(&gram);
    return copy;
}

static void the_bits_are_the_same_from_one_rank_and_from_all(void **state)
{
    const struct small_model_shape shape = wide_shape();
    struct two_streams two, alone;
    size_t bytes;
    (void)state;

    small_model_open(&two.small, &shape);
    small_model_open_alone(&alone.small, &two.small);
    open_streams(&two);
    open_streams(&alone);
    const struct gram_input input = input_of(&two, "mlp.down_proj", 0, 5);
    const struct gram_input same = input_of(&alone, "mlp.down_proj", 0, 5);
    double *together = gathered(&two.small.stage, &input, &bytes);
    double *by_one = gathered(&alone.small.stage, &same, &bytes);
    assert_memory_equal(together, by_one, bytes);
    free(together);
    free(by_one);
    close_streams(&alone);
    close_streams(&two);
}

static void the_bits_are_the_same_on_one_node_and_on_several(void **state)
{
    const struct small_model_shape shape = wide_shape();
    const int rank = mpi_rank();
    const int colors[] = {rank > 0, rank % 2, -rank + mpi_size()}; // the last: a node for each, backwards
    struct two_streams two;
    size_t bytes;
    (void)state;

    small_model_open(&two.small, &shape);
    open_streams(&two);
    const struct gram_input input = input_of(&two, "mlp.down_proj", 0, 5);
    double *on_one = gathered(&two.small.stage, &input, &bytes);
    for (size_t i = 0; i < sizeof colors / sizeof colors[0]; i++) {
        struct team team = small_team_on_nodes(&two.small, colors[i]);
        struct stage stage = two.small.stage;
        stage.team = &team;
        double *on_several = gathered(&stage, &input, &bytes);
        assert_memory_equal(on_one, on_several, bytes);
        free(on_several);
        MPI_Comm_free(&team.node);
    }
    free(on_one);
    close_streams(&two);
}

// ---- progress and errors --------------------------------------------------------------------------------

struct listener {
    double work;
    size_t safe_points, stop_at; // 0: never
};

static void count_work(void *context, double work)
{
    struct listener *listener = context;
    listener->work += work;
}

static bool stop_in_time(void *context, double fraction)
{
    struct listener *listener = context;
    (void)fraction;
    return ++listener->safe_points == listener->stop_at;
}

static void the_work_is_told_as_planned_and_every_tile_can_stop(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    const size_t waves = (shape.sequences + (size_t)mpi_size() - 1) / (size_t)mpi_size();
    // A tile of G and one of C, which ranks share; rank 0 has the most.
    const size_t tiles = mpi_size() == 1 ? 2 : mpi_rank() < 2;
    const size_t asked = waves + tiles * shape.sequences,
                 most = waves + (mpi_size() == 1 ? 2 : 1) * shape.sequences;
    struct listener listener = {0};
    struct two_streams two;
    struct gram gram;
    struct error err = {0};
    (void)state;

    small_model_open(&two.small, &shape);
    open_streams(&two);
    const struct gram_input input = input_of(&two, "mlp.down_proj", 0, shape.sequences);
    two.small.stage.hooks =
        (struct stage_hooks){.context = &listener, .advance = count_work, .should_stop = stop_in_time};
    assert_ok(gram_create(&gram, &two.small.stage, gram_shared_bytes(36, true), &err), err);
    assert_ok(gram_gather(&gram, &input, &err), err);
    const double planned = 2 * (double)shape.sequences *
                               source_forward_work(two.small.model, input.map, input.source, shape.length) +
                           gram_work((double)(shape.sequences * shape.length), 36, true);
    assert_true(fabs(listener.work - planned) <= 1e-12 * planned);
    assert_int_equal(listener.safe_points, asked);

    for (size_t n = 1; n <= most; n++) {
        listener = (struct listener){.stop_at = n};
        assert_int_equal(gram_gather(&gram, &input, &err), STATUS_STOPPED);
        assert_true(listener.safe_points <= n + 1);
    }
    gram_free(&gram);
    close_streams(&two);
}

// One weight of up_proj's row 7, in one of the two layers, so large that squares overflow.
static void check_refused(bool in_pruned)
{
    const struct small_model_shape shape = small_model_shape();
    struct two_streams two;
    struct gram gram;
    struct error err = {0};

    small_model_open(&two.small, &shape);
    open_streams(&two);
    const struct layer_weights *weights = in_pruned ? &two.pruned : &two.small.weights;
    const struct layer_tensor *up = tensor_of(weights, "mlp.up_proj");
    if (two.small.team.node_rank == 0)
        for (size_t j = 0; j < up->in; j++)
            ((float *)weights->memory.data + up->offset)[7 * up->in + j] = 3e38F;
    shared_block_sync(&weights->memory, &two.small.team);
    const struct gram_input input = input_of(&two, "mlp.down_proj", 0, 5);
    assert_ok(gram_create(&gram, &two.small.stage, gram_shared_bytes(36, true), &err), err);
    assert_int_equal(gram_gather(&gram, &input, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "layers.1.mlp.down_proj: the products of input channel 7 are not finite");
    gram_free(&gram);
    close_streams(&two);
}

static void products_that_overflow_are_refused(void **state)
{
    (void)state;
    check_refused(true);
    check_refused(false);
}

static void a_source_without_room_is_an_error(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct two_streams two;
    struct gram gram;
    struct error err = {0};
    (void)state;

    small_model_open(&two.small, &shape);
    open_streams(&two);
    const struct gram_input input = input_of(&two, "mlp.down_proj", 0, 5);
    for (int i = 0; i < 2; i++) {
        assert_ok(gram_create(&gram, &two.small.stage, gram_shared_bytes(i == 0 ? 35 : 36, i == 0), &err),
                  err);
        assert_int_equal(gram_gather(&gram, &input, &err), STATUS_FAILED);
        gram_free(&gram);
        err = (struct error){0};
    }
    close_streams(&two);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(one_stream_gives_the_products_of_each_source),
        mpi_unit_test(two_streams_give_the_products_of_what_each_layer_feeds),
        mpi_unit_test(an_expert_has_the_tokens_of_the_pruned_stream_alone),
        mpi_unit_test(experts_are_gathered_together),
        mpi_unit_test(the_bits_are_the_same_from_one_rank_and_from_all),
        mpi_unit_test(the_bits_are_the_same_on_one_node_and_on_several),
        mpi_unit_test(the_work_is_told_as_planned_and_every_tile_can_stop),
        mpi_unit_test(products_that_overflow_are_refused),
        mpi_unit_test(a_source_without_room_is_an_error),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
