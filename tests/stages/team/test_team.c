// The ranks of a team: shares, agreement, exact sums, transfers in pieces, shared memory.
// ranks: 1 2 3 4
#include "stages/team/ordered_sum.h"
#include "stages/team/pieces.h"
#include "stages/team/shared_block.h"
#include "tests/support/mpi_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct team whole_world(void)
{
    struct team team;
    struct error err = {0};
    assert_int_equal(team_create(&team, MPI_COMM_WORLD, 1, &err), STATUS_OK);
    return team;
}

static void shares_cover_everything_once_and_differ_by_at_most_one(void **state)
{
    (void)state;
    for (size_t total = 0; total < 30; total++)
        for (size_t parts = 1; parts < 9; parts++) {
            size_t next = 0;
            for (size_t part = 0; part < parts; part++) {
                size_t first, count;
                share_of(total, part, parts, &first, &count);
                assert_int_equal(first, next);
                assert_true(count == total / parts || count == (total + parts - 1) / parts);
                next = first + count;
            }
            assert_int_equal(next, total);
        }
}

static void shares_of_huge_totals_do_not_overflow(void **state)
{
    (void)state;
    size_t first, count;
    share_of(SIZE_MAX, 6, 7, &first, &count);
    assert_int_equal(first + count, SIZE_MAX);
}

static void teams_are_contiguous_and_as_equal_as_possible(void **state)
{
    (void)state;
    for (int count = 1; count <= mpi_size(); count++) {
        struct team team;
        struct error err = {0};
        size_t first = 0, ranks = 0;
        assert_int_equal(team_create(&team, MPI_COMM_WORLD, count, &err), STATUS_OK);
        share_of((size_t)mpi_size(), (size_t)team.index, (size_t)count, &first, &ranks);
        assert_int_equal(team.count, count);
        assert_int_equal(team.size, ranks);
        assert_int_equal(team.rank, mpi_rank() - (int)first);
        assert_int_equal(team.world_rank, mpi_rank());
        assert_int_equal(team.world_size, mpi_size());
        assert_int_equal(team.node_size, team.size); // the tests run on one machine
        assert_int_equal(team.node_rank, team.rank);
        team_free(&team);
    }
}

// Given more ranks than there is work for, the rest form a team with nothing to do.
static void ranks_beyond_those_that_are_wanted_are_idle(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= mpi_size(); ranks++)
        for (int count = 1; count <= ranks; count++) {
            struct team team;
            struct error err = {0};
            size_t first, share;
            assert_int_equal(team_create_within(&team, MPI_COMM_WORLD, count, ranks, &err), STATUS_OK);
            assert_int_equal(team.count, count);
            assert_int_equal(team.world_size, mpi_size());
            assert_true(team_is_idle(&team) == (mpi_rank() >= ranks));
            if (team_is_idle(&team)) {
                assert_int_equal(team.size, mpi_size() - ranks);
                assert_int_equal(team.rank, mpi_rank() - ranks);
            } else {
                share_of((size_t)ranks, (size_t)team.index, (size_t)count, &first, &share);
                assert_int_equal(team.size, share);
                assert_int_equal(team.rank, mpi_rank() - (int)first);
            }
            // It works like any other.
            uint64_t one = 1;
            assert_int_equal(team_sum_u64(&team, &one, 1, &err), STATUS_OK);
            assert_int_equal(one, team.size);
            team_free(&team);
        }
}

// Whatever the other ranks do: it asks nobody.
static void a_process_alone_agrees_with_itself(void **state)
{
    struct team team;
    struct error err = {0};
    uint64_t value = 7;
    (void)state;

    team_alone(&team);
    assert_int_equal(team.rank, 0);
    assert_int_equal(team.size, 1);
    if (mpi_rank() > 0)
        return;
    assert_true(team_any(&team, true));
    assert_false(team_any(&team, false));
    assert_int_equal(team_broadcast(&team, &value, sizeof value, 0, &err), STATUS_OK);
    assert_int_equal(team_sum_u64(&team, &value, 1, &err), STATUS_OK);
    assert_int_equal(value, 7);
    error_set(&err, STATUS_INPUT, "as it is");
    assert_int_equal(team_agree(&team, STATUS_INPUT, &err), STATUS_INPUT);
    assert_string_equal(err.message, "as it is");
}

