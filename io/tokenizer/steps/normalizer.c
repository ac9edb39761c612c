#include "io/tokenizer/steps/normalizer.h"

#include "io/tokenizer/bytes.h"
#include "io/tokenizer/json.h"
#include "io/tokenizer/steps/bert.h"
#include "io/tokenizer/steps/pattern.h"
#include "io/tokenizer/steps/precompiled.h"
#include "io/tokenizer/unicode.h"
#include <stdlib.h>
#include <string.h>

struct step {
    // Appends the new form of in to out.
    enum status (*apply)(const struct step *step, const struct text *in, struct text *out, struct error *err);
    struct text content;     // Prepend, Replace
    struct pattern *pattern; // Replace
    struct precompiled *map; // Precompiled
    enum unicode_form form;
    bool strip_left;
    bool strip_right;
};

struct normalizer { // a sequence, flattened
    struct step *steps;
    size_t count;
    size_t capacity;
};

// ---- the steps
// ---------------------------------------------------------------------------------------------

static enum status prepend(const struct step *step, const struct text *in, struct text *out,
                           struct error *err)
{
    if (in->size == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(text_append(out, step->content.bytes, step->content.size, err));
    FORWARD_IF_ERROR(text_append(out, in->bytes, in->size, err));
    if (in->origin_bytes > 0) // what is put in front counts as a part of the first character
        out->origin_bytes = step->content.size + in->origin_bytes;
    return STATUS_OK;
}

static enum status replace(const struct step *step, const struct text *in, struct text *out,
                           struct error *err)
{
    const struct slice text = {in->bytes, in->size};
    struct pattern_search search;
    size_t copied = 0;

    if (in->size == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(pattern_begin(step->pattern, text, &search, err));
    for (;;) {
        bool found;
        size_t start = 0;
        size_t end = 0;
        size_t origin;

        FORWARD_IF_ERROR(pattern_next(step->pattern, &search, &found, &start, &end, err));
        if (!found)
            start = in->size;
        origin = in->origin_bytes < start ? in->origin_bytes : start;
        if (copied < in->origin_bytes)
            out->origin_bytes = out->size + (origin - copied);
        FORWARD_IF_ERROR(text_append(out, in->bytes + copied, start - copied, err));
        if (!found)
            return STATUS_OK;
        FORWARD_IF_ERROR(text_append(out, step->content.bytes, step->content.size, err));
        if (end <= in->origin_bytes) // the new text stands where the last character of the old one stood
            out->origin_bytes = out->size;
        copied = end;
    }
}

static enum status normal_form(const struct step *step, const struct text *in, struct text *out,
                               struct error *err)
{
    return unicode_normalize(step->form, in, out, err);
}

static enum status lowercase(const struct step *step, const struct text *in, struct text *out,
                             struct error *err)
{
    (void)step;
    return unicode_lowercase(in, out, err);
}

static enum status strip(const struct step *step, const struct text *in, struct text *out, struct error *err)
{
    size_t start = 0;
    size_t end = in->size;
    size_t size = 0;

    if (step->strip_left)
        while (start < end && unicode_is_whitespace(utf8_decode(in->bytes + start, &size)))
            start += size;
    while (step->strip_right && end > start) {
        const size_t previous = utf8_previous(in->bytes, end);
        if (!unicode_is_whitespace(utf8_decode(in->bytes + previous, &size)))
            break;
        end = previous;
    }
    // The first character may be stripped while text that was put in front of it stays.
    const size_t origin_end = in->origin_bytes < end ? in->origin_bytes : end;
    out->origin_bytes = origin_end > start ? origin_end - start : 0;
    return text_append(out, in->bytes + start, end - start, err);
}

static enum status strip_accents(const struct step *step, const struct text *in, struct text *out,
                                 struct error *err)
{
    size_t size = 0;

