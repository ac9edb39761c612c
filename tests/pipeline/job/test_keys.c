// Every key of the table, each in the same way, so that a new one is tested by being there: from YAML to the
// settings, to JSON and back; what it refuses; "did you mean"; its part of a variant's name.
#include "pipeline/job/job.h"
#include "pipeline/job/json.h"
#include "pipeline/job/value.h"
#include "pipeline/text/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---- jobs ----------------------------------------------------------------------------------------------

// A job in which every key but the pattern means something. A pattern excludes a sparsity and owl, least
// squares energy; what is expected needs something to be measured.
static const struct {
    enum job_key key;
    const char *value;
} context[] = {
    {KEY_MODEL, "/m"},     {KEY_RUN, "/r"},         {KEY_CORPUS, "/c"},     {KEY_METHOD, "cvr"},
    {KEY_SPARSITY, "0.5"}, {KEY_ALLOCATION, "owl"}, {KEY_ENERGY, "[rows]"},
};

// The allocation whose key this is; NULL: any.
static const char *allocation_of(enum job_key key)
{
    return key == KEY_DLP_ALPHA ? "dlp" : key == KEY_MEASURED_SEQUENCES ? "measured" : NULL;
}

// The value of a key in the job whose key `own` has own_value. NULL: it is not given.
static const char *value_in_job(enum job_key key, enum job_key own, const char *own_value)
{
    if (key == own)
        return own_value;
    if (own == KEY_BUDGET && (key == KEY_SPARSITY || key == KEY_ALLOCATION))
        return NULL;
    if ((own == KEY_PATTERN || own == KEY_PERMUTE) && (key == KEY_SPARSITY || key == KEY_ALLOCATION))
        return NULL;
    if (own == KEY_PERMUTE && key == KEY_PATTERN)
        return "2:4";
    if (own == KEY_EXPECTED && key == KEY_PERPLEXITY)
        return "/p";
    if (own == KEY_DRIFT && key == KEY_OUTPUT_MATCHING)
        return "least_squares";
    if (own == KEY_OUTPUT_FORMAT && key == KEY_OUTPUT)
        return "/o";
    if ((own == KEY_DRIFT || own == KEY_OUTPUT_MATCHING || own == KEY_OUTPUT_FORMAT) && key == KEY_ENERGY)
        return NULL;
    if (own == KEY_MEASURED_SEQUENCES && key == KEY_SEQUENCES)
        return "1000000000"; // it is not to be above this
    if (key == KEY_ALLOCATION && allocation_of(own) != NULL)
        return allocation_of(own);
    for (size_t i = 0; i < COUNT(context); i++)
        if (context[i].key == key)
            return context[i].value;
    return NULL;
}

// The job; *line is that of the key `own`, which is written under `name`.
static void write_job(char *text, size_t size, enum job_key own, const char *name, const char *value,
                      size_t *line)
{
    size_t used = 0, lines = 0, length = 0;
    const char *section = "";

    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const char *path = job_key_row((enum job_key)i)->path, *dot = strchr(path, '.');
        const char *given = value_in_job((enum job_key)i, own, value);
        if (given == NULL)
            continue;
        if (dot != NULL && (length != (size_t)(dot - path) || strncmp(section, path, length) != 0)) {
            used += (size_t)snprintf(text + used, size - used, "%.*s:\n", (int)(dot - path), path);
            lines++;
        }
        section = path;
        length = dot != NULL ? (size_t)(dot - path) : 0;
        const char *own_name = dot != NULL ? dot + 1 : path;
        used += (size_t)snprintf(text + used, size - used, "%s%s: %s\n", dot != NULL ? "  " : "",
                                 i == own ? name : own_name, given);
        lines++;
        if (i == own)
            *line = lines;
    }
    assert_true(used < size);
}

