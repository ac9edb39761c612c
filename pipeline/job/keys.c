#include "pipeline/job/keys.h"
#include "kernels/pruning/importance.h"
#include "kernels/pruning/matching.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *const *group_names(size_t *count)
{
    static const char *const names[] = {"row", "layer"};
    *count = sizeof names / sizeof names[0];
    return names;
}

const char *const *allocation_names(size_t *count)
{
    static const char *const names[] = {"uniform", "owl"};
    *count = sizeof names / sizeof names[0];
    return names;
}

const char *const *propagation_names(size_t *count)
{
    static const char *const names[] = {"pruned", "dense"};
    *count = sizeof names / sizeof names[0];
    return names;
}

static const struct job_key_row rows[NUM_JOB_KEYS] = {
    [KEY_MODEL] = {"model", TYPE_TEXT, SHAPE_ONE, .flags = KEY_REQUIRED, .what = "a directory"},
    [KEY_RUN] = {"run", TYPE_TEXT, SHAPE_ONE, .flags = KEY_REQUIRED, .what = "a directory"},
    [KEY_OUTPUT] = {"output", TYPE_TEXT, SHAPE_ONE, .what = "a directory"},
    [KEY_CORPUS] = {"calibration.corpus", TYPE_TEXT, SHAPE_ONE, .flags = KEY_REQUIRED, .what = "a file"},
    [KEY_SEQUENCES] = {"calibration.sequences", TYPE_WHOLE, SHAPE_ONE, .low = 1, .high = 1e9},
    [KEY_LENGTH] = {"calibration.length", TYPE_WHOLE, SHAPE_ONE, .low = 2, .high = 1e7},
    [KEY_SEED] = {"calibration.seed", TYPE_WHOLE, SHAPE_ONE, .low = 0, .high = 0x1p63},
    [KEY_KEEP_ACTIVATIONS] = {"calibration.keep_activations", TYPE_FLAG, SHAPE_ONE, .flags = 0},
    [KEY_METHOD] = {"prune.method", TYPE_CHOICE, SHAPE_SWEEP, .choices = method_names},
    [KEY_ALPHA] = {"prune.alpha", TYPE_NUMBER, SHAPE_SWEEP, .low = 0, .high = 8},
    [KEY_EPSILON] = {"prune.epsilon", TYPE_NUMBER, SHAPE_SWEEP, .flags = KEY_ABOVE_LOW, .low = 0, .high = 1},
    [KEY_EXPONENT] = {"prune.activation_exponent", TYPE_NUMBER, SHAPE_SWEEP, .low = 0, .high = 8},
    [KEY_SPARSITY] = {"prune.sparsity", TYPE_NUMBER, SHAPE_SWEEP, .low = 0, .high = 1},
    [KEY_PATTERN] = {"prune.pattern", TYPE_PATTERN, SHAPE_SWEEP, .flags = 0},
    [KEY_GROUP] = {"prune.group", TYPE_CHOICE, SHAPE_SWEEP, .choices = group_names},
    [KEY_ALLOCATION] = {"prune.allocation", TYPE_CHOICE, SHAPE_SWEEP, .choices = allocation_names},
    [KEY_OWL_THRESHOLD] = {"prune.owl_threshold", TYPE_NUMBER, SHAPE_SWEEP, .flags = KEY_ABOVE_LOW, .low = 0,
                           .high = 1e6},
    [KEY_OWL_RANGE] = {"prune.owl_range", TYPE_NUMBER, SHAPE_SWEEP, .low = 0, .high = 1},
    [KEY_RATIOS] = {"prune.ratios", TYPE_RATIOS, SHAPE_ONE, .low = 0, .high = 1},
    [KEY_PROPAGATION] = {"prune.propagation", TYPE_CHOICE, SHAPE_ONE, .choices = propagation_names},
    [KEY_SKIP] = {"prune.skip", TYPE_TEXT, SHAPE_LIST, .what = "a pattern of linear names"},
    [KEY_ENERGY] = {"compensate.energy", TYPE_DIRECTIONS, SHAPE_LIST, .flags = 0},
    [KEY_CLAMP] = {"compensate.clamp", TYPE_NUMBER, SHAPE_PAIR, .flags = KEY_ABOVE_LOW, .low = 0,
                   .high = 1e6},
    [KEY_OUTPUT_MATCHING] = {"compensate.output", TYPE_CHOICE, SHAPE_SWEEP, .choices = matching_names},
    [KEY_BIAS] = {"compensate.bias", TYPE_FLAG, SHAPE_SWEEP, .flags = 0},
    [KEY_GUARD] = {"compensate.guard", TYPE_FLAG, SHAPE_SWEEP, .flags = 0},
    [KEY_KEEP_WEIGHTS] = {"compensate.keep_weights", TYPE_FLAG, SHAPE_ONE, .flags = 0},
    [KEY_PERPLEXITY] = {"evaluate.perplexity", TYPE_TEXT, SHAPE_ONE, .what = "a file"},
    [KEY_EVALUATE_LENGTH] = {"evaluate.length", TYPE_WHOLE, SHAPE_ONE, .low = 2, .high = 1e7},
    [KEY_TASKS] = {"evaluate.tasks", TYPE_TASK, SHAPE_LIST, .flags = 0},
};

