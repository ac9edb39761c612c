#include "io/corpus/corpus.h"
#include "io/corpus/text_kind.h"
#include "io/file/json.h"
#include "io/file/text/file_set.h"
#include "io/file/text/json_elements.h"
#include "io/file/text/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>

// A corpus while it grows.
struct corpus_builder {
    const char *path; // of the file that is read now
    struct document_field field;
    enum text_format format;
    struct corpus *corpus;
    size_t text_capacity, offsets_capacity;
    size_t line;   // of the file, from 1
    char *pending; // the beginning of a line whose end has not been read yet
    size_t pending_size, pending_capacity;
    struct json_elements elements;
    size_t seen, most;  // bytes of text that were read; that are to be read, or a little more
    double share;       // of the file that was read
    uint64_t file_hash; // of it, where all of it was read
};

// Makes room for `more` elements after `used`. Grows by half, so that appending is linear.
static enum status reserve(void *array, size_t *capacity, size_t used, size_t more, size_t size,
                           struct error *err)
{
    void *old, *grown;

    if (more <= *capacity - used)
        return STATUS_OK;
    size_t wanted = *capacity + *capacity / 2;
    RETURN_ERROR_IF(more > SIZE_MAX / 2 / size - used, err, STATUS_MEMORY,
                    "out of memory: a corpus too large");
    if (wanted < used + more)
        wanted = used + more;
    if (wanted < 4096)
        wanted = 4096;
    memcpy(&old, array, sizeof old);
    grown = realloc(old, wanted * size);
    RETURN_ERROR_IF(grown == NULL, err, STATUS_MEMORY, "out of memory: %zu x %zu bytes for a corpus", wanted,
                    size);
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return STATUS_OK;
}

static enum status append_text(struct corpus_builder *builder, const char *text, size_t size,
                               struct error *err)
{
    struct corpus *corpus = builder->corpus;
    const size_t used = corpus->offsets[corpus->count];

    FORWARD_IF_ERROR(reserve(&corpus->text, &builder->text_capacity, used, size, 1, err));
    if (size != 0)
        memcpy(corpus->text + used, text, size);
    FORWARD_IF_ERROR(reserve(&corpus->offsets, &builder->offsets_capacity, corpus->count + 1, 1,
                             sizeof *corpus->offsets, err));
    corpus->offsets[++corpus->count] = used + size;
    return STATUS_OK;
}

// Offset of the first byte that is not UTF-8; size when all of it is. ASCII, the common case, goes eight
// bytes at a time.
static size_t find_invalid_utf8(const char *text, size_t size)
{
    size_t i = 0;

    while (i < size) {
        uint64_t eight;
        utf8proc_int32_t code_point;
        if (size - i >= sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        const size_t left = size - i < 4 ? size - i : 4;
        const utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)left, &code_point);
        if (length <= 0)
            return i;
        i += (size_t)length;
    }
    return size;
}

// White space as Python's str.isspace has it, for valid UTF-8: the field's WikiText loader strips with it.
static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t code_point;
        const utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &code_point);
        if (length <= 0)
            return false;
        const utf8proc_property_t *property = utf8proc_get_property(code_point);
        if (property->category != UTF8PROC_CATEGORY_ZS && property->bidi_class != UTF8PROC_BIDI_CLASS_WS &&
            property->bidi_class != UTF8PROC_BIDI_CLASS_B && property->bidi_class != UTF8PROC_BIDI_CLASS_S)
            return false;
        i += (size_t)length;
    }
    return true;
}

static enum status check_utf8(const struct corpus_builder *builder, const char *text, size_t size,
                              struct error *err)
{
    const size_t invalid = find_invalid_utf8(text, size);
    RETURN_ERROR_IF(invalid < size, err, STATUS_INPUT, "%s:%zu: not valid UTF-8 at byte %zu of the line",
                    builder->path, builder->line, invalid + 1);
    return STATUS_OK;
}

