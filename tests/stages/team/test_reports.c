// ranks: 1 3 4
// Reports of teams: the world's first rank hears the newest of each, misses no last one, and never waits.
#include "stages/team/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct team world;

static void sums_are_of_the_newest_of_each(void **state)
{
    struct reports reports;
    struct error err = {0};
    double sums[REPORT_AMOUNTS];
    (void)state;

    assert_int_equal(reports_create(&reports, &world, &err), STATUS_OK);
    for (int phase = 1; phase <= 3; phase++) {
        if (world.rank == 0) {
            double before = 0;
            reports_reset(&reports);
            while (reports_hear(&reports, sums) < world.size - 1) {
                assert_true(sums[0] >= before); // amounts of one rank never come in another order
                before = sums[0];
            }
            double expected = 0;
            for (int rank = 1; rank < world.size; rank++)
                expected += 1000.0 * phase + rank;
            assert_true(sums[0] == expected);
            assert_true(sums[1] == expected / 2);
        } else {
            const double last = 1000.0 * phase + world.rank;
            for (int i = 0; i < 1000; i++)
                reports_tell(&reports, (double[]){i, i / 2.0});
            reports_tell_last(&reports, (double[]){last, last / 2});
        }
        team_barrier(&world);
    }
    reports_free(&reports);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_of_the_newest_of_each)};
    MPI_Init(&argc, &argv);
    if (team_create(&world, MPI_COMM_WORLD, 1, &err) != STATUS_OK)
        return 1;
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    team_free(&world);
    MPI_Finalize();
    return failures;
}
