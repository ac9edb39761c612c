#include "pipeline/job/value.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/tasks.h"
#include "pipeline/job/texts.h"
#include "stages/stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Two members that are one value follow one another.
_Static_assert(offsetof(struct energy_clamp, high) == offsetof(struct energy_clamp, low) + sizeof(double),
               "TYPE_PAIR");
_Static_assert(offsetof(struct variant, of) == offsetof(struct variant, keep) + sizeof(size_t),
               "TYPE_PATTERN");
_Static_assert(offsetof(struct variant, energy_rows) ==
                   offsetof(struct variant, energy_columns) + sizeof(bool),
               "TYPE_DIRECTIONS");

bool is_given(const struct job_values *values, enum job_key key)
{
    return values->of[key].given;
}

enum status job_value_refuse(const struct job_values *values, enum job_key key, struct error *err,
                             const char *format, ...)
{
    char place[SETTING_PLACE_SIZE], reason[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return error_set(err, STATUS_USAGE, "%s%s: %s", setting_place(place, values->path, values->of[key].line),
                     job_key_row(key)->path, reason);
}

static void free_item(enum job_type type, union job_item *item)
{
    if (type == TYPE_TEXT)
        free(item->text);
    else if (type == TYPE_SKIP)
        free(item->skip.pattern);
    else if (type == TYPE_RATIOS)
        free(item->ratio.pattern);
    else if (type == TYPE_TEXTS)
        text_settings_free(&item->text_settings);
    else if (type == TYPE_TASKS)
        task_settings_free(&item->task);
    else if (type == TYPE_EXPECTED)
        expected_free(&item->expected);
}

void job_value_free(const struct job_key_row *row, struct job_value *value)
{
    for (size_t i = 0; i < value->count; i++)
        free_item(row->type, &value->items[i]);
    free(value->items);
    *value = (struct job_value){0};
}

void job_values_free(struct job_values *values)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++)
        job_value_free(job_key_row((enum job_key)i), &values->of[i]);
}

// ---- single values -------------------------------------------------------------------------------------

bool type_is_array(enum job_type type)
{
    return type == TYPE_SKIP || type == TYPE_TEXTS || type == TYPE_TASKS || type_is_mapping(type);
}

bool type_is_mapping(enum job_type type)
{
    return type == TYPE_RATIOS || type == TYPE_EXPECTED;
}

// How many bytes of an item a member takes, from its beginning on. Whole numbers and enums: see below.
static size_t item_size(enum job_type type)
{
    const union job_item *item = NULL;
    switch (type) {
    case TYPE_TEXT:
        return sizeof item->text;
    case TYPE_NUMBER:
    case TYPE_BUDGET:
        return sizeof item->number;
    case TYPE_FLAG:
        return sizeof item->flag;
    case TYPE_PAIR:
        return sizeof item->pair;
    case TYPE_PATTERN:
        return sizeof item->pattern;
    case TYPE_DIRECTIONS:
        return sizeof item->directions;
    case TYPE_WHOLE:
    case TYPE_CHOICE:
    case TYPE_SKIP:
    case TYPE_RATIOS:
    case TYPE_TEXTS:
    case TYPE_TASKS:
    case TYPE_EXPECTED:
        break;
    }
    return 0;
}

union job_item member_load(const struct job_key_row *row, const void *home)
{
    const char *member = (const char *)home + row->offset;
    union job_item item = {.whole = 0};
    uint32_t narrow;

    if (row->type != TYPE_WHOLE && row->type != TYPE_CHOICE) {
        memcpy(&item, member, item_size(row->type));
    } else if (row->size == sizeof narrow) { // an enum, or size_t on a small machine
        memcpy(&narrow, member, sizeof narrow);
        item.whole = narrow;
    } else {
        memcpy(&item.whole, member, sizeof item.whole);
    }
    return item;
}

