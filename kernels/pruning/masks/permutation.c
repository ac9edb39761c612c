#include "kernels/pruning/masks/permutation.h"
#include "kernels/pruning/masks/assignment.h"
#include "kernels/simd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OF = 32 };
// A tile of gains is summed over a chunk of rows at a time: sums stay in registers, thresholds in the cache.
enum { TILE_CHANNELS = 4, TILE_GROUPS = 32, CHUNK = 256 };

static size_t num_groups(const struct permuted_scores *scores)
{
    return scores->channels / scores->of;
}

static const float *channel_at(const struct permuted_scores *scores, const uint32_t *order, size_t position)
{
    const size_t channel = order != NULL ? order[position] : position;
    return scores->scores + channel * scores->rows;
}

// ---- dealing ----------------------------------------------------------------------------------------------

struct channel_sum {
    double sum;
    uint32_t channel;
};

static int by_falling_sum(const void *left, const void *right)
{
    const struct channel_sum *a = left, *b = right;
    if (a->sum != b->sum)
        return a->sum < b->sum ? 1 : -1;
    return a->channel < b->channel ? -1 : 1;
}

enum status permutation_deal(uint32_t *order, const struct permuted_scores *scores, struct error *err)
{
    const size_t groups = num_groups(scores), of = scores->of;
    struct channel_sum *sums = NULL;

    FORWARD_IF_ERROR(allocate(&sums, scores->channels, sizeof *sums, "sums of scores", err));
    for (size_t j = 0; j < scores->channels; j++) {
        const float *channel = channel_at(scores, NULL, j);
        sums[j].channel = (uint32_t)j;
        for (size_t r = 0; r < scores->rows; r++)
            sums[j].sum += (double)channel[r];
        if (!isfinite(sums[j].sum))
            sums[j].sum = 0;
    }
    qsort(sums, scores->channels, sizeof *sums, by_falling_sum);
    for (size_t turn = 0; turn < of; turn++)
        for (size_t k = 0; k < groups; k++) {
            const size_t group = turn % 2 == 0 ? k : groups - 1 - k;
            order[group * of + turn] = sums[turn * groups + k].channel;
        }
    free(sums);
    return STATUS_OK;
}

// ---- one round --------------------------------------------------------------------------------------------

size_t permutation_thresholds_size(size_t rows, size_t groups)
{
    return rows * ((groups + TILE_GROUPS - 1) / TILE_GROUPS * TILE_GROUPS);
}

// Thresholds lie tile after tile of groups, in a tile row after row: [tiles][rows][TILE_GROUPS].
static size_t threshold_index(const struct permuted_scores *scores, size_t group, size_t row)
{
    return (group / TILE_GROUPS * scores->rows + row) * TILE_GROUPS + group % TILE_GROUPS;
}