static const char *const sections[] = {"calibration", "prune", "compensate", "evaluate"};
enum { NUM_SECTIONS = sizeof sections / sizeof sections[0] };

const struct job_key_row *job_key_row(enum job_key key)
{
    return &rows[key];
}

// The part of a path after "section.", or NULL when it is elsewhere; section "" is the top.
static const char *name_in_section(const char *path, const char *section)
{
    const size_t length = strlen(section);
    if (length == 0)
        return strchr(path, '.') == NULL ? path : NULL;
    return strncmp(path, section, length) == 0 && path[length] == '.' ? path + length + 1 : NULL;
}

enum job_key job_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const char *known = name_in_section(rows[i].path, section);
        if (known != NULL && strcmp(known, name) == 0)
            return (enum job_key)i;
    }
    return NUM_JOB_KEYS;
}

bool job_is_section(const char *name)
{
    for (size_t i = 0; i < NUM_SECTIONS; i++)
        if (strcmp(sections[i], name) == 0)
            return true;
    return false;
}

static const char *suggest_in_section(const char *section, const char *name)
{
    const char *names[NUM_JOB_KEYS + NUM_SECTIONS], *paths[NUM_JOB_KEYS + NUM_SECTIONS];
    size_t count = 0;

    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        names[count] = name_in_section(rows[i].path, section);
        paths[count] = rows[i].path;
        count += names[count] != NULL;
    }
    for (size_t i = 0; i < NUM_SECTIONS && section[0] == '\0'; i++) {
        names[count] = paths[count] = sections[i];
        count++;
    }
    const char *near = suggest_nearest(name, names, count);
    for (size_t i = 0; i < count && near != NULL; i++)
        if (names[i] == near)
            return paths[i];
    return NULL;
}

const char *job_key_suggest(const char *section, const char *name)
{
    const char *near = suggest_in_section(section, name);
    for (size_t i = 0; i < NUM_SECTIONS && near == NULL; i++)
        near = suggest_in_section(sections[i], name);
    return near != NULL ? near : suggest_in_section("", name);
}

const char *job_key_requirement(const struct job_key_row *row, char *text, size_t size)
{
    char low[32], high[32];
    size_t count, used;

    switch (row->type) {
    case TYPE_TEXT:
        snprintf(text, size, "must be %s", row->what);
        break;
    case TYPE_WHOLE: // in full: 2^63 - 1 is clearer than 9.2e18
        snprintf(text, size, "must be a whole number from %.0f to %llu", row->low,
                 row->high < (double)INT64_MAX ? (unsigned long long)row->high
                                               : (unsigned long long)INT64_MAX);
        break;
    case TYPE_NUMBER:
        snprintf(text, size,
                 row->flags & KEY_ABOVE_LOW ? "must be a number above %s, to %s"
                                            : "must be a number from %s to %s",
                 number_format(row->low, low, sizeof low), number_format(row->high, high, sizeof high));
        break;
    case TYPE_FLAG:
        snprintf(text, size, "must be true or false");
        break;
    case TYPE_CHOICE: {
        const char *const *words = row->choices(&count);
        used = (size_t)snprintf(text, size, count > 1 ? "must be one of" : "must be");
        for (size_t i = 0; i < count && used < size; i++)
            used += (size_t)snprintf(text + used, size - used, "%s %s", i != 0 ? "," : "", words[i]);
        break;
    }
    case TYPE_PATTERN:
        snprintf(text, size, "must be N:M, of every M weights N are kept, 1 <= N <= M <= 32");
        break;
    case TYPE_RATIOS:
        snprintf(text, size, "must be a mapping of patterns of linear names to numbers from %s to %s",
                 number_format(row->low, low, sizeof low), number_format(row->high, high, sizeof high));
        break;
    case TYPE_DIRECTIONS:
        snprintf(text, size, "must be [], [columns], [rows] or [columns, rows], or a list of such lists");
        break;
    case TYPE_TASK:
        snprintf(text, size, "must be a file, or {data: a file, name, format, limit, delimiter}");
        break;
    }
    return text;
}
