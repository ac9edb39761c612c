#include "io/tokenizer/steps/pre_tokenizer.h"

#include "io/tokenizer/json.h"
#include "io/tokenizer/steps/pattern.h"
#include "io/tokenizer/steps/split.h"
#include "io/tokenizer/unicode.h"
#include <stdlib.h>
#include <string.h>

struct pre_tokenizer { // a sequence, flattened
    struct pre_tokenizer_step *steps;
    size_t count;
    size_t capacity;
};

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status add_step(struct pre_tokenizer *pre_tokenizer, struct pre_tokenizer_step step,
                            struct error *err)
{
    const enum status status = grow(&pre_tokenizer->steps, &pre_tokenizer->capacity, pre_tokenizer->count + 1,
                                    sizeof step, "a pre-tokenizer", err);
    if (status != STATUS_OK) {
        pattern_free(step.pattern);
        return status;
    }
    pre_tokenizer->steps[pre_tokenizer->count++] = step;
    return STATUS_OK;
}

static enum status add_regex(struct pre_tokenizer *pre_tokenizer, const char *expression,
                             struct pre_tokenizer_step step, struct error *err)
{
    FORWARD_IF_ERROR(pattern_from_regex(&step.pattern, (struct slice){expression, strlen(expression)}, err));
    return add_step(pre_tokenizer, step, err);
}

static enum status read_byte_level(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    // GPT-2's encoder.py
    static const char expression[] =
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool prefix = false;
    bool trim = false;
    bool regex = true;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_bool_member(value, "add_prefix_space", &prefix, err));
    FORWARD_IF_ERROR(json_bool_member(value, "trim_offsets", &trim, err)); // offsets are not computed here
    FORWARD_IF_ERROR(json_optional_bool(value, "use_regex", &regex, err));
    if (prefix)
        FORWARD_IF_ERROR(add_step(out, (struct pre_tokenizer_step){.apply = pre_tokenizer_add_space}, err));
    if (regex)
        FORWARD_IF_ERROR(add_regex(
            out, expression,
            (struct pre_tokenizer_step){.apply = pre_tokenizer_cut, .behavior = SPLIT_ISOLATED}, err));
    return add_step(out, (struct pre_tokenizer_step){.apply = pre_tokenizer_byte_level}, err);
}

static enum status read_split(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "pattern", "behavior", "invert", NULL};
    struct pre_tokenizer_step step = {.apply = pre_tokenizer_cut};

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    RETURN_ERROR_IF(json_object_get(value, "behavior") == NULL, err, STATUS_INPUT, "no \"behavior\"");
    FORWARD_IF_ERROR(split_behavior_from_json(&step.behavior, value, err));
    FORWARD_IF_ERROR(json_bool_member(value, "invert", &step.invert, err));
    if (pattern_from_json(&step.pattern, json_object_get(value, "pattern"), err) != STATUS_OK)
        return error_prefix(err, "\"pattern\"");
    return add_step(out, step, err);
}

// The one character of a member.
static enum status read_character(const json_t *value, const char *key, struct slice *text,
                                  uint32_t *character, struct error *err)
{
    size_t size = 0;

    FORWARD_IF_ERROR(json_text_member(value, key, text, err));
    if (text->size > 0)
        *character = utf8_decode(text->bytes, &size);
    RETURN_ERROR_IF(text->size == 0 || size != text->size, err, STATUS_INPUT,
                    "\"%s\" must be one character, is \"%s\"", key, text->bytes);
    return STATUS_OK;
}

static enum status read_metaspace(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {
        "type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep", NULL};
    struct pre_tokenizer_step step = {.apply = pre_tokenizer_metaspace, .prepend_scheme = PREPEND_ALWAYS};
    struct slice text = {0};
    struct slice scheme = {"always", 6};
    bool split = true;
    bool prefix = true;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(read_character(value, "replacement", &text, &step.delimiter, err));
    memcpy(step.replacement, text.bytes, text.size);
    FORWARD_IF_ERROR(json_optional_bool(value, "split", &split, err));
    FORWARD_IF_ERROR(json_optional_bool(value, "add_prefix_space", &prefix, err));
    if (json_object_get(value, "prepend_scheme") != NULL)
        FORWARD_IF_ERROR(json_text_member(value, "prepend_scheme", &scheme, err));
    if (slice_is(scheme, "first"))
        step.prepend_scheme = PREPEND_FIRST;
    else if (slice_is(scheme, "never"))
        step.prepend_scheme = PREPEND_NEVER;
    else
        RETURN_ERROR_IF(!slice_is(scheme, "always"), err, STATUS_INPUT, "unknown prepend_scheme \"%s\"",
                        scheme.bytes);
    RETURN_ERROR_IF(!prefix && step.prepend_scheme != PREPEND_NEVER, err, STATUS_INPUT,
                    "add_prefix_space false contradicts prepend_scheme \"%s\"", scheme.bytes);
    FORWARD_IF_ERROR(add_step(out, step, err));
    if (!split)
        return STATUS_OK;
    return add_step(out,
                    (struct pre_tokenizer_step){.apply = pre_tokenizer_cut,
                                                .delimiter = step.delimiter,
                                                .behavior = SPLIT_MERGED_WITH_NEXT},
                    err);
}

