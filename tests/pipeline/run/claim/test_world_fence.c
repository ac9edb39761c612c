// world_fence.h: what all ranks say when rank 0 has lost its lock.
// ranks: 1 3
#include "io/file/fence.h"
#include "pipeline/run/claim/world_fence.h"
#include "tests/support/mpi_test.h"
#include "tests/support/temporary_folder.h"

#include <string.h>
#include <unistd.h>

static struct team world;

static struct claim *claim_a_run(const char *run)
{
    const char *const names[] = {"v"};
    struct claim_outcome outcome;
    struct claim *claim = NULL;
    struct error err = {0};

    assert_ok(team_create(&world, MPI_COMM_WORLD, 1, &err), err);
    if (world.rank == 0)
        assert_ok(claim_take(&claim, run, names, 1, true, &outcome, &err), err);
    assert_ok(world_fence_set(claim, &world, &err), err);
    assert_ok(fence_check(&err), err);
    team_barrier(&world);
    return claim;
}

static void let_go(struct claim *claim)
{
    team_barrier(&world);
    claim_release(claim);
    fence_clear();
    team_free(&world);
}

// The last rank fails, with a status that is worse than that of a lost lock.
static enum status fail_somewhere(struct error *err)
{
    const enum status mine = world.rank == world.size - 1
                                 ? error_set(err, STATUS_INPUT, "config.json: No such file or directory")
                                 : STATUS_OK;
    return team_agree(&world, mine, err);
}

static void an_error_under_a_good_lock_stands(void **state)
{
    struct claim *claim = claim_a_run(in_directory("run"));
    struct error err = {0};

    (void)state;
    assert_int_equal(world_fence_blame(fail_somewhere(&err), &world, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "No such file");
    err = (struct error){0};
    assert_ok(world_fence_blame(STATUS_OK, &world, &err), err);
    let_go(claim);
}

static void a_lost_lock_is_why_whatever_another_rank_says(void **state)
{
    struct claim *claim = claim_a_run(in_directory("run"));
    struct error err = {0};

    (void)state;
    if (world.rank == 0)
        assert_int_equal(unlink(path_in(in_directory("run"), "lock")), 0);
    team_barrier(&world);
    assert_int_equal(world_fence_blame(fail_somewhere(&err), &world, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "the lock is gone");
    assert_int_equal(fence_check(NULL), STATUS_FAILED); // on every rank
    let_go(claim);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(an_error_under_a_good_lock_stands),
        mpi_unit_test(a_lost_lock_is_why_whatever_another_rank_says),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
