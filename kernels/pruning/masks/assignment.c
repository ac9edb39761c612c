#include "kernels/pruning/masks/assignment.h"
#include "kernels/simd.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NOBODY = -1, STRIPES = 32, PASSES = 2 };

// An auction that goes on: every thing has a place or waits for one.
struct auction {
    const float *gains; // [n, n]
    size_t n;
    double *prices;    // [n]
    int32_t *place_of; // [n], NOBODY: waits
    int32_t *thing_at; // [n], NOBODY: free
    int32_t *waiting;  // [n] the things that wait
    size_t num_waiting;
    double *profits; // [n] of one thing
    // Of the search for a path; the losses and prices of places that are settled are elsewhere, so that the
    // loops over places need not ask.
    double *losses, *open_prices, *settled_losses; // [n]
    int64_t *from;                                 // [n] the thing that a place was reached from
    int32_t *settled;                              // [n] places
};

static void auction_free(struct auction *a)
{
    free(a->prices);
    free(a->place_of);
    free(a->thing_at);
    free(a->waiting);
    free(a->profits);
    free(a->losses);
    free(a->open_prices);
    free(a->settled_losses);
    free(a->from);
    free(a->settled);
}

static enum status auction_create(struct auction *a, const float *gains, size_t n, struct error *err)
{
    static const char what[] = "an assignment of channels";

    *a = (struct auction){.gains = gains, .n = n};
    FORWARD_IF_ERROR(allocate(&a->prices, n, sizeof *a->prices, what, err));
    FORWARD_IF_ERROR(allocate(&a->place_of, n, sizeof *a->place_of, what, err));
    FORWARD_IF_ERROR(allocate(&a->thing_at, n, sizeof *a->thing_at, what, err));
    FORWARD_IF_ERROR(allocate(&a->waiting, n, sizeof *a->waiting, what, err));
    FORWARD_IF_ERROR(allocate(&a->profits, n, sizeof *a->profits, what, err));
    FORWARD_IF_ERROR(allocate(&a->losses, n, sizeof *a->losses, what, err));
    FORWARD_IF_ERROR(allocate(&a->open_prices, n, sizeof *a->open_prices, what, err));
    FORWARD_IF_ERROR(allocate(&a->settled_losses, n, sizeof *a->settled_losses, what, err));
    FORWARD_IF_ERROR(allocate(&a->from, n, sizeof *a->from, what, err));
    return allocate(&a->settled, n, sizeof *a->settled, what, err);
}

// ---- the loops over places --------------------------------------------------------------------------------

SIMD_CLONES
static void raise_to(double *restrict prices, const float *restrict gains, size_t n)
{
    for (size_t j = 0; j < n; j++)
        prices[j] = (double)gains[j] > prices[j] ? (double)gains[j] : prices[j];
}

SIMD_CLONES
static void profits_of(double *restrict profits, const float *restrict gains, const double *restrict prices,
                       size_t n)
{
    for (size_t j = 0; j < n; j++)
        profits[j] = (double)gains[j] - prices[j];
}

// The two largest of values[n]; the second is -INFINITY when n is 1.
SIMD_CLONES
static void two_largest(double largest[2], const double *values, size_t n)
{
    double first[STRIPES], second[STRIPES];
    size_t j = 0;

    for (size_t k = 0; k < STRIPES; k++)
        first[k] = second[k] = -INFINITY;
    for (; j + STRIPES <= n; j += STRIPES)
        for (size_t k = 0; k < STRIPES; k++) {
            const double value = values[j + k];
            const double less = value < first[k] ? value : first[k];
            first[k] = value > first[k] ? value : first[k];
            second[k] = less > second[k] ? less : second[k];
        }
    for (size_t k = 0; j < n; j++, k++) {
        const double value = values[j];
        const double less = value < first[k] ? value : first[k];
        first[k] = value > first[k] ? value : first[k];
        second[k] = less > second[k] ? less : second[k];
    }
    largest[0] = first[0];
    largest[1] = second[0];
    for (size_t k = 1; k < STRIPES; k++) {
        const double less = first[k] < largest[0] ? first[k] : largest[0];
        largest[0] = first[k] > largest[0] ? first[k] : largest[0];
        largest[1] = less > largest[1] ? less : largest[1];
        largest[1] = second[k] > largest[1] ? second[k] : largest[1];
    }
}

SIMD_CLONES
static double smallest(const double *values, size_t n)
{
    double least[STRIPES];
    size_t j = 0;

    for (size_t k = 0; k < STRIPES; k++)
        least[k] = INFINITY;
    for (; j + STRIPES <= n; j += STRIPES)
        for (size_t k = 0; k < STRIPES; k++)
            least[k] = values[j + k] < least[k] ? values[j + k] : least[k];
    for (size_t k = 0; j < n; j++, k++)
        least[k] = values[j] < least[k] ? values[j] : least[k];
    for (size_t k = 1; k < STRIPES; k++)
        least[0] = least[k] < least[0] ? least[k] : least[0];
    return least[0];
}

// The first of values[n] from `start` on that equals value, which is there.
static size_t place_of_value(const double *values, double value, size_t start)
{
    while (values[start] != value)
        start++;
    return start;
}

