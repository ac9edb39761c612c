// waves.h - how the sequences [first, end) are handed out: in waves, of which rank r has the sequence
// wave + r. Aligned waves, which may be one more, give a sequence always to rank `sequence % size`, whichever
// others are passed with it: what a rank keeps of its own sequences is there when they come again. Sums have
// the same bits either way.
#pragma once
#include "stages/team/team.h"

//     for (size_t wave = waves_begin(team, first, aligned); wave < end; wave += (size_t)team->size)
static inline size_t waves_begin(const struct team *team, size_t first, bool aligned)
{
    return aligned ? first - first % (size_t)team->size : first;
}

// This rank's sequence of the wave, and whether it is one of [first, end).
static inline bool wave_sequence(size_t *sequence, const struct team *team, size_t wave, size_t first,
                                 size_t end)
{
    *sequence = wave + (size_t)team->rank;
    return *sequence >= first && *sequence < end;
}

// How many sequences of [first, end) the wave has.
static inline size_t wave_count(const struct team *team, size_t wave, size_t first, size_t end)
{
    const size_t from = wave > first ? wave : first, behind = wave + (size_t)team->size;
    return (behind < end ? behind : end) - from;
}