// The names of the object's members, as many as there is room for.
static void list_members(char *list, size_t size, const json_t *object)
{
    const char *name;
    json_t *value;
    size_t used = 0;

    list[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char shown[64];
        const int length = snprintf(list + used, size - used, "%s\"%s\"", used > 0 ? ", " : "",
                                    printable(shown, sizeof shown, name));
        if (length < 0 || (size_t)length >= size - used) {
            list[used] = '\0';
            return;
        }
        used += (size_t)length;
    }
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_NULL:
        return "null";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "a number";
    }
}

// Sets err for a line without the field.
static enum status refuse_object(const struct corpus_builder *builder, const json_t *object,
                                 struct error *err)
{
    char shown[64], members[256];
    const char *field = printable(shown, sizeof shown, builder->field.name);
    const json_t *value = json_object_get(object, builder->field.name);

    RETURN_ERROR_IF(!json_is_object(object), err, STATUS_INPUT, "%s:%zu: not a JSON object", builder->path,
                    builder->line);
    RETURN_ERROR_IF(
        json_is_array(value) && json_is_object(json_array_get(value, 0)), err, STATUS_INPUT,
        "%s:%zu: \"%s\" is a list of messages, not a text: write each conversation as one text first, as "
        "the model's chat template has it (docs/texts-and-tasks.md has the lines)",
        builder->path, builder->line, field);
    RETURN_ERROR_IF(value != NULL, err, STATUS_INPUT, "%s:%zu: \"%s\" is %s, not a string", builder->path,
                    builder->line, field, kind_of(value));
    list_members(members, sizeof members, object);
    const bool has_advice = members[0] != '\0' && builder->field.chosen_by != NULL;
    RETURN_ERROR(err, STATUS_INPUT, "%s:%zu: the object has no string \"%s\"%s%s%s%s%s", builder->path,
                 builder->line, field, members[0] != '\0' ? "; it has " : "", members, has_advice ? ": " : "",
                 has_advice ? builder->field.chosen_by : "", has_advice ? " says which is the text" : "");
}

// An object; size bytes from the beginning of builder->line on.
static enum status add_object(struct corpus_builder *builder, const char *bytes, size_t size,
                              struct error *err)
{
    // Other fields may hold what JSON allows and C's integers do not; "\u0000" may be in a text.
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;
    json_error_t reason;
    bool no_memory;

    json_t *object = json_load_bytes(bytes, size, flags, &reason, &no_memory);
    RETURN_ERROR_IF(no_memory, err, STATUS_MEMORY, "%s:%zu: out of memory for a line of %zu bytes",
                    builder->path, builder->line, size);
    if (object == NULL) {
        char shown[JSON_REASON_SIZE];
        const bool is_line = builder->format == TEXT_JSON_LINES;
        const size_t line = builder->line + (is_line || reason.line < 1 ? 0 : (size_t)reason.line - 1);
        return error_set(err, STATUS_INPUT, "%s:%zu: %s (column %d)%s", builder->path, line,
                         json_reason(shown, &reason), reason.column,
                         is_line ? "; each line must be one object" : "");
    }
    const json_t *text = json_object_get(object, builder->field.name);
    const enum status status =
        json_is_string(text) ? append_text(builder, json_string_value(text), json_string_length(text), err)
                             : refuse_object(builder, object, err);
    json_decref(object);
    return status;
}

// One of an array.
static enum status take_object(void *context, const char *element, size_t size, size_t line,
                               struct error *err)
{
    struct corpus_builder *builder = context;
    builder->line = line;
    FORWARD_IF_ERROR(check_utf8(builder, element, size, err));
    return add_object(builder, element, size, err);
}

// line includes its newline, if it has one.
static enum status add_line(struct corpus_builder *builder, const char *line, size_t size, struct error *err)
{
    builder->line++;
    FORWARD_IF_ERROR(check_utf8(builder, line, size, err));
    if (builder->format == TEXT_JSON_LINES)
        return is_blank(line, size) ? STATUS_OK : add_object(builder, line, size, err);
    return append_text(builder, line, is_blank(line, size) ? 0 : size, err);
}