static void too_many_teams_are_refused(void **state)
{
    (void)state;
    struct team team;
    struct error err = {0};
    assert_int_equal(team_create(&team, MPI_COMM_WORLD, mpi_size() + 1, &err), STATUS_USAGE);
    assert_int_equal(team_create(&team, MPI_COMM_WORLD, 0, &err), STATUS_USAGE);
    assert_int_equal(team_create_within(&team, MPI_COMM_WORLD, 1, mpi_size() + 1, &err), STATUS_USAGE);
    assert_int_equal(team_create_within(&team, MPI_COMM_WORLD, 2, 1, &err), STATUS_USAGE);
}

static void all_well_is_agreed_and_leaves_the_error_alone(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {.status = STATUS_OK, .message = "as before"};
    assert_int_equal(team_agree(&team, STATUS_OK, &err), STATUS_OK);
    assert_string_equal(err.message, "as before");
    team_free(&team);
}

static void every_rank_leaves_with_the_worst_status_and_the_lowest_ranks_message(void **state)
{
    (void)state;
    struct team team = whole_world();
    for (int failing = 0; failing < team.size; failing++)
        for (int worse = 0; worse < team.size; worse++) {
            // `failing` ran out of memory; `worse` and all after it have bad input, which matters more
            struct error err = {0};
            enum status mine = STATUS_OK;
            char expected[64];
            if (team.rank == failing)
                mine = error_set(&err, STATUS_MEMORY, "memory on %d", team.rank);
            if (team.rank >= worse)
                mine = error_set(&err, STATUS_INPUT, "input on %d", team.rank);
            if (worse > 0)
                snprintf(expected, sizeof expected, "rank %d: input on %d", worse, worse);
            else
                snprintf(expected, sizeof expected, "input on %d", worse);
            assert_int_equal(team_agree(&team, mine, &err), STATUS_INPUT);
            assert_int_equal(err.status, STATUS_INPUT);
            assert_string_equal(err.message, expected);
        }
    team_free(&team);
}

static void agreement_works_without_a_place_for_the_message(void **state)
{
    (void)state;
    struct team team = whole_world();
    assert_int_equal(team_agree(&team, team.rank == team.size - 1 ? STATUS_FAILED : STATUS_OK, NULL),
                     STATUS_FAILED);
    team_free(&team);
}

static void a_message_of_full_length_survives(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    enum status mine = STATUS_OK;
    if (team.rank == team.size - 1) {
        memset(err.message, 'x', sizeof err.message - 1);
        mine = err.status = STATUS_FAILED;
    }
    assert_int_equal(team_agree(&team, mine, &err), STATUS_FAILED);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    team_free(&team);
}

static void any_rank_is_heard(void **state)
{
    (void)state;
    struct team team = whole_world();
    assert_false(team_any(&team, false));
    for (int r = 0; r < team.size; r++)
        assert_true(team_any(&team, team.rank == r));
    team_free(&team);
}

static void broadcast_gives_the_roots_bytes_in_any_pieces(void **state)
{
    (void)state;
    struct team team = whole_world();
    const size_t pieces[] = {1, 3, 7, 100, 1000};
    unsigned char bytes[101];
    struct error err = {0};
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++)
        for (int root = 0; root < team.size; root++) {
            for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (unsigned char)(team.rank == root ? i * 3 + (size_t)root : 255);
            bytes[100] = 77; // beyond the range
            assert_int_equal(broadcast_in_pieces(&team, bytes, 100, root, pieces[p], &err), STATUS_OK);
            for (size_t i = 0; i < 100; i++)
                assert_int_equal(bytes[i], (unsigned char)(i * 3 + (size_t)root));
            assert_int_equal(bytes[100], 77);
        }
    assert_int_equal(team_broadcast(&team, bytes, 0, 0, &err), STATUS_OK);
    team_free(&team);
}

