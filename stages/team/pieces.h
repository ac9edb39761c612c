// pieces.h - the collective transfers of team.h and ordered_sum.h with the size of a piece as an argument, so
// that tests can use a small one. They go in pieces because MPI 3.1 counts in int, and because memory for
// messages must not grow with the data.
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

struct team;
struct ordered_sum;

enum { LARGEST_PIECE = 1 << 30 };     // bytes of one MPI call
enum { ORDERED_SUM_PIECE = 1 << 18 }; // doubles that a rank receives from each other rank at a time: 2 MiB

// As team_broadcast, at most `piece` bytes in one call.
enum status broadcast_in_pieces(const struct team *team, void *bytes, uint64_t size, int root, size_t piece,
                                struct error *err);
// As team_sum_u64, at most `piece` values in one call.
enum status sum_u64_in_pieces(const struct team *team, uint64_t *values, size_t count, size_t piece,
                              struct error *err);
// As team_allgather. Up to `piece` bytes in all go in one call; above it the shares travel round the ring of
// ranks, at most `piece` bytes in one call.
enum status allgather_in_pieces(const struct team *team, void *data, size_t total, size_t width, size_t piece,
                                struct error *err);
// As ordered_sum_begin, at most `piece` doubles in one message.
enum status ordered_sum_begin_in_pieces(struct ordered_sum **sum, const struct team *team, size_t length,
                                        size_t maxima, size_t piece, struct error *err);
