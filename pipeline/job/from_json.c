// The way back of json.h.
#include "pipeline/job/expected.h"
#include "pipeline/job/item.h"
#include "pipeline/job/job.h"
#include "pipeline/job/json.h"
#include "pipeline/job/json_place.h"
#include "pipeline/job/tasks.h"
#include "pipeline/job/texts.h"
#include "pipeline/job/variant.h"
#include "pipeline/text/suggest.h"

#include <string.h>

static bool word_from_json(size_t *index, const json_t *json, const char *const *words, size_t count)
{
    *index = json_is_string(json) ? find_word(json_string_value(json), words, count) : count;
    return *index < count;
}

static bool number_from_json(double *number, const struct job_key_row *row, const json_t *json)
{
    *number = json_number_value(json);
    return json_is_number(json) && job_key_in_range(row, *number);
}

static bool directions_from_json(bool directions[2], const json_t *json)
{
    size_t count, i, index;
    const char *const *words = direction_names(&count);
    const json_t *word;

    json_array_foreach(json, i, word)
    {
        if (!word_from_json(&index, word, words, count))
            return false;
        directions[index] = true;
    }
    return json_is_array(json);
}

// STATUS_DAMAGED, without a message, when the JSON is not an item of the key.
static enum status item_from_json(union job_item *item, const struct job_key_row *row, const json_t *json,
                                  struct error *err)
{
    size_t count, index;
    bool good = false;

    memset(item, 0, sizeof *item);
    switch (row->type) {
    case TYPE_TEXT:
        if (json_is_null(json) && !(row->flags & KEY_REQUIRED))
            return STATUS_OK;
        return text_from_json(&item->text, json, err);
    case TYPE_SKIP:
        return text_from_json(&item->skip.pattern, json, err);
    case TYPE_WHOLE:
        item->whole = (uint64_t)json_integer_value(json);
        good = json_is_integer(json) && job_key_in_range(row, (double)json_integer_value(json));
        break;
    case TYPE_NUMBER:
        good = number_from_json(&item->number, row, json);
        break;
    case TYPE_BUDGET:
        good = number_from_json(&item->number, row, json_object_get(json, "perplexity"));
        break;
    case TYPE_FLAG:
        item->flag = json_is_true(json);
        good = json_is_boolean(json);
        break;
    case TYPE_CHOICE: {
        const char *const *words = row->choices(&count);
        good = word_from_json(&index, json, words, count);
        item->whole = index;
        break;
    }
    case TYPE_PAIR:
        good = json_array_size(json) == 2 && number_from_json(&item->pair[0], row, json_array_get(json, 0)) &&
               number_from_json(&item->pair[1], row, json_array_get(json, 1));
        break;
    case TYPE_PATTERN:
        good = json_is_string(json) &&
               pattern_parse(json_string_value(json), &item->pattern.keep, &item->pattern.of);
        break;
    case TYPE_DIRECTIONS:
        good = directions_from_json(item->directions, json);
        break;
    case TYPE_RATIOS:
        if (!number_from_json(&item->ratio.sparsity, row, json_array_get(json, 1)))
            return STATUS_DAMAGED;
        return text_from_json(&item->ratio.pattern, json_array_get(json, 0), err);
    case TYPE_TEXTS:
        return text_settings_from_json(&item->text_settings, json, err);
    case TYPE_TASKS:
        return task_from_json(&item->task, json, err);
    case TYPE_EXPECTED:
        return expected_from_json(&item->expected, json, err);
    }
    return good ? STATUS_OK : STATUS_DAMAGED;
}

static enum status array_from_json(void *home, const struct job_key_row *row, const json_t *json,
                                   struct error *err)
{
    struct job_value value = {0};
    // Texts are a list only where there are several, or one with a name.
    const bool is_text = row->type == TYPE_TEXTS && (json_is_string(json) || json_is_object(json));
    const size_t count = is_text ? 1 : json_array_size(json);
    const bool is_none = row->type == TYPE_TEXTS && json_is_null(json);
    enum status status = json_is_array(json) || is_text || is_none ? STATUS_OK : STATUS_DAMAGED;