static enum status read_digits(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "individual_digits", NULL};
    bool individual = false;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_bool_member(value, "individual_digits", &individual, err));
    return add_step(out,
                    (struct pre_tokenizer_step){.apply = pre_tokenizer_cut,
                                                .is_delimiter = unicode_is_numeric,
                                                .behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS},
                    err);
}

static enum status read_punctuation(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "behavior", NULL};
    struct pre_tokenizer_step step = {
        .apply = pre_tokenizer_cut, .is_delimiter = unicode_is_punctuation, .behavior = SPLIT_ISOLATED};

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(split_behavior_from_json(&step.behavior, value, err));
    return add_step(out, step, err);
}

static const char *const only_type[] = {"type", NULL};

static enum status read_whitespace(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char expression[] = "[\\w\\x{200c}\\x{200d}]+|[^\\w\\x{200c}\\x{200d}\\s]+"; // \w of UTS #18
    FORWARD_IF_ERROR(json_only_members(value, only_type, err));
    return add_regex(
        out, expression,
        (struct pre_tokenizer_step){.apply = pre_tokenizer_cut, .behavior = SPLIT_REMOVED, .invert = true},
        err);
}

static enum status read_whitespace_split(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    FORWARD_IF_ERROR(json_only_members(value, only_type, err));
    return add_step(out,
                    (struct pre_tokenizer_step){.apply = pre_tokenizer_cut,
                                                .is_delimiter = unicode_is_whitespace,
                                                .behavior = SPLIT_REMOVED},
                    err);
}

static enum status read_bert(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    FORWARD_IF_ERROR(read_whitespace_split(out, value, err));
    return add_step(out,
                    (struct pre_tokenizer_step){.apply = pre_tokenizer_cut,
                                                .is_delimiter = unicode_is_punctuation,
                                                .behavior = SPLIT_ISOLATED},
                    err);
}

static enum status read_delimiter(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "delimiter", NULL};
    struct pre_tokenizer_step step = {.apply = pre_tokenizer_cut, .behavior = SPLIT_REMOVED};
    struct slice text = {0};

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(read_character(value, "delimiter", &text, &step.delimiter, err));
    return add_step(out, step, err);
}

static const struct {
    const char *type;
    enum status (*read)(struct pre_tokenizer *out, const json_t *value, struct error *err);
} step_types[] = {
    {"ByteLevel", read_byte_level},
    {"Split", read_split},
    {"Metaspace", read_metaspace},
    {"Digits", read_digits},
    {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
    {"CharDelimiterSplit", read_delimiter},
    {"BertPreTokenizer", read_bert},
};

static enum status read_steps(struct pre_tokenizer *out, const json_t *value, struct error *err);

static enum status read_sequence(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "pretokenizers", NULL};
    json_t *members;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_array_member(value, "pretokenizers", &members, err));
    for (size_t i = 0; i < json_array_size(members); i++)
        if (read_steps(out, json_array_get(members, i), err) != STATUS_OK)
            return error_prefix(err, "pretokenizers[%zu]", i);
    return STATUS_OK;
}

static enum status read_steps(struct pre_tokenizer *out, const json_t *value, struct error *err)
{
    const char *type = NULL;

    FORWARD_IF_ERROR(json_type_member(value, &type, err));
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(out, value, err);
    for (size_t i = 0; i < sizeof step_types / sizeof step_types[0]; i++) {
        if (strcmp(type, step_types[i].type) != 0)
            continue;
        if (step_types[i].read(out, value, err) != STATUS_OK)
            return error_prefix(err, "%s", type);
        return STATUS_OK;
    }
    RETURN_ERROR(err, STATUS_INPUT, "unknown type \"%s\"", type);
}

enum status pre_tokenizer_from_json(struct pre_tokenizer **out, const json_t *value, struct error *err)
{
    struct pre_tokenizer *pre_tokenizer;
    enum status status;

    *out = NULL;
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    FORWARD_IF_ERROR(allocate(&pre_tokenizer, 1, sizeof *pre_tokenizer, "a pre-tokenizer", err));
    status = read_steps(pre_tokenizer, value, err);
    if (status != STATUS_OK) {
        pre_tokenizer_free(pre_tokenizer);
        return status;
    }
    *out = pre_tokenizer;
    return STATUS_OK;
}

