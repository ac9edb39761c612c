#include "pipeline/job/variant.h"
#include "kernels/pruning/allocation/budget.h"
#include "pipeline/job/value.h"
#include "pipeline/text/column.h"
#include "pipeline/text/number.h"
#include "stages/stage.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int variants_column(const struct settings *settings)
{
    int column = NAME_COLUMN;
    for (size_t v = 0; v < settings->num_variants; v++)
        column = column_with(column, settings->variants[v].name);
    return column;
}

// ---- equal variants get equal contents -----------------------------------------------------------------

static void reset(struct variant *variant, enum job_key key)
{
    member_reset(job_key_row(key), variant);
}

static void normalise(struct variant *variant)
{
    const unsigned needs = method_needs(variant->method);

    if (!method_has_factors(variant->method))
        variant->parameters = importance_defaults(variant->method);
    if (needs & NEEDS_HESSIAN)
        reset(variant, KEY_GROUP); // has groups of its own
    if (!job_key_row(KEY_DRIFT)->applies(variant))
        reset(variant, KEY_DRIFT);
    if (variant->parameters.alpha == 0)
        reset(variant, KEY_EPSILON);
    if (variant->is_pattern) {
        reset(variant, KEY_GROUP);
        reset(variant, KEY_ALLOCATION);
        reset(variant, KEY_SPARSITY);
        reset(variant, KEY_BUDGET);
    } else {
        if (variant->budget > 0)
            reset(variant, KEY_SPARSITY);
        reset(variant, KEY_PATTERN);
        reset(variant, KEY_PERMUTE);
    }
    if (variant->allocation != ALLOCATION_OWL) {
        reset(variant, KEY_OWL_THRESHOLD);
        reset(variant, KEY_OWL_RANGE);
    }
    if (variant->allocation != ALLOCATION_DLP)
        reset(variant, KEY_DLP_ALPHA);
    if (variant->allocation != ALLOCATION_MEASURED)
        reset(variant, KEY_MEASURED_SEQUENCES);
    if (method_needs(variant->method) & NEEDS_EQUATIONS && variant_solves(variant))
        reset(variant, KEY_OUTPUT_MATCHING); // ends with it by itself
    if (variant_solves(variant))             // it sets every weight, whatever energy would have made of it
        variant->energy_columns = variant->energy_rows = false;
    if (!job_key_row(KEY_CLAMP)->applies(variant))
        reset(variant, KEY_CLAMP);
    if (!variant_can_be_guarded(variant))
        variant->guard = false; // of nothing
    variant->clamp.epsilon = importance_defaults(variant->method).epsilon;
}

// ---- names ---------------------------------------------------------------------------------------------

// A name under construction. Whether it fits is checked at the end.
struct name {
    char text[256];
    size_t length;
};

static void add(struct name *name, const char *text)
{
    const size_t length = strlen(text);
    if (length < sizeof name->text - name->length) {
        memcpy(name->text + name->length, text, length + 1);
        name->length += length;
    }
}

static void add_number(struct name *name, double value)
{
    char number[32];
    add(name, number_format(value, number, sizeof number));
}

static void add_directions(struct name *name, const bool directions[2])
{
    size_t count;
    const char *const *words = direction_names(&count);
    for (size_t i = 0; i < count; i++)
        if (directions[i]) {
            add(name, "-");
            add(name, words[i]);
        }
}

// Adds "-", the tag of the key and its value.
static void add_key(struct name *name, const struct job_key_row *row, const struct variant *variant)
{
    const union job_item item = member_load(row, variant);
    char text[48];
    size_t count;

    if (row->type == TYPE_DIRECTIONS) {
        add_directions(name, item.directions);
        return;
    }
    add(name, name->length > 0 ? "-" : "");
    add(name, row->tag);
    switch (row->type) {
    case TYPE_CHOICE:
        add(name, row->choices(&count)[item.whole]);
        break;
    case TYPE_NUMBER:
    case TYPE_BUDGET:
        add_number(name, item.number);
        break;
    case TYPE_WHOLE:
        snprintf(text, sizeof text, "%llu", (unsigned long long)item.whole);
        add(name, text);
        break;
    case TYPE_PAIR:
        add_number(name, item.pair[0]);
        add(name, "-");
        add_number(name, item.pair[1]);
        break;
    case TYPE_PATTERN:
        snprintf(text, sizeof text, "%zuof%zu", item.pattern.keep, item.pattern.of);
        add(name, text);
        break;
    case TYPE_FLAG: // the tag says it
    case TYPE_DIRECTIONS:
    case TYPE_TEXT:
    case TYPE_SKIP:
    case TYPE_RATIOS:
    case TYPE_TEXTS:
    case TYPE_TASKS:
    case TYPE_EXPECTED:
        break;
    }
}

static bool is_named(const struct job_key_row *row, const struct variant *variant)
{
    return row->home == HOME_VARIANT && (row->applies == NULL || row->applies(variant)) &&
           (row->flags & KEY_IN_NAME || !member_is_standard(row, variant));
}

// Flags that are on by default are named when they are off, after everything else.
static bool comes_last(const struct job_key_row *row)
{
    return row->type == TYPE_FLAG && row->standard[0] != 0;
}

// FNV-1a (Fowler, Noll, Vo), 64 bits.
static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

enum { ATTEMPT_SUFFIX = 4 }; // "~6", and more

static void build_name(struct variant *variant)
{
    // Attempts add their number.
    const size_t room = sizeof variant->name - (variant->budget > 0 ? ATTEMPT_SUFFIX : 0);
    struct name name = {.length = 0};

    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
            const struct job_key_row *row = job_key_row((enum job_key)i);
            if (comes_last(row) == (last == 1) && is_named(row, variant))
                add_key(&name, row, variant);
        }
    if (name.length < room) {
        memcpy(variant->name, name.text, name.length + 1);
        return;
    }
    // Numbers of 17 digits everywhere: cut, and told apart by a hash.
    const int kept = (int)(room - sizeof "-0123456789abcdef");
    snprintf(variant->name, sizeof variant->name, "%.*s-%016llx", kept, name.text,
             (unsigned long long)hash_text(name.text));
}

void variant_complete(struct variant *variant)
{
    normalise(variant);
    build_name(variant);
}

enum status attempts_create(struct settings *settings, struct error *err)
{
    size_t searched = 0;

    for (size_t v = 0; v < settings->num_variants; v++)
        searched += variant_is_searched(&settings->variants[v]);
    FORWARD_IF_ERROR(allocate(&settings->attempts, searched * BUDGET_ATTEMPTS, sizeof *settings->attempts,
                              "attempts of prune.budget", err));
    for (size_t v = 0; v < settings->num_variants; v++)
        for (size_t a = 1; a <= BUDGET_ATTEMPTS && variant_is_searched(&settings->variants[v]); a++) {
            struct variant *attempt = &settings->attempts[settings->num_attempts++];
            *attempt = settings->variants[v];
            attempt->base = &settings->variants[v];
            attempt->attempt = a;
            snprintf(attempt->name + strlen(attempt->name), ATTEMPT_SUFFIX, "~%zu", a);
        }
    return STATUS_OK;
}