    (void)step;
    for (size_t at = 0; at < in->size; at += size) {
        if (unicode_is_mark(utf8_decode(in->bytes + at, &size)))
            continue;
        FORWARD_IF_ERROR(text_append(out, in->bytes + at, size, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}

// The rules of SentencePiece's nmt_nfkc apart from NFKC: some control characters go, some others become
// spaces.
static enum status nmt(const struct step *step, const struct text *in, struct text *out, struct error *err)
{
    size_t size = 0;

    (void)step;
    for (size_t at = 0; at < in->size; at += size) {
        const uint32_t c = utf8_decode(in->bytes + at, &size);
        if ((c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f ||
            c == 0x9f)
            continue;
        if (c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
            c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd)
            FORWARD_IF_ERROR(text_append(out, " ", 1, err));
        else
            FORWARD_IF_ERROR(text_append(out, in->bytes + at, size, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}

static enum status byte_level(const struct step *step, const struct text *in, struct text *out,
                              struct error *err)
{
    (void)step;
    FORWARD_IF_ERROR(byte_level_append(out, in->bytes, in->origin_bytes, err));
    out->origin_bytes = out->size;
    return byte_level_append(out, in->bytes + in->origin_bytes, in->size - in->origin_bytes, err);
}

static enum status clean(const struct step *step, const struct text *in, struct text *out, struct error *err)
{
    (void)step;
    return bert_clean(in, out, err);
}

static enum status space_ideographs(const struct step *step, const struct text *in, struct text *out,
                                    struct error *err)
{
    (void)step;
    return bert_space_ideographs(in, out, err);
}

static enum status strip_nonspacing(const struct step *step, const struct text *in, struct text *out,
                                    struct error *err)
{
    (void)step;
    return bert_strip_accents(in, out, err);
}

static enum status precompiled(const struct step *step, const struct text *in, struct text *out,
                               struct error *err)
{
    return precompiled_apply(step->map, in, out, err);
}

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status add_step(struct step **step, struct normalizer *normalizer, struct step new,
                            struct error *err)
{
    FORWARD_IF_ERROR(grow(&normalizer->steps, &normalizer->capacity, normalizer->count + 1, sizeof new,
                          "a normalizer", err));
    *step = &normalizer->steps[normalizer->count++];
    **step = new;
    return STATUS_OK;
}

static enum status read_prepend(struct normalizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "prepend", NULL};
    struct slice text = {0};
    struct step *step;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_text_member(value, "prepend", &text, err));
    FORWARD_IF_ERROR(add_step(&step, out, (struct step){.apply = prepend}, err));
    return text_append(&step->content, text.bytes, text.size, err);
}

static enum status read_replace(struct normalizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "pattern", "content", NULL};
    struct slice text = {0};
    struct step *step;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_text_member(value, "content", &text, err));
    FORWARD_IF_ERROR(add_step(&step, out, (struct step){.apply = replace}, err));
    FORWARD_IF_ERROR(text_append(&step->content, text.bytes, text.size, err));
    if (pattern_from_json(&step->pattern, json_object_get(value, "pattern"), err) != STATUS_OK)
        return error_prefix(err, "\"pattern\"");
    return STATUS_OK;
}

static enum status read_strip(struct normalizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "strip_left", "strip_right", NULL};
    struct step new = {.apply = strip}, *step;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_bool_member(value, "strip_left", &new.strip_left, err));
    FORWARD_IF_ERROR(json_bool_member(value, "strip_right", &new.strip_right, err));
    return add_step(&step, out, new, err);
}

static enum status read_bert(struct normalizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type",          "clean_text", "handle_chinese_chars",
                                        "strip_accents", "lowercase",  NULL};
    bool cleans = false, spaces = false, strips = false, lowers = false;
    struct step *step;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_bool_member(value, "clean_text", &cleans, err));
    FORWARD_IF_ERROR(json_bool_member(value, "handle_chinese_chars", &spaces, err));
    FORWARD_IF_ERROR(json_bool_member(value, "lowercase", &lowers, err));
    strips = lowers; // unless it says otherwise
    FORWARD_IF_ERROR(json_optional_bool(value, "strip_accents", &strips, err));
    const struct step steps[] = {{.apply = clean},
                                 {.apply = space_ideographs},
                                 {.apply = normal_form, .form = UNICODE_NFD},
                                 {.apply = strip_nonspacing},
                                 {.apply = lowercase}};
    const bool wanted[] = {cleans, spaces, strips, strips, lowers};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (wanted[i])
            FORWARD_IF_ERROR(add_step(&step, out, steps[i], err));
    return STATUS_OK;
}

static enum status read_precompiled(struct normalizer *out, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "precompiled_charsmap", NULL};
    struct slice charsmap = {0};
    struct step *step;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_text_member(value, "precompiled_charsmap", &charsmap, err));
    FORWARD_IF_ERROR(add_step(&step, out, (struct step){.apply = precompiled}, err));
    return precompiled_new(&step->map, charsmap, err);
}