static void integers_are_summed_exactly(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    const uint64_t large = UINT64_C(1) << 53; // a double would lose the + 1
    const uint64_t ranks = (uint64_t)team.size;
    for (size_t piece = 1; piece < 6; piece++) {
        uint64_t values[5];
        for (size_t i = 0; i < 5; i++)
            values[i] = large + i + (uint64_t)team.rank;
        assert_int_equal(sum_u64_in_pieces(&team, values, 5, piece, &err), STATUS_OK);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(values[i], ranks * (large + i) + ranks * (ranks - 1) / 2);
    }
    uint64_t one = 1;
    assert_int_equal(team_sum_u64(&team, &one, 1, &err), STATUS_OK);
    assert_int_equal(one, ranks);
    team_free(&team);
}

static void the_exclusive_sum_counts_the_lower_ranks(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    uint64_t before = 99, expected = 0;
    for (int r = 0; r < team.rank; r++)
        expected += 10 + (uint64_t)r;
    assert_int_equal(team_exclusive_sum_u64(&team, 10 + (uint64_t)team.rank, &before, &err), STATUS_OK);
    assert_int_equal(before, expected);
    team_free(&team);
}

static void allgather_gives_everyone_the_whole_in_any_pieces(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    // less than one share each, uneven shares, odd widths; pieces below, at and above a share
    const size_t totals[] = {0, 1, 2, 3, 5, 17, 64}, widths[] = {1, 3, 8},
                 pieces[] = {1, 2, 5, 16, 40, 1 << 20};
    for (size_t t = 0; t < 7; t++)
        for (size_t w = 0; w < 3; w++)
            for (size_t p = 0; p < 6; p++) {
                const size_t bytes = totals[t] * widths[w];
                unsigned char data[64 * 8 + 1];
                size_t first, count;
                memset(data, 0xEE, sizeof data);
                share_of(totals[t], (size_t)team.rank, (size_t)team.size, &first, &count);
                for (size_t i = first * widths[w]; i < (first + count) * widths[w]; i++)
                    data[i] = (unsigned char)(i * 7 + 1);
                assert_int_equal(allgather_in_pieces(&team, data, totals[t], widths[w], pieces[p], &err),
                                 STATUS_OK);
                for (size_t i = 0; i < bytes; i++)
                    assert_int_equal(data[i], (unsigned char)(i * 7 + 1));
                assert_int_equal(data[bytes], 0xEE);
            }
    team_free(&team);
}

// ---- ordered sums ----------------------------------------------------------------------------------------

// Element j of sequence s: numbers of very different sizes and both signs, so that every order gives other
// bits.
static double element(uint64_t seed, size_t s, size_t j)
{
    uint64_t x = seed + s * UINT64_C(0x9E3779B97F4A7C15) + j * UINT64_C(0xD1B54A32D192ED03);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    return ldexp((double)(int64_t)x, (int)(x % 40) - 63);
}

// The oracle: one plain loop in the order of the sequences.
static void sum_serially(double *totals, uint64_t seed, size_t sequences, size_t length, size_t maxima)
{
    for (size_t j = 0; j < length; j++) {
        double total = sequences > 0 ? element(seed, 0, j) : 0;
        for (size_t s = 1; s < sequences; s++) {
            const double x = element(seed, s, j);
            if (j < length - maxima)
                total += x;
            else if (x > total)
                total = x;
        }
        totals[j] = total;
    }
}

static void sum_over_ranks(const struct team *team, double *totals, uint64_t seed, size_t sequences,
                           size_t length, size_t maxima, size_t piece)
{
    struct ordered_sum *sum;
    struct error err = {0};
    const size_t size = (size_t)team->size;
    double *partial = malloc((length + 1) * sizeof *partial);

    assert_int_equal(ordered_sum_begin_in_pieces(&sum, team, length, maxima, piece, &err), STATUS_OK);
    for (size_t wave = 0; wave * size < sequences; wave++) {
        const size_t s = wave * size + (size_t)team->rank;
        for (size_t j = 0; j < length; j++)
            partial[j] = element(seed, s, j);
        assert_int_equal(ordered_sum_add(sum, s < sequences ? partial : NULL, &err), STATUS_OK);
    }
    assert_int_equal(ordered_sum_finish(sum, totals, &err), STATUS_OK);
    ordered_sum_free(sum);
    free(partial);
}

