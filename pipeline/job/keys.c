#include "pipeline/job/keys.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"
#include "stages/stage.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

// ---- words of choices, in the order of the enums in stages/settings.h ----------------------------------

#define WORDS(name, ...)                                  \
    static const char *const *name(size_t *count)         \
    {                                                     \
        static const char *const words[] = {__VA_ARGS__}; \
        *count = sizeof words / sizeof words[0];          \
        return words;                                     \
    }
WORDS(pack_names, "auto", "true", "false")
WORDS(group_names, "row", "layer")
WORDS(allocation_names, "uniform", "owl", "dlp", "measured")
WORDS(drift_names, "ignored", "corrected")
WORDS(propagation_names, "pruned", "dense")
WORDS(compute_names, "float32", "bf16", "bf16_emulated") // of kernels/compute.h
WORDS(output_format_names, "dequantised", "source")

const char *const *direction_names(size_t *count)
{
    static const char *const words[] = {"columns", "rows"};
    *count = sizeof words / sizeof words[0];
    return words;
}

// ---- what depends on the variant's other choices -------------------------------------------------------

static double own_alpha(const struct variant *variant)
{
    return importance_defaults(variant->method).alpha;
}

static double own_epsilon(const struct variant *variant)
{
    return importance_defaults(variant->method).epsilon;
}

static double own_exponent(const struct variant *variant)
{
    return importance_defaults(variant->method).exponent;
}

// cvr is about alpha: it says so even where alpha is 0.
static bool has_alpha(const struct variant *variant)
{
    return variant->parameters.alpha != 0 || own_alpha(variant) != 0;
}

// Least squares towards the dense model's outputs knows what the inputs lost. sparsegpt and auto have scores
// of their own.
static bool has_drift(const struct variant *variant)
{
    return variant_solves(variant) && method_has_factors(variant->method);
}

static double own_drift(const struct variant *variant)
{
    return has_drift(variant) ? DRIFT_CORRECTED : DRIFT_IGNORED;
}

static bool has_sparsity(const struct variant *variant)
{
    return !variant->is_pattern && variant->budget == 0;
}

static bool has_budget(const struct variant *variant)
{
    return variant->budget > 0;
}

// The sparsest model is one that takes its sparsity from where it costs least.
static double own_allocation(const struct variant *variant)
{
    return variant->budget > 0 ? ALLOCATION_MEASURED : ALLOCATION_UNIFORM;
}

static bool has_pattern(const struct variant *variant)
{
    return variant->is_pattern;
}

static bool has_owl(const struct variant *variant)
{
    return variant->allocation == ALLOCATION_OWL;
}

static bool has_dlp(const struct variant *variant)
{
    return variant->allocation == ALLOCATION_DLP;
}

static bool has_measured(const struct variant *variant)
{
    return variant->allocation == ALLOCATION_MEASURED;
}

// Whether there are factors to clamp.
static bool has_factors(const struct variant *variant)
{
    return variant->energy_columns || variant->energy_rows ||
           (variant->output != MATCHING_OFF && variant->output != MATCHING_LEAST_SQUARES);
}

// ---- the table -----------------------------------------------------------------------------------------

#define HOME_OF_settings HOME_SETTINGS
#define HOME_OF_variant HOME_VARIANT
#define MEMBER(room, member) (((struct room *)0)->member)
// Where a value is kept. Does not compile when the member is not of this type.
#define KEPT(room, member, type)                                 \
    .home = HOME_OF_##room, .size = sizeof MEMBER(room, member), \
    .offset = offsetof(struct room, member) + 0 * sizeof(1 ? (type *)0 : &MEMBER(room, member))
#define KEPT_ARRAY(array, count, type)                                              \
    KEPT(settings, array, type), .count_offset = offsetof(struct settings, count) + \
                                                 0 * sizeof(1 ? (size_t *)0 : &MEMBER(settings, count))
// The same for whole numbers and enums, of any size.
#define KEPT_WHOLE(room, member)                                 \
    .home = HOME_OF_##room, .size = sizeof MEMBER(room, member), \
    .offset = offsetof(struct room, member) + 0 * sizeof(MEMBER(room, member) | 0)
#define RANGE(from, to) .low = (from), .high = (to)

#define TEXT(member, of) .type = TYPE_TEXT, KEPT(settings, member, char *), .what = (of)
#define WHOLE(room, member, from, to) .type = TYPE_WHOLE, KEPT_WHOLE(room, member), RANGE(from, to)
#define NUMBER(room, member, from, to) .type = TYPE_NUMBER, KEPT(room, member, double), RANGE(from, to)
#define FLAG(room, member) .type = TYPE_FLAG, KEPT(room, member, bool)
#define CHOICE(room, member, words) .type = TYPE_CHOICE, KEPT_WHOLE(room, member), .choices = (words)
#define BUDGET(room, member, from, to) .type = TYPE_BUDGET, KEPT(room, member, double), RANGE(from, to)
#define PAIR(room, member, from, to) .type = TYPE_PAIR, KEPT(room, member, double), RANGE(from, to)
#define PATTERN(room, member) .type = TYPE_PATTERN, KEPT(room, member, size_t)
#define DIRECTIONS(room, member) .type = TYPE_DIRECTIONS, KEPT(room, member, bool)
#define SKIP(array, count, of) .type = TYPE_SKIP, KEPT_ARRAY(array, count, struct skip *), .what = (of)
#define RATIOS(array, count, from, to) \
    .type = TYPE_RATIOS, KEPT_ARRAY(array, count, struct ratio *), RANGE(from, to)