void pre_tokenizer_free(struct pre_tokenizer *pre_tokenizer)
{
    if (pre_tokenizer == NULL)
        return;
    for (size_t i = 0; i < pre_tokenizer->count; i++)
        pattern_free(pre_tokenizer->steps[i].pattern);
    free(pre_tokenizer->steps);
    free(pre_tokenizer);
}

// ---- cutting
// -----------------------------------------------------------------------------------------------

enum { PIECES_AT_A_TIME = 4096 };

// The pieces of the first cut, on their way through the steps behind it.
struct cut {
    const struct pre_tokenizer *pre_tokenizer; // NULL: no steps
    size_t step;                               // of the cut
    struct slice text;
    size_t origin_bytes;
    struct pre_tokenizer_work *work;
    const struct word_sink *sink;
};

static enum status apply_steps(const struct cut *cut, size_t first, size_t end, struct text *text,
                               struct error *err)
{
    for (size_t i = first; i < end; i++) {
        const struct pre_tokenizer_step *step = &cut->pre_tokenizer->steps[i];
        FORWARD_IF_ERROR(step->apply(step, text, &cut->work->words, cut->work, err));
    }
    return STATUS_OK;
}

static enum status hand_on(void *context, struct error *err)
{
    const struct cut *cut = context;
    struct pieces *words = &cut->work->words;
    struct text *part = &cut->work->part;

    if (words->count == 0)
        return STATUS_OK;
    if (cut->step + 1 < cut->pre_tokenizer->count) {
        const struct piece *last = &words->items[words->count - 1];
        const size_t start = words->items[0].start, size = last->start + last->size - start;
        text_clear(part);
        FORWARD_IF_ERROR(text_append(part, cut->text.bytes + start, size, err));
        if (cut->origin_bytes > start)
            part->origin_bytes = cut->origin_bytes - start < size ? cut->origin_bytes - start : size;
        for (size_t i = 0; i < words->count; i++)
            words->items[i].start -= start;
        pieces_find_origin(words, part->origin_bytes);
        FORWARD_IF_ERROR(apply_steps(cut, cut->step + 1, cut->pre_tokenizer->count, part, err));
        FORWARD_IF_ERROR(cut->sink->take(cut->sink->context, part->bytes, words, err));
    } else {
        FORWARD_IF_ERROR(cut->sink->take(cut->sink->context, cut->text.bytes, words, err));
    }
    words->count = 0;
    return STATUS_OK;
}

// The steps before the first cut rewrite the text, which stays one piece.
static enum status rewrite(struct cut *cut, struct error *err)
{
    struct text *whole = &cut->work->whole;

    if (cut->step == 0)
        return STATUS_OK;
    text_clear(whole);
    FORWARD_IF_ERROR(text_append(whole, cut->text.bytes, cut->text.size, err));
    whole->origin_bytes = cut->origin_bytes;
    FORWARD_IF_ERROR(apply_steps(cut, 0, cut->step, whole, err));
    text_trim(&cut->work->text);
    cut->text = (struct slice){whole->bytes, whole->size};
    cut->origin_bytes = whole->origin_bytes;
    return STATUS_OK;
}

static enum status cut_all(struct cut *cut, struct error *err)
{
    const struct pre_tokenizer_step *step = &cut->pre_tokenizer->steps[cut->step];
    struct splitter splitter = {.behavior = step->behavior,
                                .invert = step->invert,
                                .pieces = &cut->work->words,
                                .most = PIECES_AT_A_TIME,
                                .full = hand_on,
                                .context = cut};

    cut->work->words.count = 0;
    FORWARD_IF_ERROR(pre_tokenizer_cut_stretch(step, cut->text, 0, &splitter, err));
    return hand_on(cut, err);
}

enum status pre_tokenizer_apply(const struct pre_tokenizer *pre_tokenizer, struct slice text,
                                size_t origin_bytes, struct pre_tokenizer_work *work,
                                const struct word_sink *sink, struct error *err)
{
    const size_t count = pre_tokenizer != NULL ? pre_tokenizer->count : 0;
    struct cut cut = {pre_tokenizer, 0, text, origin_bytes, work, sink};

    while (cut.step < count && pre_tokenizer->steps[cut.step].apply != pre_tokenizer_cut)
        cut.step++;
    work->words.count = 0;
    work->words.at_origin = origin_bytes > 0 ? 1 : 0;
    FORWARD_IF_ERROR(pieces_append(&work->words, 0, text.size, err));
    FORWARD_IF_ERROR(rewrite(&cut, err));
    FORWARD_IF_ERROR(cut.step == count ? sink->take(sink->context, cut.text.bytes, &work->words, err)
                                       : cut_all(&cut, err));
    text_trim(&work->whole);
    return STATUS_OK;
}