static enum status keep_pending(struct corpus_builder *builder, const char *bytes, size_t size,
                                struct error *err)
{
    FORWARD_IF_ERROR(
        reserve(&builder->pending, &builder->pending_capacity, builder->pending_size, size, 1, err));
    memcpy(builder->pending + builder->pending_size, bytes, size);
    builder->pending_size += size;
    return STATUS_OK;
}

static enum status add_bytes(struct corpus_builder *builder, const char *bytes, size_t size,
                             struct error *err)
{
    if (builder->format == TEXT_JSON_OBJECTS)
        return json_elements_feed(&builder->elements, bytes, size, err);
    while (size > 0) {
        const char *newline = builder->format != TEXT_WHOLE ? memchr(bytes, '\n', size) : NULL;
        const size_t length = newline != NULL ? (size_t)(newline - bytes) + 1 : size;
        if (newline == NULL || builder->pending_size > 0)
            FORWARD_IF_ERROR(keep_pending(builder, bytes, length, err));
        if (newline != NULL) {
            const bool whole = builder->pending_size == 0;
            FORWARD_IF_ERROR(add_line(builder, whole ? bytes : builder->pending,
                                      whole ? length : builder->pending_size, err));
            builder->pending_size = 0;
        }
        bytes += length;
        size -= length;
    }
    return STATUS_OK;
}

// The whole file is one document. Of the first one the pending bytes become the text, without a copy.
static enum status finish_whole(struct corpus_builder *builder, struct error *err)
{
    const char *text = builder->pending;
    const size_t invalid = find_invalid_utf8(text, builder->pending_size);

    if (invalid < builder->pending_size) {
        size_t line = 1, start = 0;
        for (size_t i = 0; i < invalid; i++) {
            if (text[i] == '\n') {
                line++;
                start = i + 1;
            }
        }
        return error_set(err, STATUS_INPUT, "%s:%zu: not valid UTF-8 at byte %zu of the line", builder->path,
                         line, invalid - start + 1);
    }
    if (builder->corpus->count > 0)
        return append_text(builder, text, builder->pending_size, err);
    free(builder->corpus->text);
    builder->corpus->text = builder->pending;
    builder->text_capacity = builder->pending_capacity;
    builder->corpus->offsets[1] = builder->pending_size;
    builder->corpus->count = 1;
    builder->pending = NULL;
    builder->pending_capacity = 0;
    return STATUS_OK;
}

// A text that ends anywhere: without the last character, if that is not whole.
static size_t whole_characters(const char *text, size_t size)
{
    const size_t invalid = find_invalid_utf8(text, size);
    return size - invalid < 4 ? invalid : size;
}

// At the end of a file, or where enough of it was read.
static enum status finish_file(struct corpus_builder *builder, bool is_all, struct error *err)
{
    if (builder->format == TEXT_WHOLE) {
        if (!is_all)
            builder->pending_size = whole_characters(builder->pending, builder->pending_size);
        return finish_whole(builder, err);
    }
    if (!is_all)
        return STATUS_OK;
    if (builder->format == TEXT_JSON_OBJECTS)
        return json_elements_end(&builder->elements, err);
    return builder->pending_size > 0 ? add_line(builder, builder->pending, builder->pending_size, err)
                                     : STATUS_OK;
}

static enum status read_file_documents(struct corpus_builder *builder, struct error *err)
{
    struct stream *stream;
    const char *bytes;
    size_t size;
    bool is_first = true;
    enum status status;

    builder->line = 0;
    builder->pending_size = 0;
    builder->elements =
        (struct json_elements){.path = builder->path, .take = take_object, .context = builder};
    FORWARD_IF_ERROR(stream_open(&stream, builder->path, err));
    do {
        GOTO_IF_ERROR(stream_read(stream, &bytes, &size, err), done);
        if (is_first)
            builder->format = text_format_of(builder->path, bytes, size);
        is_first = false;
        GOTO_IF_ERROR(add_bytes(builder, bytes, size, err), done);
        builder->seen += size;
    } while (size > 0 && builder->seen < builder->most);
    const bool is_all = size == 0;
    builder->share = is_all ? 1 : stream_share(stream);
    if (is_all)
        builder->file_hash = stream_hash(stream);
    status = finish_file(builder, is_all, err);
done:
    json_elements_free(&builder->elements);
    stream_close(stream);
    return status;
}