static const char *last_word(const char *path)
{
    const char *dot = strchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

// NUM_JOB_KEYS: the context alone.
static struct settings *job_with(enum job_key key, const char *value)
{
    char text[4096];
    struct settings *settings = NULL;
    struct error err = {0};
    size_t line = 0;

    write_job(text, sizeof text, key, key < NUM_JOB_KEYS ? last_word(job_key_row(key)->path) : "", value,
              &line);
    if (job_parse(&settings, text, strlen(text), "job.yaml", &err) != STATUS_OK)
        fail_msg("%s\n%s", err.message, text);
    assert_int_equal(settings->num_variants, 1);
    return settings;
}

static const void *home_of(const struct job_key_row *row, const struct settings *settings)
{
    return row->home == HOME_VARIANT ? (const void *)settings->variants : (const void *)settings;
}

// ---- values that are not the default -------------------------------------------------------------------

// Value `index` of a key as YAML, which is JSON too. False: there are no more.
static bool other_value(const struct job_key_row *row, size_t index, char *text, size_t size)
{
    static const char *const texts[] = {"\"/other\"", "\"a b\"", "\"\\u00e4\""};
    static const char *const lists[] = {"[\"x\"]", "[\"layers.0.*\", \"b\"]"};
    static const char *const patterns[] = {"\"2:4\"", "\"1:32\"", "\"32:32\""};
    static const char *const directions[] = {"[\"columns\"]", "[\"columns\", \"rows\"]"};
    const struct variant cvr = {.method = METHOD_CVR};
    const union job_item standard = member_standard(row, &cvr);
    const char *const *from = NULL;
    size_t count = 0;
    double low = row->low, high = row->high;

    switch (row->type) {
    case TYPE_TEXT:
        from = texts, count = COUNT(texts);
        break;
    case TYPE_SKIP:
        from = lists, count = COUNT(lists);
        break;
    case TYPE_PATTERN:
        from = patterns, count = COUNT(patterns);
        break;
    case TYPE_DIRECTIONS: // [rows] is the context's
        from = directions, count = COUNT(directions);
        break;
    case TYPE_CHOICE:
        from = row->choices(&count);
        break;
    case TYPE_WHOLE: {
        const uint64_t highest = high < 0x1p63 ? (uint64_t)high : INT64_MAX;
        const uint64_t wholes[] = {(uint64_t)low, (uint64_t)low + 1, highest};
        snprintf(text, size, "%llu", (unsigned long long)wholes[index % 3]);
        return index < 3;
    }
    case TYPE_NUMBER:
        low += row->flags & KEY_ABOVE_LOW ? 1e-6 : 0;
        number_format(index == 0 ? low : index == 1 ? low + (high - low) / 8 : high, text, size);
        return index < 3;
    case TYPE_BUDGET:
        snprintf(text, size, "{\"perplexity\": %s}", index == 0 ? "1.000001" : index == 1 ? "1.05" : "1000");
        return index < 3;
    case TYPE_PAIR:
        snprintf(text, size, "[%s, %s]", index == 0 ? "0.25" : "0.5", index == 0 ? "0.5" : "1e6");
        return index < 2;
    case TYPE_FLAG:
        snprintf(text, size, "%s", standard.flag ? "false" : "true");
        return index == 0;
    case TYPE_RATIOS:
        snprintf(text, size, index == 0 ? "{\"a\": 0.25}" : "{\"layers.0.*\": 0, \"b\": 1}");
        return index < 2;
    case TYPE_TEXTS:
        snprintf(text, size, "%s",
                 index == 0   ? "\"/other text\""
                 : index == 1 ? "[{\"name\": \"n\", \"data\": \"/d\"}]"
                              : "[\"/c\", {\"name\": \"n\", \"data\": \"/d\"}]");
        return index < 3;
    case TYPE_TASKS:
        snprintf(text, size,
                 index == 0 ? "[{\"name\": \"n\", \"data\": \"/d\", \"format\": \"arc\", \"limit\": 3, "
                              "\"delimiter\": \"\"}]"
                            : "[{\"name\": \"n\", \"data\": \"/d\", \"delimiter\": \" \", \"shots\": 5, "
                              "\"shots_from\": \"/f\"}, {\"name\": \"m\", "
                              "\"data\": \"/e\", \"format\": \"rte\"}]");
        return index < 2;
    case TYPE_EXPECTED:
        snprintf(text, size,
                 index == 0 ? "{\"dense\": {\"perplexity\": 1.5, \"length\": 2, \"source\": \"a b\"}}"
                            : "{\"cvr-alpha0.25-0.5-owl-rows\": {\"source\": \"\\u00e4\", \"length\": "
                              "10000000, \"perplexity\": 48419}, \"dense\": {\"perplexity\": 1.0, "
                              "\"length\": 7, \"source\": \"c\"}}");
        return index < 2;
    }
    if (index < count)
        snprintf(text, size, row->type == TYPE_CHOICE ? "\"%s\"" : "%s", from[index]);
    return index < count;
}

// The JSON that the job must give for this YAML: the same, but for the forms that JSON gives to mappings
// and to a task's members that are not given.
static json_t *expected_json(const struct job_key_row *row, const char *yaml)
{
    static const char *const members[] = {"name", "data", "format", "limit", "delimiter"};
    json_t *json = json_loads(yaml, JSON_DECODE_ANY, NULL), *expected = NULL, *item;
    const char *name;
    size_t i;

    assert_non_null(json);
    if (row->type == TYPE_NUMBER)
        expected = json_real(json_number_value(json));
    else if (row->type == TYPE_BUDGET)
        expected = json_pack("{s:f}", "perplexity", json_number_value(json_object_get(json, "perplexity")));
    else if (row->type == TYPE_PAIR)
        expected = json_pack("[f, f]", json_number_value(json_array_get(json, 0)),
                             json_number_value(json_array_get(json, 1)));
    if (row->type == TYPE_RATIOS) {
        expected = json_array();
        json_object_foreach(json, name, item)
        {
            json_array_append_new(expected, json_pack("[s, f]", name, json_number_value(item)));
        }
    }
    if (row->type == TYPE_EXPECTED) {
        expected = json_array();
        json_object_foreach(json, name, item)
        {
            json_array_append_new(expected, json_pack("{s:s, s:f, s:O, s:O}", "variant", name, "perplexity",
                                                      json_number_value(json_object_get(item, "perplexity")),
                                                      "length", json_object_get(item, "length"), "source",
                                                      json_object_get(item, "source")));
        }
    }
    for (i = 0; row->type == TYPE_TASKS && i < json_array_size(json); i++)
        for (size_t m = 0; m < COUNT(members); m++)
            if (json_object_get(json_array_get(json, i), members[m]) == NULL)
                json_object_set_new(json_array_get(json, i), members[m], json_null());
    if (expected == NULL)
        return json;
    json_decref(json);
    return expected;
}

// The key's member in the JSON of the job: at its path, in the variant by its last word, or where today's
// programs have it.
static json_t *find_json(json_t *job, const struct job_key_row *row)
{
    char section[64];
    if (strcmp(row->path, "compensate.keep_weights") == 0)
        return json_object_get(job, "keep_weights");
    if (row->home == HOME_VARIANT)
        return json_object_get(json_array_get(json_object_get(job, "variants"), 0), last_word(row->path));
    if (strchr(row->path, '.') == NULL)
        return json_object_get(job, row->path);
    snprintf(section, sizeof section, "%.*s", (int)strcspn(row->path, "."), row->path);
    return json_object_get(json_object_get(job, section), last_word(row->path));
}

// ---- tests ---------------------------------------------------------------------------------------------

static void check_round_trip(enum job_key key, const char *yaml)
{
    const struct job_key_row *row = job_key_row(key);
    struct settings *before = job_with(key, yaml), *after = NULL;
    struct error err = {0};
    json_t *json = settings_to_json(before), *expected = expected_json(row, yaml);
    char *dump = json_dumps(json, 0), *again;

    if (!json_equal(find_json(json, row), expected))
        fail_msg("%s: %s became %s", row->path, yaml, dump);
    json_t *loaded = json_loads(dump, 0, NULL);
    if (settings_from_json(&after, loaded, "run.json", &err) != STATUS_OK)
        fail_msg("%s: %s: %s", row->path, yaml, err.message);
    json_decref(json);
    json = settings_to_json(after);
    again = json_dumps(json, 0);
    assert_string_equal(again, dump);
    if (row->type == TYPE_TEXT) {
        assert_string_equal(member_load(row, after).text, member_load(row, before).text);
    } else if (!type_is_array(row->type)) {
        const union job_item a = member_load(row, home_of(row, before)),
                             b = member_load(row, home_of(row, after));
        assert_memory_equal(&a, &b, row->size);
    }
    free(dump);
    free(again);
    json_decref(json);
    json_decref(loaded);
    json_decref(expected);
    settings_free(before);
    settings_free(after);
}

static void every_key_comes_back_from_json(void **state)
{
    char yaml[256];
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        size_t index = 0;
        for (; other_value(job_key_row((enum job_key)i), index, yaml, sizeof yaml); index++) {
            // Keys that mean nothing with these values are not in the JSON.
            struct settings *settings = job_with((enum job_key)i, yaml);
            const struct job_key_row *row = job_key_row((enum job_key)i);
            const bool is_in = row->applies == NULL || row->applies(home_of(row, settings));
            const bool is_default = !(row->flags & KEY_ON_RECORD) && row->applies == NULL &&
                                    member_is_standard(row, home_of(row, settings));
            settings_free(settings);
            if (is_in && !is_default)
                check_round_trip((enum job_key)i, yaml);
        }
        assert_true(index > 0);
    }
}