// The keep-th largest of values[count], count >= keep.
static float largest_but(const float *values, size_t count, size_t keep)
{
    float sorted[MAX_OF];
    for (size_t k = 0; k < count; k++) {
        size_t at = k;
        for (; at > 0 && sorted[at - 1] < values[k]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = values[k];
    }
    return sorted[keep - 1];
}

void permutation_thresholds(float *thresholds, const struct permuted_scores *scores, const uint32_t *order,
                            size_t place, struct group_share share)
{
    const size_t of = scores->of;

    for (size_t group = share.first; group < share.first + share.count; group++) {
        const float *others[MAX_OF];
        size_t count = 0;
        for (size_t k = 0; k < of; k++)
            if (k != place)
                others[count++] = channel_at(scores, order, group * of + k);
        for (size_t row = 0; row < scores->rows; row++) {
            float values[MAX_OF];
            for (size_t k = 0; k < count; k++)
                values[k] = others[k][row];
            // All are kept, what comes as well, when there are fewer than `keep`.
            thresholds[threshold_index(scores, group, row)] =
                count >= scores->keep ? largest_but(values, count, scores->keep) : 0;
        }
    }
}

// sums[TILE_CHANNELS][TILE_GROUPS] += over rows [0, rows) max(0, score - threshold).
SIMD_CLONES
static void add_gains(float *restrict sums, const float *const *channels, const float *restrict thresholds,
                      size_t rows)
{
    const float *restrict a = channels[0], *restrict b = channels[1], *restrict c = channels[2],
                          *restrict d = channels[3];
    float part[TILE_CHANNELS][TILE_GROUPS] = {{0}};

    for (size_t row = 0; row < rows; row++) {
        const float *threshold = thresholds + row * TILE_GROUPS;
        for (size_t k = 0; k < TILE_GROUPS; k++) {
            const float of_a = a[row] - threshold[k], of_b = b[row] - threshold[k];
            const float of_c = c[row] - threshold[k], of_d = d[row] - threshold[k];
            part[0][k] += of_a > 0 ? of_a : 0;
            part[1][k] += of_b > 0 ? of_b : 0;
            part[2][k] += of_c > 0 ? of_c : 0;
            part[3][k] += of_d > 0 ? of_d : 0;
        }
    }
    for (size_t q = 0; q < TILE_CHANNELS; q++)
        for (size_t k = 0; k < TILE_GROUPS; k++)
            sums[q * TILE_GROUPS + k] += part[q][k];
}

// Gains are finite whatever the scores are.
static float bounded(float gain)
{
    const float most = 1e30F;
    return gain < most ? gain : most;
}

// The tile of gains of channels that were taken out of the groups [first, first + count) and of the groups
// from `group` on; count <= TILE_CHANNELS.
static void gain_tile(float *gains, const struct permuted_scores *scores, const float *const *channels,
                      const float *thresholds, size_t group)
{
    const size_t groups = num_groups(scores);
    float sums[TILE_CHANNELS * TILE_GROUPS] = {0};
    size_t width = groups - group < TILE_GROUPS ? groups - group : TILE_GROUPS;

    for (size_t row = 0; row < scores->rows; row += CHUNK) {
        const float *from[TILE_CHANNELS];
        for (size_t q = 0; q < TILE_CHANNELS; q++)
            from[q] = channels[q] + row;
        add_gains(sums, from, thresholds + threshold_index(scores, group, row),
                  scores->rows - row < CHUNK ? scores->rows - row : CHUNK);
    }
    for (size_t q = 0; q < TILE_CHANNELS; q++)
        for (size_t k = 0; k < width; k++)
            gains[q * TILE_GROUPS + k] = bounded(sums[q * TILE_GROUPS + k]);
}

void permutation_gains(float *gains, const struct permuted_scores *scores, const uint32_t *order,
                       const float *thresholds, size_t place, struct group_share share)
{
    const size_t groups = num_groups(scores), end = share.first + share.count;

    for (size_t group = 0; group < groups; group += TILE_GROUPS)
        for (size_t first = share.first; first < end; first += TILE_CHANNELS) {
            const size_t count = end - first < TILE_CHANNELS ? end - first : TILE_CHANNELS;
            const size_t width = groups - group < TILE_GROUPS ? groups - group : TILE_GROUPS;
            const float *channels[TILE_CHANNELS];
            float tile[TILE_CHANNELS * TILE_GROUPS];
            for (size_t q = 0; q < TILE_CHANNELS; q++) // the last one fills a tile up
                channels[q] =
                    channel_at(scores, order, (first + (q < count ? q : count - 1)) * scores->of + place);
            gain_tile(tile, scores, channels, thresholds, group);
            for (size_t q = 0; q < count; q++)
                memcpy(gains + (first + q) * groups + group, tile + q * TILE_GROUPS, width * sizeof *gains);
        }
}

enum status permutation_exchange(uint32_t *order, const struct permuted_scores *scores, const float *gains,
                                 size_t place, struct error *err)
{
    const size_t groups = num_groups(scores);
    uint32_t *to = NULL, *taken = NULL;
    enum status status = allocate(&to, groups, sizeof *to, "an assignment of channels", err);

    if (status == STATUS_OK)
        status = allocate(&taken, groups, sizeof *taken, "an assignment of channels", err);
    if (status == STATUS_OK)
        status = assignment_solve(to, gains, groups, err);
    for (size_t group = 0; group < groups && status == STATUS_OK; group++)
        taken[to[group]] = order[group * scores->of + place];
    for (size_t group = 0; group < groups && status == STATUS_OK; group++)
        order[group * scores->of + place] = taken[group];
    free(to);
    free(taken);
    return status;
}

// ---- the kept sum -----------------------------------------------------------------------------------------

double permutation_kept(const struct permuted_scores *scores, const uint32_t *order)
{
    const size_t of = scores->of;
    double kept = 0;

    for (size_t group = 0; group < num_groups(scores); group++)
        for (size_t row = 0; row < scores->rows; row++) {
            float sorted[MAX_OF];
            for (size_t k = 0; k < of; k++) {
                const float value = channel_at(scores, order, group * of + k)[row];
                size_t at = k;
                for (; at > 0 && sorted[at - 1] < value; at--)
                    sorted[at] = sorted[at - 1];
                sorted[at] = value;
            }
            for (size_t k = 0; k < scores->keep; k++)
                kept += (double)sorted[k];
        }
    return kept;
}