// All files, one after the other.
static enum status read_documents(struct corpus_builder *builder, const struct file_set *set,
                                  struct error *err)
{
    uint64_t *hashes;
    double bytes = 0;
    size_t read = 0;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(allocate(&hashes, set->count, sizeof *hashes, "a corpus", err));
    for (size_t i = 0; i < set->count && builder->seen < builder->most && status == STATUS_OK; i++) {
        builder->path = set->paths[i];
        status = read_file_documents(builder, err);
        hashes[i] = builder->file_hash;
        bytes += builder->share * (double)set->bytes[i];
        read += builder->share == 1;
    }
    if (status == STATUS_OK && read == set->count)
        builder->corpus->hash =
            set->count == 1 ? hashes[0] : XXH3_64bits(hashes, set->count * sizeof *hashes);
    builder->share = read == set->count ? 1 : bytes / (double)set->total;
    free(hashes);
    return status;
}

// Gives back the memory that growing by half left unused.
static void shrink(struct corpus *corpus)
{
    char *text = realloc(corpus->text, corpus->offsets[corpus->count]);
    if (text != NULL)
        corpus->text = text;
    size_t *offsets = realloc(corpus->offsets, (corpus->count + 1) * sizeof *offsets);
    if (offsets != NULL)
        corpus->offsets = offsets;
}

enum status corpus_load(struct corpus **corpus, const char *path, struct error *err)
{
    return corpus_load_field(corpus, path, &(struct document_field){0}, UINT64_MAX, err);
}

// builder: all but its corpus.
static enum status load(struct corpus **out, struct corpus_builder *with, uint64_t enough, struct error *err)
{
    struct corpus_builder builder = *with;
    if (builder.field.name == NULL)
        builder.field.name = "text";
    const char *path = builder.path;
    struct corpus *corpus = NULL;
    struct file_set set;
    enum status status;

    *out = NULL;
    builder.offsets_capacity = 2;
    GOTO_IF_ERROR(file_set_find(&set, path, enough, err), done);
    GOTO_IF_ERROR(allocate(&corpus, 1, sizeof *corpus, "a corpus", err), done);
    builder.corpus = corpus;
    GOTO_IF_ERROR(
        allocate(&corpus->offsets, builder.offsets_capacity, sizeof *corpus->offsets, "a corpus", err), done);
    GOTO_IF_ERROR(read_documents(&builder, &set, err), done);
    if (corpus->count == 0 || corpus->offsets[corpus->count] == 0) {
        status = error_set(err, STATUS_INPUT, "%s: the corpus is empty: %s", path,
                           corpus->count == 0 ? "no documents" : "no document has any text");
        goto done;
    }
    shrink(corpus);
    *out = corpus;
    corpus = NULL;
    with->share = builder.share;
done:
    free(builder.pending);
    file_set_free(&set);
    corpus_free(corpus);
    return status;
}

enum status corpus_load_field(struct corpus **corpus, const char *path, const struct document_field *field,
                              uint64_t enough, struct error *err)
{
    struct corpus_builder builder = {.path = path, .field = *field, .most = SIZE_MAX};
    return load(corpus, &builder, enough, err);
}

enum status corpus_load_beginning(struct corpus **corpus, double *share, const char *path,
                                  const struct document_field *field, size_t most, struct error *err)
{
    struct corpus_builder builder = {.path = path, .field = *field, .most = most};
    const enum status status = load(corpus, &builder, UINT64_MAX, err);
    *share = builder.share;
    return status;
}

void corpus_free(struct corpus *corpus)
{
    if (corpus == NULL)
        return;
    free(corpus->text);
    free(corpus->offsets);
    free(corpus);
}