static bool is_default_value(const struct job_key_row *row, const char *yaml, enum job_key key)
{
    struct settings *settings = job_with(key, yaml);
    const bool is_default = member_is_standard(row, home_of(row, settings));
    settings_free(settings);
    return is_default;
}

// A run directory keeps to a key unless the table says that it may change: its value is a part of the
// identity.
static void what_may_not_change_is_in_the_identity(void **state)
{
    char yaml[256];
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        struct settings *with, *without;
        if (row->home != HOME_SETTINGS)
            continue;
        for (size_t index = 0; other_value(row, index, yaml, sizeof yaml); index++) {
            if (is_default_value(row, yaml, (enum job_key)i))
                continue;
            with = job_with((enum job_key)i, yaml);
            without = job_with(NUM_JOB_KEYS, NULL);
            json_t *job = settings_to_json(with), *other = settings_to_json(without);
            json_t *identity = settings_identity(job), *other_identity = settings_identity(other);
            if (json_equal(identity, other_identity) != ((row->flags & KEY_MAY_CHANGE) != 0))
                fail_msg("%s: %s", row->path, yaml);
            json_decref(job);
            json_decref(other);
            json_decref(identity);
            json_decref(other_identity);
            settings_free(with);
            settings_free(without);
        }
    }
}

// The names of today's keys that may change. A new key belongs here only when no mask and no weight depends
// on it.
static void the_keys_that_may_change_are_known(void **state)
{
    static const char *const may_change[] = {"model",
                                             "ignore_config_keys",
                                             "run",
                                             "output",
                                             "calibration.corpus",
                                             "calibration.keep_activations",
                                             "calibration.states_every",
                                             "compensate.keep_weights",
                                             "evaluate.perplexity",
                                             "evaluate.length",
                                             "evaluate.tasks",
                                             "expected"};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++)
        if (job_key_row((enum job_key)i)->flags & KEY_MAY_CHANGE) {
            assert_true(found < COUNT(may_change));
            assert_string_equal(job_key_row((enum job_key)i)->path, may_change[found++]);
        }
    assert_int_equal(found, COUNT(may_change));
}