#define TEXTS(array, count) .type = TYPE_TEXTS, KEPT_ARRAY(array, count, struct text_settings *)
#define TASKS(array, count) .type = TYPE_TASKS, KEPT_ARRAY(array, count, struct task_settings *)
#define EXPECTED(array, count) .type = TYPE_EXPECTED, KEPT_ARRAY(array, count, struct expected *)

static const struct job_key_row rows[NUM_JOB_KEYS] = {
#define KEY(name, where, ...) [KEY_##name] = {.path = (where), __VA_ARGS__},
#include "pipeline/job/key_table.h"
#undef KEY
};

static const char *const sections[] = {"calibration", "prune", "compensate", "evaluate"};
enum { NUM_SECTIONS = sizeof sections / sizeof sections[0] };

const struct job_key_row *job_key_row(enum job_key key)
{
    return &rows[key];
}

bool job_key_is_swept(const struct job_key_row *row)
{
    return row->home == HOME_VARIANT && row->type != TYPE_PAIR;
}

bool job_key_in_range(const struct job_key_row *row, double value)
{
    return (row->flags & KEY_ABOVE_LOW ? value > row->low : value >= row->low) && value <= row->high;
}

// ---- finding a key -------------------------------------------------------------------------------------

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

enum job_key job_key_named(const char *path)
{
    size_t i = 0;
    while (i < NUM_JOB_KEYS && strcmp(rows[i].path, path) != 0)
        i++;
    return (enum job_key)i;
}

enum job_key job_key_of_word(const char *word)
{
    size_t i = 0;
    for (; i < NUM_JOB_KEYS; i++) {
        const char *dot = strchr(rows[i].path, '.');
        if (strcmp(dot != NULL ? dot + 1 : rows[i].path, word) == 0)
            break;
    }
    return (enum job_key)i;
}

bool job_is_section(const char *name)
{
    return find_word(name, sections, NUM_SECTIONS) < NUM_SECTIONS;
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

// ---- what it takes, in words ---------------------------------------------------------------------------

static void describe_range(const char *before, const struct job_key_row *row, char *text, size_t size)
{
    char low[32], high[32];
    snprintf(text, size, row->flags & KEY_ABOVE_LOW ? "%s above %s, to %s" : "%s from %s to %s", before,
             number_format(row->low, low, sizeof low), number_format(row->high, high, sizeof high));
}

static void describe_choices(const struct job_key_row *row, char *text, size_t size)
{
    size_t count;
    const char *const *words = row->choices(&count);
    size_t used = (size_t)snprintf(text, size, "one of");
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s %s", i != 0 ? "," : "", words[i]);
}

const char *job_key_describe(const struct job_key_row *row, char *text, size_t size)
{
    switch (row->type) {
    case TYPE_TEXT:
    case TYPE_SKIP:
        snprintf(text, size, "%s", row->what);
        break;
    case TYPE_WHOLE: // in full: 2^63 - 1 is clearer than 9.2e18
        snprintf(text, size, "a whole number from %.0f to %llu", row->low,
                 row->high < (double)INT64_MAX ? (unsigned long long)row->high
                                               : (unsigned long long)INT64_MAX);
        break;
    case TYPE_NUMBER:
    case TYPE_PAIR:
        describe_range("a number", row, text, size);
        break;
    case TYPE_BUDGET:
        describe_range("{perplexity: times the dense model's}, a number", row, text, size);
        break;
    case TYPE_FLAG:
        snprintf(text, size, "true or false");
        break;
    case TYPE_CHOICE:
        describe_choices(row, text, size);
        break;
    case TYPE_PATTERN:
        snprintf(text, size, "N:M, of every M weights N are kept, 1 <= N <= M <= 32");
        break;
    case TYPE_RATIOS:
        describe_range("a mapping of patterns of linear names to numbers", row, text, size);
        break;
    case TYPE_DIRECTIONS:
        snprintf(text, size, "[], [columns], [rows] or [columns, rows], or a list of such lists");
        break;
    case TYPE_TEXTS:
        snprintf(text, size, "a file, a folder or a pattern, {data: such, name, field} or a list of these");
        break;
    case TYPE_TASKS:
        snprintf(text, size, "a file, or {data: a file, name, format, limit, delimiter, shots, shots_from}");
        break;
    case TYPE_EXPECTED:
        snprintf(text, size, "a mapping of variants to {perplexity, length, source}");
        break;
    }
    return text;
}