// Those with members other than "type".
static const struct {
    const char *type;
    enum status (*read)(struct normalizer *out, const json_t *value, struct error *err);
} step_types[] = {
    {"Prepend", read_prepend},     {"Replace", read_replace},         {"Strip", read_strip},
    {"BertNormalizer", read_bert}, {"Precompiled", read_precompiled},
};

static const struct {
    const char *type;
    struct step step;
} plain_types[] = {
    {"NFC", {.apply = normal_form, .form = UNICODE_NFC}},
    {"NFD", {.apply = normal_form, .form = UNICODE_NFD}},
    {"NFKC", {.apply = normal_form, .form = UNICODE_NFKC}},
    {"NFKD", {.apply = normal_form, .form = UNICODE_NFKD}},
    {"Lowercase", {.apply = lowercase}},
    {"StripAccents", {.apply = strip_accents}},
    {"Nmt", {.apply = nmt}},
    {"ByteLevel", {.apply = byte_level}},
};

static enum status read_plain(struct normalizer *out, const json_t *value, struct step new, struct error *err)
{
    static const char *const known[] = {"type", NULL};
    struct step *step;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    return add_step(&step, out, new, err);
}

static enum status read_steps(struct normalizer *normalizer, const json_t *value, struct error *err);

static enum status read_sequence(struct normalizer *normalizer, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "normalizers", NULL};
    json_t *members;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_array_member(value, "normalizers", &members, err));
    for (size_t i = 0; i < json_array_size(members); i++)
        if (read_steps(normalizer, json_array_get(members, i), err) != STATUS_OK)
            return error_prefix(err, "normalizers[%zu]", i);
    return STATUS_OK;
}

static enum status read_steps(struct normalizer *normalizer, const json_t *value, struct error *err)
{
    const char *type = NULL;

    FORWARD_IF_ERROR(json_type_member(value, &type, err));
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(normalizer, value, err);
    for (size_t i = 0; i < sizeof step_types / sizeof step_types[0]; i++)
        if (strcmp(type, step_types[i].type) == 0)
            return step_types[i].read(normalizer, value, err) == STATUS_OK ? STATUS_OK
                                                                           : error_prefix(err, "%s", type);
    for (size_t i = 0; i < sizeof plain_types / sizeof plain_types[0]; i++)
        if (strcmp(type, plain_types[i].type) == 0)
            return read_plain(normalizer, value, plain_types[i].step, err) == STATUS_OK
                       ? STATUS_OK
                       : error_prefix(err, "%s", type);
    RETURN_ERROR(err, STATUS_INPUT, "unknown type \"%s\"", type);
}

enum status normalizer_from_json(struct normalizer **out, const json_t *value, struct error *err)
{
    struct normalizer *normalizer;
    enum status status;

    *out = NULL;
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    FORWARD_IF_ERROR(allocate(&normalizer, 1, sizeof *normalizer, "a normalizer", err));
    status = read_steps(normalizer, value, err);
    if (status != STATUS_OK) {
        normalizer_free(normalizer);
        return status;
    }
    *out = normalizer;
    return STATUS_OK;
}

void normalizer_free(struct normalizer *normalizer)
{
    if (normalizer == NULL)
        return;
    for (size_t i = 0; i < normalizer->count; i++) {
        text_free(&normalizer->steps[i].content);
        pattern_free(normalizer->steps[i].pattern);
        precompiled_free(normalizer->steps[i].map);
    }
    free(normalizer->steps);
    free(normalizer);
}

enum status normalizer_apply(const struct normalizer *normalizer, struct text *text, struct text *scratch,
                             struct error *err)
{
    if (normalizer == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < normalizer->count; i++) {
        text_clear(scratch);
        FORWARD_IF_ERROR(normalizer->steps[i].apply(&normalizer->steps[i], text, scratch, err));
        text_swap(text, scratch);
    }
    return STATUS_OK;
}