static void assert_refused(enum job_key key, const char *name, const char *value, const char *expected)
{
    char text[4096], message[1024];
    struct settings *settings = NULL;
    struct error err = {0};
    size_t line = 0;

    write_job(text, sizeof text, key, name, value, &line);
    if (job_parse(&settings, text, strlen(text), "job.yaml", &err) == STATUS_OK)
        fail_msg("taken:\n%s", text);
    snprintf(message, sizeof message, "job.yaml:%zu: %s", line, expected);
    if (strncmp(err.message, message, strlen(message)) != 0)
        fail_msg("'%s' instead of '%s'", err.message, message);
    assert_int_equal(err.status, STATUS_USAGE);
}

// Values of the wrong kind, by type, and numbers outside the range.
static void every_key_refuses_what_is_not_its_type(void **state)
{
    static const char *const wrong[][8] = {
        [TYPE_TEXT] = {"[]", "{a: b}", "~", "''", "[a]"},
        [TYPE_WHOLE] = {"1.5", "many", "'8'", "-1", "~", "{a: 1}", "0x10", "true"},
        [TYPE_NUMBER] = {"many", "'0.5'", ".nan", ".inf", "~", "{a: 1}", "0.5x", "1:2"},
        [TYPE_BUDGET] = {"1.05", "{}", "~", "{perplexity: '1.05'}", "{perplexity: .nan}", "{loss: 1.05}",
                         "{perplexity: 1.05, loss: 1}", "[{perplexity: 1.05}, 2]"},
        [TYPE_FLAG] = {"yes", "off", "1", "'true'", "~", "{a: b}", "True"},
        [TYPE_CHOICE] = {"1", "~", "{a: b}", "zebra", "True", "''"},
        [TYPE_PAIR] = {"1", "[1]", "[1, 2, 3]", "[a, 2]", "[]", "{a: 1}", "['1', 2]", "[1, [2]]"},
        [TYPE_PATTERN] = {"4:2", "0:4", "2:64", "2:4:8", "0.5", "2", "a:b", "{2: 4}"},
        [TYPE_DIRECTIONS] = {"rows", "[cols]", "[rows, columns]", "[[rows], columns]", "{rows: 1}", "~", "1"},
        [TYPE_SKIP] = {"a", "{a: b}", "[[a]]", "[~]", "~", "['']"},
        [TYPE_RATIOS] = {"0.5", "[0.5]", "~", "{'': 0.5}", "{a: b}", "{a: 0.5, a: 0.6}", "{a: '0.5'}"},
        [TYPE_TEXTS] = {"[]", "{a: b}", "~", "''", "[~]", "[[a]]", "{name: a}", "[a, b/a]"},
        [TYPE_TASKS] = {"a", "{data: a}", "[[a]]", "[~]", "~", "[{name: a}]", "[{data: a, zebra: 1}]"},
        [TYPE_EXPECTED] = {"5.5", "[dense]", "~", "{dense: 5.5}", "{dense: {perplexity: 5.5}}",
                           "{dense: [5.5, 2048, a]}", "{wanda: {perplexity: 5.5, length: 2048, source: a}}"},
    };
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        for (size_t w = 0; w < 8 && wrong[row->type][w] != NULL; w++)
            assert_refused((enum job_key)i, last_word(row->path), wrong[row->type][w], row->path);
    }
}

