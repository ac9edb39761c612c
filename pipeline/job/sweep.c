#include "pipeline/job/sweep.h"
#include "pipeline/job/variant.h"

#include <string.h>

enum { MOST_VARIANTS = 4096 }; // more are a mistake in a list; names are compared pair by pair

// How many values each key has in the sweep. Patterns continue the list of sparsities, and have no dimension
// of their own.
static void count_values(size_t counts[NUM_JOB_KEYS], const struct job_values *values)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const bool varies = job_key_is_swept(job_key_row((enum job_key)i));
        counts[i] = varies && is_given(values, (enum job_key)i) ? values->of[i].count : 1;
    }
    counts[KEY_SPARSITY] =
        values->of[KEY_SPARSITY].count + values->of[KEY_PATTERN].count + values->of[KEY_BUDGET].count;
    counts[KEY_PATTERN] = counts[KEY_BUDGET] = 1;
}

// The variant at one point of the sweep: for each key the index of its value.
static void fill_variant(struct variant *variant, const struct job_values *values,
                         const size_t point[NUM_JOB_KEYS])
{
    const size_t amount = point[KEY_SPARSITY], num_sparsities = values->of[KEY_SPARSITY].count;
    const bool is_searched = is_given(values, KEY_BUDGET); // and nothing else is

    *variant = (struct variant){.is_pattern = !is_searched && amount >= num_sparsities};
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        size_t index = point[i];
        bool given = is_given(values, (enum job_key)i);
        if (row->home != HOME_VARIANT)
            continue;
        if (i == KEY_SPARSITY) {
            given = !variant->is_pattern && !is_searched;
        } else if (i == KEY_PATTERN) {
            given = variant->is_pattern;
            index = amount - num_sparsities;
        } else if (i == KEY_BUDGET) {
            index = amount;
        }
        if (given)
            member_store(row, variant, &values->of[i].items[index]);
        else
            member_reset(row, variant);
    }
    // Defaults that depend on keys further down the table.
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        if (row->home == HOME_VARIANT && row->own_standard != NULL && !is_given(values, (enum job_key)i))
            member_reset(row, variant);
    }
    variant_complete(variant);
}

static bool is_known(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->num_variants; i++)
        if (strcmp(settings->variants[i].name, name) == 0)
            return true;
    return false;
}

// point <- the next one, the last key fastest. False after the last.
static bool next_point(size_t point[NUM_JOB_KEYS], const size_t counts[NUM_JOB_KEYS])
{
    for (size_t i = NUM_JOB_KEYS; i-- > 0;) {
        if (++point[i] < counts[i])
            return true;
        point[i] = 0;
    }
    return false;
}

enum status sweep_expand(struct settings *settings, const struct job_values *values, const char *path,
                         struct error *err)
{
    size_t counts[NUM_JOB_KEYS], point[NUM_JOB_KEYS] = {0}, points = 1;

    count_values(counts, values);
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        RETURN_ERROR_IF(counts[i] > MOST_VARIANTS / points, err, STATUS_USAGE,
                        "%s: prune: the lists make more than %d variants, split the job", path,
                        MOST_VARIANTS);
        points *= counts[i];
    }
    FORWARD_IF_ERROR(allocate(&settings->variants, points, sizeof *settings->variants, "variants", err));
    do {
        struct variant *variant = &settings->variants[settings->num_variants];
        fill_variant(variant, values, point);
        if (!is_known(settings, variant->name))
            settings->num_variants++;
    } while (next_point(point, counts));
    return attempts_create(settings, err);
}
