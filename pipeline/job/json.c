#include "pipeline/job/json.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/json_place.h"
#include "pipeline/job/tasks.h"
#include "pipeline/job/texts.h"
#include "pipeline/job/value.h"

// ---- to JSON -------------------------------------------------------------------------------------------

static json_t *directions_to_json(const bool directions[2])
{
    size_t count;
    const char *const *words = direction_names(&count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (directions[i])
            json_array_append_new(array, json_string(words[i]));
    return array;
}

// A text that is not given is null.
static json_t *text_to_json(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *item_to_json(const struct job_key_row *row, const union job_item *item)
{
    size_t count;

    switch (row->type) {
    case TYPE_TEXT:
        return text_to_json(item->text);
    case TYPE_WHOLE:
        return json_integer((json_int_t)item->whole);
    case TYPE_NUMBER:
        return json_real(item->number);
    case TYPE_BUDGET:
        return json_pack("{s:f}", "perplexity", item->number);
    case TYPE_FLAG:
        return json_boolean(item->flag);
    case TYPE_CHOICE:
        return json_string(row->choices(&count)[item->whole]);
    case TYPE_PAIR:
        return json_pack("[f, f]", item->pair[0], item->pair[1]);
    case TYPE_PATTERN:
        return json_sprintf("%zu:%zu", item->pattern.keep, item->pattern.of);
    case TYPE_DIRECTIONS:
        return directions_to_json(item->directions);
    case TYPE_SKIP:
        return json_string(item->skip.pattern);
    case TYPE_RATIOS:
        return json_pack("[s, f]", item->ratio.pattern, item->ratio.sparsity);
    case TYPE_TEXTS: // all together, see member_to_json
        return NULL;
    case TYPE_TASKS:
        return task_to_json(&item->task);
    case TYPE_EXPECTED:
        return expected_to_json(&item->expected);
    }
    return NULL;
}

static json_t *member_to_json(const struct job_key_row *row, const void *home)
{
    union job_item item;

    if (!type_is_array(row->type)) {
        item = member_load(row, home);
        return item_to_json(row, &item);
    }
    if (row->type == TYPE_TEXTS) {
        const struct settings *settings = home;
        return texts_to_json(settings->texts, settings->num_texts);
    }
    json_t *array = json_array();
    for (size_t i = 0; i < member_count(row, home) && array != NULL; i++) {
        item = member_element(row, home, i);
        if (json_array_append_new(array, item_to_json(row, &item)) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

// Whether a key is in the JSON of its home, and among the members that have been there from the beginning.
static bool is_written(const struct job_key_row *row, const void *home, bool on_record)
{
    if (((row->flags & KEY_ON_RECORD) != 0) != on_record)
        return false;
    if (row->applies != NULL)
        return row->applies(home);
    return on_record || !member_is_standard(row, home);
}

// Adds the keys [first, end) of a home. Returns 0, or -1 when memory ran out or a text is not UTF-8.
static int add_members(json_t *json, const void *home, enum job_home which, bool on_record,
                       enum job_key first, enum job_key end)
{
    for (size_t i = first; i < end; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const char *name;
        if (row->home != which || !is_written(row, home, on_record))
            continue;
        json_t *section = json_section(json, json_path(row), &name, true);
        if (json_object_set_new(section, name, member_to_json(row, home)) != 0)
            return -1;
    }
    return 0;
}

json_t *variant_to_json(const struct variant *variant)
{
    json_t *json = json_pack("{s:s}", "name", variant->name);
    int failed = json == NULL ? -1 : 0;

    failed = failed != 0 ? failed : add_members(json, variant, HOME_VARIANT, true, 0, NUM_JOB_KEYS);
    failed = failed != 0 ? failed : add_members(json, variant, HOME_VARIANT, false, 0, NUM_JOB_KEYS);
    if (failed == 0)
        return json;
    json_decref(json);
    return NULL;
}

static json_t *variants_to_json(const struct settings *settings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < settings->num_variants && array != NULL; i++)
        if (json_array_append_new(array, variant_to_json(&settings->variants[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

json_t *settings_to_json(const struct settings *settings)
{
    const enum job_key evaluation = KEY_PERPLEXITY; // the variants have always stood before it
    json_t *json = json_object();
    int failed = json == NULL ? -1 : 0;

    failed = failed != 0 ? failed : add_members(json, settings, HOME_SETTINGS, true, 0, evaluation);
    failed = failed != 0 ? failed : json_object_set_new(json, "variants", variants_to_json(settings));
    failed =
        failed != 0 ? failed : add_members(json, settings, HOME_SETTINGS, true, evaluation, NUM_JOB_KEYS);
    failed = failed != 0 ? failed : add_members(json, settings, HOME_SETTINGS, false, 0, NUM_JOB_KEYS);
    if (failed == 0)
        return json;
    json_decref(json);
    return NULL;
}

// ---- the identity of a run -----------------------------------------------------------------------------

json_t *settings_identity(const json_t *job)
{
    json_t *identity = job != NULL ? json_deep_copy(job) : json_object(), *value;
    const char *name;
    void *next;

    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        if (row->home != HOME_SETTINGS || !(row->flags & KEY_MAY_CHANGE))
            continue;
        json_t *section = json_section(identity, json_path(row), &name, false);
        json_object_del(section, name);
    }
    json_object_del(identity, "variants");
    json_object_foreach_safe(identity, next, name, value)
    {
        if (json_is_object(value) && json_object_size(value) == 0)
            json_object_del(identity, name);
    }
    return identity;
}