    if (status == STATUS_OK)
        status = allocate(&value.items, count, sizeof *value.items, row->path, err);
    while (status == STATUS_OK && value.count < count) {
        const json_t *item = is_text ? json : json_array_get(json, value.count);
        status = item_from_json(&value.items[value.count], row, item, err);
        value.count++; // also what failed, to be freed
    }
    if (status == STATUS_OK)
        status = member_store_array(row, home, &value, err);
    job_value_free(row, &value);
    return status;
}

// STATUS_DAMAGED, without a message, when the JSON is not a value of the key.
static enum status member_from_json(void *home, const struct job_key_row *row, const json_t *json,
                                    struct error *err)
{
    union job_item item;

    if (type_is_array(row->type))
        return array_from_json(home, row, json, err);
    FORWARD_IF_ERROR(item_from_json(&item, row, json, err));
    member_store(row, home, &item);
    return STATUS_OK;
}

static bool may_be_missing(const struct job_key_row *row, const void *home)
{
    return !(row->flags & KEY_ON_RECORD) || row->flags & KEY_CAME_LATER ||
           (row->applies != NULL && !row->applies(home));
}

// The keys of a home. *wrong is the first that is missing or not what it must be: STATUS_DAMAGED, without a
// message.
static enum status home_from_json(void *home, enum job_home which, const json_t *json,
                                  const struct job_key_row **wrong, struct error *err)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const json_t *member = json_member(json, row);
        if (row->home != which)
            continue;
        *wrong = row;
        if (member != NULL) {
            FORWARD_IF_ERROR(member_from_json(home, row, member, err));
            continue;
        }
        if (!may_be_missing(row, home))
            return STATUS_DAMAGED;
        member_reset(row, home);
    }
    return STATUS_OK;
}

static enum status variant_from_json(struct variant *variant, const json_t *json, struct error *err)
{
    const struct job_key_row *wrong;
    const char *name = json_string_value(json_object_get(json, "name"));

    *variant = (struct variant){.is_pattern = json_object_get(json, "pattern") != NULL};
    FORWARD_IF_ERROR(home_from_json(variant, HOME_VARIANT, json, &wrong, err));
    // Every compensation has said whether it was guarded since there is a guard; before, none was.
    if (json_object_get(json, "guard") == NULL)
        variant->guard = false;
    variant_complete(variant);
    return name != NULL && strcmp(variant->name, name) == 0 ? STATUS_OK : STATUS_DAMAGED;
}

static enum status variants_from_json(struct settings *settings, const json_t *json, const char *origin,
                                      struct error *err)
{
    RETURN_ERROR_IF(!json_is_array(json), err, STATUS_DAMAGED, "%s: not a job: variants must be a list",
                    origin);
    FORWARD_IF_ERROR(
        allocate(&settings->variants, json_array_size(json), sizeof *settings->variants, "variants", err));
    for (size_t i = 0; i < json_array_size(json); i++) {
        RETURN_ERROR_IF(variant_from_json(&settings->variants[i], json_array_get(json, i), err) != STATUS_OK,
                        err, STATUS_DAMAGED, "%s: variants[%zu] is not a variant of this version", origin, i);
        settings->num_variants = i + 1;
    }
    return attempts_create(settings, err);
}

static enum status fill_settings(struct settings *settings, const json_t *json, const char *origin,
                                 struct error *err)
{
    const struct job_key_row *wrong;
    char takes[256];
    const enum status status = home_from_json(settings, HOME_SETTINGS, json, &wrong, err);

    if (status == STATUS_DAMAGED && json_member(json, wrong) == NULL)
        RETURN_ERROR(err, status, "%s: not a job: %s is missing", origin, wrong->path);
    if (status == STATUS_DAMAGED)
        RETURN_ERROR(err, status, "%s: not a job: %s must be %s%s", origin, wrong->path,
                     type_is_array(wrong->type) ? "a list, each item " : "",
                     job_key_describe(wrong, takes, sizeof takes));
    FORWARD_IF_ERROR(status);
    return variants_from_json(settings, json_object_get(json, "variants"), origin, err);
}

enum status settings_from_json(struct settings **settings, const json_t *json, const char *origin,
                               struct error *err)
{
    FORWARD_IF_ERROR(allocate(settings, 1, sizeof **settings, "the job", err));
    const enum status status = fill_settings(*settings, json, origin, err);
    if (status != STATUS_OK) {
        settings_free(*settings);
        *settings = NULL;
    }
    return status;
}
