// In each wave every rank sends the slice that another rank owns to that rank, directly and without a copy.
// The owner adds the slices in the order of the ranks, which within a wave is the order of the sequences.
// Long slices go in pieces, so that the owner's buffer stays small.
#include "stages/team/ordered_sum.h"

#include "io/agree.h"
#include "stages/team/pieces.h"

#include <stdlib.h>
#include <string.h>

struct ordered_sum {
    const struct team *team;
    size_t length, maxima, piece;
    size_t first, count;   // the slice that this rank owns
    bool started;          // a partial was added: totals of the slice are there
    double *totals;        // [count] of the slice
    double *received;      // [size][smaller of count, piece]
    MPI_Request *requests; // [2 * size] receives, then sends
};

enum status ordered_sum_begin_in_pieces(struct ordered_sum **sum, const struct team *team, size_t length,
                                        size_t maxima, size_t piece, struct error *err)
{
    struct ordered_sum *new = NULL;
    const size_t size = (size_t)team->size;
    enum status status;

    *sum = NULL;
    status = allocate(&new, 1, sizeof *new, "an ordered sum", err);
    if (status == STATUS_OK && maxima > length)
        status = error_set(err, STATUS_FAILED, "%zu maxima among %zu values", maxima, length);
    if (status == STATUS_OK) {
        *new = (struct ordered_sum){.team = team, .length = length, .maxima = maxima, .piece = piece};
        share_of(length, (size_t)team->rank, size, &new->first, &new->count);
        const size_t most = new->count < piece ? new->count : piece;
        status = allocate(&new->totals, new->count, sizeof(double), "sums over sequences", err);
        if (status == STATUS_OK)
            status = allocate(&new->received, most * size, sizeof(double), "other ranks' sums over sequences",
                              err);
        if (status == STATUS_OK)
            status = allocate(&new->requests, 2 * size, sizeof(MPI_Request), "messages of a sum", err);
    }
    status = team_agree(team, status, err);
    if (status == STATUS_OK)
        *sum = new;
    else
        ordered_sum_free(new);
    return status;
}

enum status ordered_sum_begin(struct ordered_sum **sum, const struct team *team, size_t length, size_t maxima,
                              struct error *err)
{
    return ordered_sum_begin_in_pieces(sum, team, length, maxima, ORDERED_SUM_PIECE, err);
}

void ordered_sum_free(struct ordered_sum *sum)
{
    if (sum == NULL)
        return;
    free(sum->totals);
    free(sum->received);
    free(sum->requests);
    free(sum);
}

// Adds partial[count] to the channels of this rank's slice from `at` on. The first partial is copied: 0 + x
// would turn -0 into +0, and a maximum may be negative.
static void add(struct ordered_sum *sum, size_t at, const double *partial, size_t count, bool is_first)
{
    double *totals = sum->totals + at;
    const size_t sums = sum->length - sum->maxima; // channels below are summed
    const size_t begin = sum->first + at;
    const size_t summed = begin >= sums ? 0 : sums - begin < count ? sums - begin : count;

    if (is_first) {
        memcpy(totals, partial, count * sizeof *totals);
        return;
    }
    for (size_t j = 0; j < summed; j++)
        totals[j] += partial[j];
    for (size_t j = summed; j < count; j++)
        // A NaN stays, so that it is seen in the totals.
        totals[j] = partial[j] > totals[j] || partial[j] != partial[j] ? partial[j] : totals[j];
}

// Piece of a slice that starts at `at`: its length, 0 after the end.
static size_t piece_length(const struct ordered_sum *sum, size_t count, size_t at)
{
    return at >= count ? 0 : count - at < sum->piece ? count - at : sum->piece;
}

// Starts the messages of the piece at `at` of every slice. A rank without a sequence says so by an empty
// message.
static int start_messages(struct ordered_sum *sum, const double *partial, size_t at)
{
    const struct team *team = sum->team;
    const size_t mine = piece_length(sum, sum->count, at);
    MPI_Request *sends = sum->requests + team->size;
    int code = MPI_SUCCESS;

    for (int r = 0; r < 2 * team->size; r++)
        sum->requests[r] = MPI_REQUEST_NULL;
    for (int r = 0; r < team->size && code == MPI_SUCCESS; r++)
        if (r != team->rank && mine != 0)
            code = MPI_Irecv(sum->received + (size_t)r * mine, (int)mine, MPI_DOUBLE, r, 0, team->comm,
                             &sum->requests[r]);
    for (int r = 0; r < team->size && code == MPI_SUCCESS; r++) {
        size_t first, count;
        share_of(sum->length, (size_t)r, (size_t)team->size, &first, &count);
        const size_t length = piece_length(sum, count, at);
        if (r != team->rank && length != 0)
            code = partial != NULL
                       ? MPI_Isend(partial + first + at, (int)length, MPI_DOUBLE, r, 0, team->comm, &sends[r])
                       : MPI_Isend(NULL, 0, MPI_DOUBLE, r, 0, team->comm, &sends[r]);
    }
    return code;
}

// Waits for rank r's piece of this rank's slice; *from is NULL when it has no sequence.
static int await_piece(struct ordered_sum *sum, int r, size_t length, const double **from)
{
    MPI_Status status;
    int arrived = 0;
    int code = MPI_Wait(&sum->requests[r], &status);

    if (code == MPI_SUCCESS)
        code = MPI_Get_count(&status, MPI_DOUBLE, &arrived);
    *from = arrived != 0 ? sum->received + (size_t)r * length : NULL;
    return code;
}

// *started says whether a partial was added to this piece before the call, and is updated.
static enum status exchange_piece(struct ordered_sum *sum, const double *partial, size_t at, bool *started,
                                  struct error *err)
{
    const struct team *team = sum->team;
    const size_t mine = piece_length(sum, sum->count, at);
    int code = start_messages(sum, partial, at);

    for (int r = 0; r < team->size && code == MPI_SUCCESS && mine != 0; r++) {
        const double *from = partial != NULL ? partial + sum->first + at : NULL;
        if (r != team->rank)
            code = await_piece(sum, r, mine, &from);
        if (code == MPI_SUCCESS && from != NULL) {
            add(sum, at, from, mine, !*started);
            *started = true;
        }
    }
    if (code == MPI_SUCCESS)
        code = MPI_Waitall(team->size, sum->requests + team->size, MPI_STATUSES_IGNORE);
    return code == MPI_SUCCESS ? STATUS_OK : mpi_failed(code, "summing over the ranks", err);
}

enum status ordered_sum_add(struct ordered_sum *sum, const double *partial, struct error *err)
{
    size_t first, longest; // rank 0 has the longest slice
    bool started = sum->started;

    share_of(sum->length, 0, (size_t)sum->team->size, &first, &longest);
    for (size_t at = 0; at < longest; at += sum->piece) {
        bool piece_started = sum->started;
        FORWARD_IF_ERROR(exchange_piece(sum, partial, at, &piece_started, err));
        started = started || piece_started;
    }
    sum->started = started;
    return STATUS_OK;
}

enum status ordered_sum_finish(struct ordered_sum *sum, double *totals, struct error *err)
{
    memcpy(totals + sum->first, sum->totals, sum->count * sizeof *totals);
    return team_allgather(sum->team, totals, sum->length, sizeof *totals, err);
}
