// What the ranks kept in a wave reaches every rank in the order of the sequences.
// ranks: 1 3
#include "stages/layer/wave_inputs.h"
#include "tests/support/mpi_test.h"

#include <string.h>

enum { SOURCES = 3, TOKENS = 4, MOST = 64 };
static size_t channels[SOURCES] = {5, 2, 7};
static const struct layer_map map = {.num_sources = SOURCES, .source_channels = channels};

// What a rank was given, in order.
struct visits {
    size_t count;
    struct wave_input inputs[MOST];
    float first[MOST], last[MOST];
};

static void record(void *context, const struct wave_input *input, const float *x)
{
    struct visits *visits = context;
    assert_true(visits->count < MOST);
    visits->inputs[visits->count] = *input;
    visits->first[visits->count] = x[0];
    visits->last[visits->count] = x[input->streams * input->tokens * channels[input->source] - 1];
    visits->count++;
}

// Every value is the same; rank, source and stream are seen in it.
static float value_of(int wave, int rank, size_t source, size_t stream)
{
    return (float)(1000 * wave + 100 * rank) + (float)(10 * source + stream);
}

static void keep(struct wave_inputs *inputs, size_t source, size_t tokens, float value)
{
    float x[TOKENS * 7];
    for (size_t k = 0; k < tokens * channels[source]; k++)
        x[k] = value;
    wave_inputs_keep(inputs, source, x, tokens);
}

static void check_visit(const struct visits *visits, size_t at, size_t source, size_t tokens, size_t streams,
                        const float values[2])
{
    assert_int_equal(visits->inputs[at].source, source);
    assert_int_equal(visits->inputs[at].tokens, tokens);
    assert_int_equal(visits->inputs[at].streams, streams);
    assert_true(visits->first[at] == values[0] && visits->last[at] == values[1]);
}

// In the second wave the last rank has no sequence.
static void all_ranks_are_given_all_inputs_in_the_order_of_the_ranks(void **state)
{
    struct team team;
    struct wave_inputs inputs;
    struct error err = {0};
    (void)state;

    assert_int_equal(team_create(&team, MPI_COMM_WORLD, 1, &err), STATUS_OK);
    assert_int_equal(wave_inputs_create(&inputs, &team, &map, &err), STATUS_OK);
    for (int wave = 0; wave < 2; wave++) {
        const int sequences = wave == 0 ? team.size : team.size - 1;
        struct visits visits = {0};
        if (team.rank < sequences) {
            keep(&inputs, 1, TOKENS, value_of(wave, team.rank, 1, 0));
            keep(&inputs, 2, (size_t)team.rank + 1, value_of(wave, team.rank, 2, 0)); // as an expert's
            keep(&inputs, 0, TOKENS, value_of(wave, team.rank, 0, 0));
            keep(&inputs, 0, TOKENS, value_of(wave, team.rank, 0, 1));
        }
        assert_int_equal(wave_inputs_visit(&inputs, record, &visits, &err), STATUS_OK);
        assert_int_equal(visits.count, 3 * sequences);
        for (int r = 0; r < sequences; r++) {
            const size_t at = 3 * (size_t)r;
            const float one[2] = {value_of(wave, r, 1, 0), value_of(wave, r, 1, 0)};
            const float two[2] = {value_of(wave, r, 2, 0), value_of(wave, r, 2, 0)};
            const float both[2] = {value_of(wave, r, 0, 0), value_of(wave, r, 0, 1)};
            check_visit(&visits, at, 1, TOKENS, 1, one);
            check_visit(&visits, at + 1, 2, (size_t)r + 1, 1, two);
            check_visit(&visits, at + 2, 0, TOKENS, 2, both);
        }
    }
    wave_inputs_free(&inputs);
    team_free(&team);
}

static void a_rank_that_could_not_keep_an_input_stops_all(void **state)
{
    struct team team;
    struct wave_inputs inputs;
    struct visits visits = {0};
    struct error err = {0};
    (void)state;

    assert_int_equal(team_create(&team, MPI_COMM_WORLD, 1, &err), STATUS_OK);
    assert_int_equal(wave_inputs_create(&inputs, &team, &map, &err), STATUS_OK);
    if (team.rank == team.size - 1)
        error_set(&inputs.failure, STATUS_MEMORY, "no room");
    keep(&inputs, 1, TOKENS, 1);
    assert_int_equal(wave_inputs_visit(&inputs, record, &visits, &err), STATUS_MEMORY);
    assert_non_null(strstr(err.message, "no room"));
    assert_int_equal(visits.count, 0);
    wave_inputs_free(&inputs);
    team_free(&team);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(all_ranks_are_given_all_inputs_in_the_order_of_the_ranks),
        mpi_unit_test(a_rank_that_could_not_keep_an_input_stops_all),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
