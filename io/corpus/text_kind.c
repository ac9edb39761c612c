#include "io/corpus/text_kind.h"

#include "io/file/json.h"
#include "io/file/text/json_elements.h"

#include <stdio.h>
#include <string.h>

static bool is_json_name(const char *path)
{
    return text_name_of(path) == TEXT_NAME_JSON;
}

static enum text_format format_of_name(const char *path)
{
    static const enum text_format formats[] = {[TEXT_NAME_OTHER] = TEXT_WHOLE,
                                               [TEXT_NAME_JSON] = TEXT_JSON_LINES,
                                               [TEXT_NAME_RAW] = TEXT_RAW_LINES,
                                               [TEXT_NAME_PLAIN] = TEXT_WHOLE};
    return formats[text_name_of(path)];
}

// Whether an object begins at text, as far as it can be seen; *is_whole: it ends there as well.
static bool parses(const char *text, size_t size, size_t flags, bool *is_whole)
{
    json_error_t reason;
    bool no_memory;
    json_t *json =
        json_load_bytes(text, size, flags | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &reason, &no_memory);

    *is_whole = json != NULL;
    const bool is_object = json_is_object(json) ||
                           (json == NULL && json_error_code(&reason) == json_error_premature_end_of_input);
    json_decref(json);
    return is_object;
}

enum text_format text_format_of(const char *path, const char *head, size_t size)
{
    const bool is_named = is_json_name(path);
    bool is_whole;

    if (json_begins_array(head, size)) {
        const char *object = memchr(head, '{', size);
        if (is_named || (object != NULL &&
                         parses(object, size - (size_t)(object - head), JSON_DISABLE_EOF_CHECK, &is_whole)))
            return TEXT_JSON_OBJECTS;
    }
    if (!json_begins_object(head, size))
        return format_of_name(path);
    const char *object = memchr(head, '{', size);
    const size_t left = size - (size_t)(object - head);
    const char *newline = memchr(object, '\n', left);
    const size_t line = newline != NULL ? (size_t)(newline - object) : left;
    // A line that is cut off by the head's end is one of JSON as far as it goes.
    if (parses(object, line, 0, &is_whole) && (is_whole || newline == NULL))
        return TEXT_JSON_LINES;
    if (unpacked_name_ends_in(path, ".json") && parses(object, left, JSON_DISABLE_EOF_CHECK, &is_whole))
        return TEXT_JSON_OBJECTS;
    return format_of_name(path);
}

enum status text_kind_find(struct text_kind *kind, const char *path, struct error *err)
{
    struct stream *stream;
    const char *head;
    size_t size;

    *kind = (struct text_kind){0};
    FORWARD_IF_ERROR(stream_open(&stream, path, err));
    const enum status status = stream_read(stream, &head, &size, err);
    if (status == STATUS_OK)
        *kind = (struct text_kind){text_format_of(path, head, size), *stream_facts(stream)};
    stream_close(stream);
    return status;
}

static bool is_json(enum text_format format)
{
    return format == TEXT_JSON_LINES || format == TEXT_JSON_OBJECTS;
}

void text_kind_notice(char *notice, const struct text_kind *kind, const char *path)
{
    static const char *const packings[] = {
        [PACKING_NONE] = "is not compressed, though its name says it is",
        [PACKING_GZIP] = "is compressed with gzip, though its name does not say so",
        [PACKING_ZSTD] = "is compressed with zstd, though its name does not say so"};
    const enum packing packing = kind->facts.packing;
    const bool is_text = !is_json(kind->format);
    const char *const parts[] = {packing != packing_of_name(path) ? packings[packing] : NULL,
                                 is_json(kind->format) && !is_json(format_of_name(path))
                                     ? "holds JSON objects, and is read as JSON"
                                     : NULL,
                                 kind->facts.mark ? "begins with a byte order mark, which is left out" : NULL,
                                 is_text && kind->facts.returns
                                     ? "has carriage returns at the ends of lines, which are read as newlines"
                                     : NULL};
    size_t used = 0;

    notice[0] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof *parts && used < TEXT_NOTICE_SIZE; i++)
        if (parts[i] != NULL)
            used += (size_t)snprintf(notice + used, TEXT_NOTICE_SIZE - used, "%s%s", used > 0 ? "; " : "",
                                     parts[i]);
}

// By the name, with its letters as they are.
static enum text_format earlier_format(const char *path)
{
    size_t size = strlen(path);
    if (size >= 3 && strcmp(path + size - 3, ".gz") == 0)
        size -= 3;
    const struct {
        const char *ending;
        enum text_format format;
    } rows[] = {{".jsonl", TEXT_JSON_LINES}, {".json", TEXT_JSON_LINES}, {".raw", TEXT_RAW_LINES}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t length = strlen(rows[i].ending);
        if (size >= length && memcmp(path + size - length, rows[i].ending, length) == 0)
            return rows[i].format;
    }
    return TEXT_WHOLE;
}

const char *text_kind_change(const struct text_kind *kind, const char *path)
{
    const enum text_format earlier = earlier_format(path);
    if (is_json(kind->format))
        return is_json(earlier) ? "" : "as JSON";
    if (kind->format != earlier)
        return kind->format == TEXT_RAW_LINES ? "a line at a time" : "as one text";
    if (kind->facts.mark)
        return "without its byte order mark";
    return kind->facts.returns ? "without carriage returns" : "";
}