static void sums_have_the_bits_of_a_serial_loop(void **state)
{
    (void)state;
    struct team team = whole_world();
    const size_t lengths[] = {1, 2, 3, 7, 64, 101}, pieces[] = {1, 2, 16, 1 << 18};
    for (size_t sequences = 0; sequences <= 9; sequences++)
        for (size_t l = 0; l < 6; l++)
            for (size_t p = 0; p < 4; p++) {
                double expected[101], totals[102];
                const size_t length = lengths[l], maxima = length / 3;
                sum_serially(expected, l + 10 * sequences, sequences, length, maxima);
                memset(totals, 0x55, sizeof totals);
                sum_over_ranks(&team, totals, l + 10 * sequences, sequences, length, maxima, pieces[p]);
                assert_memory_equal(totals, expected, length * sizeof *expected);
                assert_true(memcmp(&totals[length], "\x55\x55\x55\x55", 4) == 0);
            }
    team_free(&team);
}

static void the_test_numbers_depend_on_the_order(void **state)
{
    (void)state; // otherwise the test above would prove nothing
    size_t different = 0;
    for (size_t j = 0; j < 100; j++) {
        double forward = 0, backward = 0;
        for (size_t s = 0; s < 9; s++) {
            forward += element(1, s, j);
            backward += element(1, 8 - s, j);
        }
        different += forward != backward;
    }
    assert_true(different > 30);
}

static void several_teams_sum_at_the_same_time(void **state)
{
    (void)state;
    struct error err = {0};
    for (int count = 1; count <= mpi_size(); count++) {
        struct team team;
        double expected[50], totals[50];
        assert_int_equal(team_create(&team, MPI_COMM_WORLD, count, &err), STATUS_OK);
        sum_serially(expected, 1000 + (uint64_t)team.index, 11, 50, 10);
        sum_over_ranks(&team, totals, 1000 + (uint64_t)team.index, 11, 50, 10, 1 << 18);
        assert_memory_equal(totals, expected, sizeof expected);
        team_free(&team);
    }
}

static void a_nan_is_not_lost(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    struct ordered_sum *sum;
    const double one[2] = {1, 1}, nan[2] = {NAN, NAN};
    double totals[2];
    for (int wave_with_nan = 0; wave_with_nan < 3; wave_with_nan++) {
        assert_int_equal(ordered_sum_begin(&sum, &team, 2, 1, &err), STATUS_OK);
        for (int wave = 0; wave < 3; wave++)
            assert_int_equal(
                ordered_sum_add(sum, wave == wave_with_nan && team.rank == team.size - 1 ? nan : one, &err),
                STATUS_OK);
        assert_int_equal(ordered_sum_finish(sum, totals, &err), STATUS_OK);
        assert_true(isnan(totals[0]));
        assert_true(isnan(totals[1]));
        ordered_sum_free(sum);
    }
    team_free(&team);
}

static void maxima_beyond_the_length_are_refused_by_all(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    struct ordered_sum *sum;
    assert_int_equal(ordered_sum_begin(&sum, &team, 2, 3, &err), STATUS_FAILED);
    assert_null(sum);
    ordered_sum_free(NULL);
    team_free(&team);
}

// ---- shared memory ---------------------------------------------------------------------------------------

static void a_shared_block_is_one_memory_for_all(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    struct shared_block block;
    const size_t count = 100003;

    assert_int_equal(shared_block_allocate(&block, &team, count * sizeof(uint32_t), "a test", &err),
                     STATUS_OK);
    assert_int_equal((uintptr_t)block.data % 64, 0);
    assert_int_equal(block.bytes, count * sizeof(uint32_t));
    uint32_t *numbers = block.data;
    for (uint32_t round = 1; round < 4; round++) {
        for (size_t i = (size_t)team.rank; i < count; i += (size_t)team.size)
            numbers[i] = round * (uint32_t)i;
        shared_block_sync(&block, &team);
        for (size_t i = 0; i < count; i++)
            if (numbers[i] != round * (uint32_t)i)
                fail_msg("round %u: element %zu is %u", round, i, numbers[i]);
        shared_block_sync(&block, &team);
    }
    shared_block_free(&block);
    team_free(&team);
}

static void an_empty_shared_block_is_fine(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    struct shared_block block;
    assert_int_equal(shared_block_allocate(&block, &team, 0, "nothing", &err), STATUS_OK);
    shared_block_free(&block);
    shared_block_free(&block); // again: nothing happens
    struct shared_block zeroed = {0};
    shared_block_free(&zeroed);
    team_free(&team);
}

