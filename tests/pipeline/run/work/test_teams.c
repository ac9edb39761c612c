// teams.h: how many teams, and of which ranks.
// ranks: 1 3
#include "pipeline/run/work/teams.h"

#include "pipeline/plan/teams.h"
#include "tests/support/mpi_test.h"
#include "tests/support/small_model.h"

#include <math.h>
#include <stdlib.h>

enum { MEBIBYTE = 1 << 20 };

static size_t teams(size_t nodes, size_t ranks_per_node, size_t chains, size_t wanted, uint64_t layer_bytes)
{
    const struct ranks_there_are there = {nodes * ranks_per_node, ranks_per_node, wanted};
    return teams_for(&there, chains, layer_bytes);
}

static void large_layers_are_loaded_once_on_every_node(void **state)
{
    (void)state;
    assert_int_equal(teams(1, 8, 32, 0, 900 * MEBIBYTE), 1);
    assert_int_equal(teams(4, 8, 32, 0, 900 * MEBIBYTE), 4);
    assert_int_equal(teams(4, 8, 3, 0, 900 * MEBIBYTE), 3); // no team without a chain
    assert_int_equal(teams(4, 8, 0, 0, 900 * MEBIBYTE), 1);
    assert_int_equal(teams(4, 8, 32, 0, 0), 4); // size not known
}

static void as_many_small_layers_as_fit_are_worked_on(void **state)
{
    (void)state;
    assert_int_equal(teams(1, 4, 32, 0, 1 * MEBIBYTE), 4);
    assert_int_equal(teams(2, 4, 32, 0, 1 * MEBIBYTE), 8);
    assert_int_equal(teams(1, 4, 32, 0, 128 * MEBIBYTE), 2); // 256 MiB
    assert_int_equal(teams(1, 4, 32, 0, 257 * MEBIBYTE), 1);
}

// The rule by itself: the most teams of a node, within memory, that are busy nine tenths of the time when a
// chain takes as long as any other.
static void teams_of_a_node_get_about_as_many_chains(void **state)
{
    (void)state;
    for (size_t nodes = 1; nodes <= 3; nodes++)
        for (size_t chains = 1; chains <= 40; chains++) {
            size_t expected = nodes;
            for (size_t of_node = 2; of_node <= 6; of_node++) {
                const double count = (double)(nodes * of_node);
                const double busy = (double)chains / (count * ceil((double)chains / count));
                if (busy >= 0.9 - 1e-9)
                    expected = nodes * of_node;
            }
            assert_int_equal(teams(nodes, 6, chains, 0, MEBIBYTE), expected < chains ? expected : chains);
        }
}

static void what_was_asked_for_is_given(void **state)
{
    (void)state;
    assert_int_equal(teams(1, 8, 32, 3, MEBIBYTE), 3);
    assert_int_equal(teams(1, 8, 32, 100, MEBIBYTE), 8);
    assert_int_equal(teams(1, 8, 2, 5, MEBIBYTE), 2);
}

// ---- on ranks --------------------------------------------------------------------------------------------

struct fixture {
    struct small_model small;
    struct plan plan;
    struct options options;
    struct run_context context;
};

static void open_fixture(struct fixture *f, size_t sequences)
{
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};

    shape.sequences = sequences;
    small_model_open(&f->small, &shape);
    small_model_add(&f->small, "one", METHOD_WANDA);
    assert_ok(plan_create(&f->plan, f->small.model, &f->small.settings, &err), err);
    f->options = (struct options){.teams = 0};
    f->context = (struct run_context){.options = &f->options,
                                      .settings = &f->small.settings,
                                      .model = f->small.model,
                                      .plan = &f->plan,
                                      .world = &f->small.team,
                                      .stages = (1U << STAGE_COUNT) - 1};
}

static void close_fixture(struct fixture *f)
{
    plan_free(&f->plan);
    small_model_close(&f->small);
}

static void ranks_without_work_stand_aside(void **state)
{
    struct fixture f;
    struct team team;
    struct error err = {0};

    (void)state;
    open_fixture(&f, 2); // two sequences to calibrate with: a third rank has none
    assert_ok(teams_form(&team, &f.context, 0, 0, &err), err);
    assert_int_equal(team.count, 1);
    assert_int_equal(team_is_idle(&team), mpi_rank() >= 2);
    if (!team_is_idle(&team))
        assert_int_equal(team.size, mpi_size() < 2 ? mpi_size() : 2);
    team_free(&team);
    // Windows of the evaluation are work, too, but only where there is an evaluation.
    assert_ok(teams_form(&team, &f.context, 0, 50, &err), err);
    assert_int_equal(team_is_idle(&team), mpi_rank() >= 2);
    team_free(&team);
    close_fixture(&f);
}

static void masks_are_made_by_all_ranks_in_a_team_for_each_layer(void **state)
{
    struct fixture f;
    struct team team;
    struct error err = {0};

    (void)state;
    open_fixture(&f, 2);
    f.options.teams = 2; // of 2 layers, a chain each
    assert_ok(teams_form(&team, &f.context, 1, 0, &err), err);
    const int ranks = mpi_size(), expected = ranks < 2 ? ranks : 2;
    assert_int_equal(team.count, expected);
    assert_false(team_is_idle(&team));
    assert_int_equal(team.index, ranks == 1 ? 0 : mpi_rank() * expected / ranks);
    team_free(&team);
    close_fixture(&f);
}

static void no_rank_stands_aside_when_every_team_has_work_for_its_ranks(void **state)
{
    struct fixture f;
    struct team team;
    struct error err = {0};

    (void)state;
    open_fixture(&f, 2);
    plan_free(&f.plan);
    small_model_add(&f.small, "two", METHOD_WANDA);
    f.small.settings.propagation = PROPAGATION_PRUNED; // each variant is calibrated by itself
    assert_ok(plan_create(&f.plan, f.small.model, &f.small.settings, &err), err);
    f.options.teams = 2;
    assert_ok(teams_form(&team, &f.context, 1, 0, &err), err);
    assert_int_equal(team.count, mpi_size() < 2 ? 1 : 2);
    assert_false(team_is_idle(&team));
    team_free(&team);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(large_layers_are_loaded_once_on_every_node),
        mpi_unit_test(as_many_small_layers_as_fit_are_worked_on),
        mpi_unit_test(teams_of_a_node_get_about_as_many_chains),
        mpi_unit_test(what_was_asked_for_is_given),
        mpi_unit_test(ranks_without_work_stand_aside),
        mpi_unit_test(no_rank_stands_aside_when_every_team_has_work_for_its_ranks),
        mpi_unit_test(masks_are_made_by_all_ranks_in_a_team_for_each_layer),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