static void every_number_refuses_what_is_out_of_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const bool is_whole = row->type == TYPE_WHOLE;
        const char *format = row->type == TYPE_PAIR     ? "[%s, 1]"
                             : row->type == TYPE_RATIOS ? "{a: %s}"
                             : row->type == TYPE_BUDGET ? "{perplexity: %s}"
                                                        : "%s";
        char value[64], number[32], beginning[128];
        if (!is_whole && row->type != TYPE_NUMBER && row->type != TYPE_BUDGET && row->type != TYPE_PAIR &&
            row->type != TYPE_RATIOS)
            continue;
        assert_true(row->low < row->high);
        snprintf(beginning, sizeof beginning, "%s: ", row->path);
        for (int above = 0; above < 2; above++) {
            // The nearest number on the other side: the limit itself where it is out of range.
            const double step = is_whole ? 1 : 1e-6;
            const double beyond = above == 1                   ? row->high + step
                                  : row->flags & KEY_ABOVE_LOW ? row->low
                                                               : row->low - step;
            if (is_whole && row->high == 0x1p63 && above == 1)
                snprintf(number, sizeof number, "9223372036854775808");
            else
                number_format(beyond, number, sizeof number);
            if (is_whole && strpbrk(number, "e.") != NULL)
                snprintf(number, sizeof number, "%.0f", beyond);
            snprintf(value, sizeof value, format, number);
            assert_refused((enum job_key)i, last_word(row->path), value, beginning);
        }
    }
}

// Three slips of the hand for each key: a letter left out, two swapped, one too many. The key is what was
// meant, unless the slip is as near to another one.
static void every_key_is_suggested_for_a_slip(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const char *path = job_key_row((enum job_key)i)->path, *name = last_word(path);
        char slips[3][64], expected[512], section[64];
        const size_t length = strlen(name);
        snprintf(section, sizeof section, "%.*s", name > path ? (int)(name - path) : 0, path);
        snprintf(slips[0], sizeof slips[0], "%c%s", name[0], name + 2);
        snprintf(slips[1], sizeof slips[1], "%.*s%c%c", (int)(length - 2), name, name[length - 1],
                 name[length - 2]);
        snprintf(slips[2], sizeof slips[2], "%sq", name);
        for (size_t s = 0; s < COUNT(slips); s++) {
            snprintf(expected, sizeof expected, "%s%s: unknown key, did you mean %s?", section, slips[s],
                     path);
            assert_refused((enum job_key)i, slips[s], "1", expected);
        }
    }
}

// Two values of a key that is swept make two variants with two names, and each name says the value.
static void every_swept_key_is_in_the_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        char yaml[256], names[3][sizeof((struct variant *)0)->name], part[512];
        size_t count = 0;
        if (row->home != HOME_VARIANT)
            continue;
        for (size_t index = 0; count < 3 && other_value(row, index, yaml, sizeof yaml); index++) {
            struct settings *settings = job_with((enum job_key)i, yaml);
            snprintf(names[count], sizeof names[count], "%s", settings->variants[0].name);
            const bool shown = row->flags & KEY_IN_NAME || !member_is_standard(row, settings->variants);
            if (row->type == TYPE_FLAG)
                snprintf(part, sizeof part, "-%s", row->tag);
            else if (row->type == TYPE_CHOICE)
                snprintf(part, sizeof part, "%s%.*s", row->tag, (int)strlen(yaml) - 2, yaml + 1);
            else if (row->type == TYPE_NUMBER || row->type == TYPE_WHOLE)
                snprintf(part, sizeof part, "-%s%s", row->tag, yaml);
            else
                part[0] = '\0';
            if (shown && strstr(names[count], part) == NULL)
                fail_msg("%s: %s is not in %s", row->path, yaml, names[count]);
            for (size_t other = 0; other < count; other++)
                if (strcmp(names[other], names[count]) == 0)
                    fail_msg("%s: two values are called %s", row->path, names[count]);
            count++;
            settings_free(settings);
        }
        if (row->type != TYPE_FLAG)
            assert_true(count >= 2);
    }
}

