// ordered_sum.h - sums over the calibration sequences whose bits do not depend on the number of ranks
// (kernels/METHOD.md §14).
//
// Sequences are handed out in waves: in wave w, rank r holds the sequence w * size + r, if there is one.
// After each wave every rank calls ordered_sum_add with its sequence's partial vector; each rank owns a slice
// of the channels and adds the partials of its slice in the order of the sequences. ordered_sum_finish gives
// everyone the totals. Memory is a few vectors, whatever the number of sequences. All functions but the last
// are collective.
#pragma once
#include "stages/team/team.h"

struct ordered_sum;

// length doubles: the first `length - maxima` are summed, the last `maxima` are maximised. Freed with
// ordered_sum_free.
enum status ordered_sum_begin(struct ordered_sum **sum, const struct team *team, size_t length, size_t maxima,
                              struct error *err);
// partial[length] of this rank's sequence in the wave; NULL: it has none.
enum status ordered_sum_add(struct ordered_sum *sum, const double *partial, struct error *err);
// totals[length]. Does not free the sum.
enum status ordered_sum_finish(struct ordered_sum *sum, double *totals, struct error *err);
void ordered_sum_free(struct ordered_sum *sum); // NULL is fine
