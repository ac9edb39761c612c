#include "pipeline/record/run_json/changed_input.h"

#include "io/file/json.h"

#include <string.h>

enum { SHOWN = 512 };

static const char *file_of(const json_t *stamp)
{
    return json_string_value(json_object_get(stamp, "file"));
}

static const char *base_of(const json_t *stamp)
{
    const char *file = file_of(stamp), *slash = file != NULL ? strrchr(file, '/') : NULL;
    return slash != NULL ? slash + 1 : file;
}

static const char *shown(char *text, const json_t *stamp)
{
    const char *file = file_of(stamp);
    return printable(text, SHOWN, file != NULL ? file : "a file");
}

enum status input_refuse(const struct input_place *place, const json_t *before, const json_t *now,
                         struct error *err)
{
    char old[SHOWN], new[SHOWN];

    shown(old, before);
    shown(new, now);
    RETURN_ERROR_IF(now == NULL, err, STATUS_USAGE,
                    "%s: %s: the run was begun with %s, which is not part of it now: put it back, or %s",
                    place->record, place->key, old, place->advice);
    RETURN_ERROR_IF(before == NULL, err, STATUS_USAGE,
                    "%s: %s: %s was not part of it when the run was begun: take it away, or %s",
                    place->record, place->key, new, place->advice);
    RETURN_ERROR_IF(strcmp(old, new) == 0, err, STATUS_USAGE,
                    "%s: %s: %s has changed since the run was begun: put it back as it was, or %s",
                    place->record, place->key, new, place->advice);
    RETURN_ERROR(err, STATUS_USAGE,
                 "%s: %s: the run was begun with %s, and %s is something else: name the first again, or %s",
                 place->record, place->key, old, new, place->advice);
}

// The stamp in a list whose file has the same name.
static const json_t *same_name(const json_t *list, const json_t *wanted)
{
    const char *base = base_of(wanted);
    json_t *stamp;
    size_t i;

    json_array_foreach(list, i, stamp)
    {
        const char *other = base_of(stamp);
        if (base != NULL && other != NULL && strcmp(base, other) == 0)
            return stamp;
    }
    return NULL;
}

enum status inputs_compare(const struct input_place *place, const json_t *before, const json_t *now,
                           struct error *err)
{
    // A corpus or a text is one file, or one list of them: another name is another corpus.
    const bool single = json_array_size(before) == 1 && json_array_size(now) == 1;
    json_t *stamp;
    size_t i;

    json_array_foreach(before, i, stamp)
    {
        const json_t *new = same_name(now, stamp);
        if (new == NULL)
            return input_refuse(place, stamp, single ? json_array_get(now, 0) : NULL, err);
        if (!json_equal(json_object_get(stamp, "xxh3"), json_object_get(new, "xxh3")))
            return input_refuse(place, stamp, new, err);
    }
    json_array_foreach(now, i, stamp)
    {
        if (same_name(before, stamp) == NULL)
            return input_refuse(place, NULL, stamp, err);
    }
    return STATUS_OK;
}
