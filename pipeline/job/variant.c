#include "pipeline/job/job.h"
#include "pipeline/text/number.h"
#include "stages/stage.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

// A method that is about alpha always says it.
static bool shows_alpha(const struct variant *variant)
{
    const double own = importance_defaults(variant->method).alpha;
    return own != 0 || variant->parameters.alpha != own;
}

static bool is_default_clamp(const struct energy_clamp *clamp)
{
    return clamp->low == DEFAULT_CLAMP_LOW && clamp->high == DEFAULT_CLAMP_HIGH;
}

static bool is_energy(const struct variant *variant)
{
    return variant->energy_columns || variant->energy_rows;
}

void variant_normalise(struct variant *variant)
{
    if (!method_has_factors(variant->method))
        variant->parameters = importance_defaults(variant->method);
    if (method_needs(variant->method) & NEEDS_HESSIAN)
        variant->group = GROUP_ROW; // has groups of its own
    if (variant->parameters.alpha == 0)
        variant->parameters.epsilon = DEFAULT_EPSILON;
    if (variant->is_pattern) {
        variant->group = GROUP_ROW;
        variant->allocation = ALLOCATION_UNIFORM;
        variant->sparsity = 0;
    } else {
        variant->keep = variant->of = 0;
    }
    if (variant->allocation != ALLOCATION_OWL) {
        variant->owl_threshold = DEFAULT_OWL_THRESHOLD;
        variant->owl_range = DEFAULT_OWL_RANGE;
    }
    if (!is_energy(variant) && variant->output == MATCHING_OFF) {
        variant->clamp.low = DEFAULT_CLAMP_LOW;
        variant->clamp.high = DEFAULT_CLAMP_HIGH;
    }
    if (!variant_compensates(variant))
        variant->guard = false; // of nothing
}

// A name in the making; what does not fit is noticed at the end.
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

static void add_number(struct name *name, const char *before, double value)
{
    char number[32];
    add(name, before);
    add(name, number_format(value, number, sizeof number));
}

static void add_amount(struct name *name, const struct variant *variant)
{
    char pattern[48];
    if (!variant->is_pattern) {
        add_number(name, "-", variant->sparsity);
        return;
    }
    snprintf(pattern, sizeof pattern, "-%zuof%zu", variant->keep, variant->of);
    add(name, pattern);
}

// FNV-1a (Fowler, Noll, Vo), 64 bits.
static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

void variant_name(struct variant *variant)
{
    struct name name = {.length = 0};
    size_t count;

    add(&name, method_name(variant->method));
    if (shows_alpha(variant))
        add_number(&name, "-alpha", variant->parameters.alpha);
    if (variant->parameters.epsilon != DEFAULT_EPSILON)
        add_number(&name, "-epsilon", variant->parameters.epsilon);
    if (variant->parameters.exponent != importance_defaults(variant->method).exponent)
        add_number(&name, "-exponent", variant->parameters.exponent);
    add_amount(&name, variant);
    if (!variant->is_pattern && variant->group == GROUP_LAYER)
        add(&name, "-layer");
    if (variant->allocation == ALLOCATION_OWL)
        add(&name, "-owl");
    if (variant->owl_threshold != DEFAULT_OWL_THRESHOLD)
        add_number(&name, "-threshold", variant->owl_threshold);
    if (variant->owl_range != DEFAULT_OWL_RANGE)
        add_number(&name, "-range", variant->owl_range);
    if (variant->energy_columns)
        add(&name, "-columns");
    if (variant->energy_rows)
        add(&name, "-rows");
    if (variant->output != MATCHING_OFF) {
        add(&name, "-output-");
        add(&name, matching_names(&count)[variant->output]);
    }
    if (variant->bias)
        add(&name, "-bias");
    if (!is_default_clamp(&variant->clamp)) {
        add_number(&name, "-clamp", variant->clamp.low);
        add_number(&name, "-", variant->clamp.high);
    }
    if (variant_compensates(variant) && !variant->guard)
        add(&name, "-unguarded");
    if (name.length < sizeof variant->name) {
        memcpy(variant->name, name.text, name.length + 1);
        return;
    }
    // Numbers of 17 digits everywhere: cut, and told apart by a hash.
    const int kept = (int)(sizeof variant->name - sizeof "-0123456789abcdef");
    snprintf(variant->name, sizeof variant->name, "%.*s-%016llx", kept, name.text,
             (unsigned long long)hash_text(name.text));
}