// A variant owns nothing: texts and lists would be freed never, or twice.
static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        assert_non_null(row->path);
        if (row->help == NULL || row->help[0] == '\0' || row->help[strlen(row->help) - 1] == '.')
            fail_msg("%s: help", row->path);
        if (row->home == HOME_VARIANT) {
            assert_false(row->type == TYPE_TEXT || type_is_array(row->type));
            assert_true(row->tag != NULL || row->type == TYPE_DIRECTIONS);
            assert_non_null(strchr(row->path, '.'));
        } else {
            assert_null(row->applies); // its argument is a variant
            assert_null(row->own_standard);
        }
        if (row->type == TYPE_CHOICE) {
            size_t count;
            row->choices(&count);
            assert_true(row->standard[0] >= 0 && row->standard[0] < (double)count);
        }
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->path, job_key_row((enum job_key)j)->path);
    }
}

#if defined __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define CAN_CLEAR_PADDING
#endif
#endif

#ifdef CAN_CLEAR_PADDING
static void cover(unsigned char *bytes, enum job_home home)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const bool is_double = row->type == TYPE_PAIR || row->type == TYPE_PATTERN ||
                               row->type == TYPE_DIRECTIONS; // two members that follow one another
        if (row->home != home)
            continue;
        memset(bytes + row->offset, 0, is_double ? 2 * row->size : row->size);
        if (type_is_array(row->type))
            memset(bytes + row->count_offset, 0, sizeof(size_t));
    }
}

// Members that no key keeps a value in, and no function below sets, would be left out of JSON and names.
static void every_member_of_the_settings_is_in_a_row(void **state)
{
    struct settings settings;
    struct variant variant;
    const unsigned char *bytes = (const unsigned char *)&settings;
    (void)state;
    memset(&settings, 0xff, sizeof settings);
    __builtin_clear_padding(&settings);
    cover((unsigned char *)&settings, HOME_SETTINGS);
    settings.variants = NULL; // what the keys of the variants make
    settings.num_variants = 0;
    settings.attempts = NULL; // attempts_create
    settings.num_attempts = 0;
    settings.method_is_default = false; // says how it was given
    settings.hub_id = NULL;             // find_model, beside the run.json of the job
    settings.hub_commit = NULL;
    settings.made_from = 0; // of the start
    for (size_t i = 0; i < sizeof settings; i++)
        if (bytes[i] != 0)
            fail_msg("struct settings: byte %zu belongs to no key", i);

    bytes = (const unsigned char *)&variant;
    memset(&variant, 0xff, sizeof variant);
    __builtin_clear_padding(&variant);
    cover((unsigned char *)&variant, HOME_VARIANT);
    memset(variant.name, 0, sizeof variant.name); // variant_complete
    variant.clamp.epsilon = 0;                    // fixed, variant_complete
    variant.is_pattern = false;                   // which of sparsity and pattern is given
    variant.base = NULL;                          // attempts_create
    variant.attempt = 0;
    for (size_t i = 0; i < sizeof variant; i++)
        if (bytes[i] != 0)
            fail_msg("struct variant: byte %zu belongs to no key", i);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_comes_back_from_json),
        cmocka_unit_test(what_may_not_change_is_in_the_identity),
        cmocka_unit_test(the_keys_that_may_change_are_known),
        cmocka_unit_test(every_key_refuses_what_is_not_its_type),
        cmocka_unit_test(every_number_refuses_what_is_out_of_range),
        cmocka_unit_test(every_key_is_suggested_for_a_slip),
        cmocka_unit_test(every_swept_key_is_in_the_names),
        cmocka_unit_test(rows_are_whole),
#ifdef CAN_CLEAR_PADDING
        cmocka_unit_test(every_member_of_the_settings_is_in_a_row),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