void member_store(const struct job_key_row *row, void *home, const union job_item *item)
{
    char *member = (char *)home + row->offset;

    if (row->type != TYPE_WHOLE && row->type != TYPE_CHOICE) {
        memcpy(member, item, item_size(row->type));
    } else if (row->size == sizeof(uint32_t)) {
        const uint32_t narrow = (uint32_t)item->whole;
        memcpy(member, &narrow, sizeof narrow);
    } else {
        memcpy(member, &item->whole, sizeof item->whole);
    }
}

union job_item member_standard(const struct job_key_row *row, const void *home)
{
    const double standard = row->own_standard != NULL ? row->own_standard(home) : row->standard[0];
    union job_item item = {.pattern = {0, 0}};

    if (row->type == TYPE_WHOLE || row->type == TYPE_CHOICE)
        item.whole = (uint64_t)standard;
    else if (row->type == TYPE_NUMBER || row->type == TYPE_BUDGET)
        item.number = standard;
    else if (row->type == TYPE_FLAG)
        item.flag = standard != 0;
    else if (row->type == TYPE_PAIR)
        memcpy(item.pair, row->standard, sizeof item.pair);
    return item;
}

bool member_is_standard(const struct job_key_row *row, const void *home)
{
    if (type_is_array(row->type))
        return member_count(row, home) == 0;
    const union job_item now = member_load(row, home), standard = member_standard(row, home);
    switch (row->type) {
    case TYPE_NUMBER:
    case TYPE_BUDGET:
        return now.number == standard.number;
    case TYPE_PAIR:
        return now.pair[0] == standard.pair[0] && now.pair[1] == standard.pair[1];
    case TYPE_WHOLE:
    case TYPE_CHOICE:
        return now.whole == standard.whole;
    default:
        return memcmp(&now, &standard, item_size(row->type)) == 0;
    }
}

void member_reset(const struct job_key_row *row, void *home)
{
    const union job_item standard = member_standard(row, home);
    if (!type_is_array(row->type)) {
        member_store(row, home, &standard);
        return;
    }
    memset((char *)home + row->offset, 0, row->size);
    memset((char *)home + row->count_offset, 0, sizeof(size_t));
}

// ---- arrays --------------------------------------------------------------------------------------------

size_t member_count(const struct job_key_row *row, const void *home)
{
    size_t count;
    memcpy(&count, (const char *)home + row->count_offset, sizeof count);
    return count;
}

static size_t element_size(enum job_type type)
{
    return type == TYPE_SKIP     ? sizeof(struct skip)
           : type == TYPE_RATIOS ? sizeof(struct ratio)
           : type == TYPE_TEXTS  ? sizeof(struct text_settings)
           : type == TYPE_TASKS  ? sizeof(struct task_settings)
                                 : sizeof(struct expected);
}

enum status member_store_array(const struct job_key_row *row, void *home, struct job_value *value,
                               struct error *err)
{
    const size_t size = element_size(row->type);
    char *array;

    FORWARD_IF_ERROR(allocate(&array, value->count, size, row->path, err));
    for (size_t i = 0; i < value->count; i++) {
        memcpy(array + i * size, &value->items[i], size);
        memset(&value->items[i], 0, sizeof value->items[i]);
    }
    memcpy((char *)home + row->offset, &array, sizeof array);
    memcpy((char *)home + row->count_offset, &value->count, sizeof value->count);
    return STATUS_OK;
}

union job_item member_element(const struct job_key_row *row, const void *home, size_t index)
{
    const size_t size = element_size(row->type);
    union job_item item;
    const char *array;

    memcpy(&array, (const char *)home + row->offset, sizeof array);
    memcpy(&item, array + index * size, size);
    return item;
}

void member_free(const struct job_key_row *row, void *home)
{
    union job_item item;
    char *array;

    if (row->type == TYPE_TEXT) {
        item = member_load(row, home);
        free_item(row->type, &item);
    }
    if (!type_is_array(row->type))
        return;
    for (size_t i = 0; i < member_count(row, home); i++) {
        item = member_element(row, home, i);
        free_item(row->type, &item);
    }
    memcpy(&array, (char *)home + row->offset, sizeof array);
    free(array);
}