static void more_shared_memory_than_there_is_is_a_clear_error_on_all_ranks(void **state)
{
    (void)state;
    struct team team = whole_world();
    struct error err = {0};
    struct shared_block block;
    assert_int_equal(shared_block_allocate(&block, &team, UINT64_C(1) << 50, "the layer's weights", &err),
                     STATUS_MEMORY);
    assert_non_null(strstr(err.message, "out of shared memory"));
    assert_non_null(strstr(err.message, "1125899906842624 bytes for the layer's weights"));
    assert_int_equal(shared_block_allocate(&block, &team, UINT64_MAX, "too much", &err), STATUS_MEMORY);
    shared_block_free(&block);
    team_free(&team);
}

// ---- opt-in: 8 GB of memory ------------------------------------------------------------------------------

static void counts_beyond_2_31_work(void **state)
{
    (void)state;
    if (getenv("COPPICE_TEST_BIG") == NULL)
        skip();
    struct team team = whole_world();
    struct error err = {0};
    struct shared_block block;
    const uint64_t bytes = (UINT64_C(1) << 31) + (UINT64_C(1) << 29) + 12345;
    size_t first, count;
    mpi_test_limit(600);

    assert_int_equal(shared_block_allocate(&block, &team, bytes, "a large block", &err), STATUS_OK);
    ((unsigned char *)block.data)[bytes - 1] = 7;
    shared_block_sync(&block, &team);
    assert_int_equal(((unsigned char *)block.data)[bytes - 1], 7);
    shared_block_sync(&block, &team);
    shared_block_free(&block);

    unsigned char *data = malloc(bytes);
    assert_non_null(data);
    share_of(bytes, (size_t)team.rank, (size_t)team.size, &first, &count);
    for (size_t i = first; i < first + count; i++)
        data[i] = (unsigned char)(i % 251);
    assert_int_equal(team_allgather(&team, data, bytes, 1, &err), STATUS_OK);
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != i % 251)
            fail_msg("allgather: byte %zu", i);
    if (team.rank != 0)
        memset(data, 0, bytes);
    assert_int_equal(team_broadcast(&team, data, bytes, 0, &err), STATUS_OK);
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != i % 251)
            fail_msg("broadcast: byte %zu", i);
    free(data);
    team_free(&team);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(shares_cover_everything_once_and_differ_by_at_most_one),
        mpi_unit_test(shares_of_huge_totals_do_not_overflow),
        mpi_unit_test(teams_are_contiguous_and_as_equal_as_possible),
        mpi_unit_test(ranks_beyond_those_that_are_wanted_are_idle),
        mpi_unit_test(a_process_alone_agrees_with_itself),
        mpi_unit_test(too_many_teams_are_refused),
        mpi_unit_test(all_well_is_agreed_and_leaves_the_error_alone),
        mpi_unit_test(every_rank_leaves_with_the_worst_status_and_the_lowest_ranks_message),
        mpi_unit_test(agreement_works_without_a_place_for_the_message),
        mpi_unit_test(a_message_of_full_length_survives),
        mpi_unit_test(any_rank_is_heard),
        mpi_unit_test(broadcast_gives_the_roots_bytes_in_any_pieces),
        mpi_unit_test(integers_are_summed_exactly),
        mpi_unit_test(the_exclusive_sum_counts_the_lower_ranks),
        mpi_unit_test(allgather_gives_everyone_the_whole_in_any_pieces),
        mpi_unit_test(sums_have_the_bits_of_a_serial_loop),
        mpi_unit_test(the_test_numbers_depend_on_the_order),
        mpi_unit_test(several_teams_sum_at_the_same_time),
        mpi_unit_test(a_nan_is_not_lost),
        mpi_unit_test(maxima_beyond_the_length_are_refused_by_all),
        mpi_unit_test(a_shared_block_is_one_memory_for_all),
        mpi_unit_test(an_empty_shared_block_is_fine),
        mpi_unit_test(more_shared_memory_than_there_is_is_a_clear_error_on_all_ranks),
        mpi_unit_test(counts_beyond_2_31_work),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