// Losses on the way over `thing`, where they are less than those known: base + price - gain.
SIMD_CLONES
static void reach_from(double *restrict losses, int64_t *restrict from, const float *restrict gains,
                       const double *restrict prices, double base, int64_t thing, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        const double loss = base + (prices[j] - (double)gains[j]);
        from[j] = loss < losses[j] ? thing : from[j];
        losses[j] = loss < losses[j] ? loss : losses[j];
    }
}

// ---- the auction ------------------------------------------------------------------------------------------

// Every price is the largest gain that anybody has there; a thing takes a place where it has that gain.
static void open_auction(struct auction *a)
{
    for (size_t j = 0; j < a->n; j++)
        a->prices[j] = -INFINITY;
    for (size_t i = 0; i < a->n; i++)
        raise_to(a->prices, a->gains + i * a->n, a->n);
    for (size_t i = 0; i < a->n; i++)
        a->place_of[i] = a->thing_at[i] = NOBODY;
    for (size_t i = 0; i < a->n; i++) {
        const float *gains = a->gains + i * a->n;
        for (size_t j = 0; j < a->n && a->place_of[i] == NOBODY; j++)
            if (a->thing_at[j] == NOBODY && (double)gains[j] == a->prices[j]) {
                a->place_of[i] = (int32_t)j;
                a->thing_at[j] = (int32_t)i;
            }
        if (a->place_of[i] == NOBODY)
            a->waiting[a->num_waiting++] = (int32_t)i;
    }
}

// The thing takes its best place and raises the price until the second best is as good. Returns who had the
// place, or NOBODY; *raised: whether the price rose.
static int32_t bid(struct auction *a, int32_t thing, bool *raised)
{
    double largest[2];

    profits_of(a->profits, a->gains + (size_t)thing * a->n, a->prices, a->n);
    two_largest(largest, a->profits, a->n);
    size_t place = place_of_value(a->profits, largest[0], 0);
    *raised = largest[0] > largest[1] && a->n > 1;
    if (*raised)
        a->prices[place] += largest[0] - largest[1];
    else if (a->thing_at[place] != NOBODY && a->n > 1) // another one is as good, and may be free
        place = place_of_value(a->profits, largest[1], place + 1);
    const int32_t before = a->thing_at[place];
    a->thing_at[place] = thing;
    a->place_of[thing] = (int32_t)place;
    if (before != NOBODY)
        a->place_of[before] = NOBODY;
    return before;
}

// Who is outbid bids again at once, as long as prices rise and there are bids left; the others wait for the
// next pass.
static void bid_in_turn(struct auction *a)
{
    const size_t most = 8 * a->n;
    const size_t waiting = a->num_waiting;
    size_t next = 0, bids = 0;

    a->num_waiting = 0;
    while (next < waiting) {
        int32_t thing = a->waiting[next++];
        bool raised = true;
        while (thing != NOBODY && raised && bids++ < most)
            thing = bid(a, thing, &raised);
        if (thing != NOBODY)
            a->waiting[a->num_waiting++] = thing;
    }
}

// ---- paths ------------------------------------------------------------------------------------------------

// Dijkstra's algorithm from a thing that waits to the free place with the least loss; *count: places that are
// settled before it.
static size_t find_place(struct auction *a, int32_t thing, size_t *count)
{
    double base = 0;

    *count = 0;
    memcpy(a->open_prices, a->prices, a->n * sizeof *a->prices);
    for (size_t j = 0; j < a->n; j++)
        a->losses[j] = INFINITY;
    for (;;) {
        reach_from(a->losses, a->from, a->gains + (size_t)thing * a->n, a->open_prices, base, thing, a->n);
        const double least = smallest(a->losses, a->n);
        const size_t place = place_of_value(a->losses, least, 0);
        a->settled_losses[place] = least;
        if (a->thing_at[place] == NOBODY)
            return place;
        a->settled[(*count)++] = (int32_t)place;
        thing = a->thing_at[place];
        base = least - (a->prices[place] - (double)a->gains[(size_t)thing * a->n + place]);
        a->losses[place] = a->open_prices[place] = INFINITY;
    }
}

// Everybody on the path moves on to the place that it was reached from.
static void move_along(struct auction *a, int32_t thing, size_t place)
{
    for (int32_t mover = NOBODY; mover != thing;) {
        mover = (int32_t)a->from[place];
        const int32_t left = a->place_of[mover];
        a->thing_at[place] = mover;
        a->place_of[mover] = (int32_t)place;
        place = (size_t)left; // NOBODY after the last
    }
}

static void seat(struct auction *a, int32_t thing)
{
    size_t count;
    const size_t place = find_place(a, thing, &count);
    const double least = a->settled_losses[place];

    for (size_t k = 0; k < count; k++)
        a->prices[a->settled[k]] += least - a->settled_losses[a->settled[k]];
    move_along(a, thing, place);
}

enum status assignment_solve(uint32_t *places, const float *gains, size_t n, struct error *err)
{
    struct auction auction;
    enum status status = auction_create(&auction, gains, n, err);

    if (status == STATUS_OK) {
        open_auction(&auction);
        for (int pass = 0; pass < PASSES; pass++)
            bid_in_turn(&auction);
        for (size_t k = 0; k < auction.num_waiting; k++)
            seat(&auction, auction.waiting[k]);
        for (size_t i = 0; i < n; i++)
            places[i] = (uint32_t)auction.place_of[i];
    }
    auction_free(&auction);
    return status;
}
