#include "io/tokenizer/steps/pattern.h"

#include "io/file/interrupt.h"
#include "io/file/limits.h"
#include "io/tokenizer/json.h"
#include "io/tokenizer/steps/expression.h"
#include "io/tokenizer/unicode_data.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pattern {
    char *literal; // NULL for a regular expression
    size_t literal_size;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool jit;
    // Of the search:
    double begun;          // this thread's clock
    size_t stretch, looks; // places where a match may begin that are looked at in one call; calls so far
    struct text shadow;    // the text as PCRE2 is to see it, where that is not the text itself
};

static enum status out_of_memory(struct error *err)
{
    return error_set(err, STATUS_MEMORY, "out of memory for a regular expression");
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    free(pattern->literal);
    pcre2_code_free(pattern->code);
    pcre2_match_data_free(pattern->match);
    pcre2_match_context_free(pattern->context);
    pcre2_jit_stack_free(pattern->stack);
    text_free(&pattern->shadow);
    free(pattern);
}

static enum status from_literal(struct pattern **out, struct slice literal, struct error *err)
{
    struct pattern *pattern;

    RETURN_ERROR_IF(literal.size == 0, err, STATUS_INPUT, "the pattern is an empty string");
    FORWARD_IF_ERROR(allocate(&pattern, 1, sizeof *pattern, "a pattern", err));
    if (allocate(&pattern->literal, literal.size, 1, "a pattern", err) != STATUS_OK) {
        free(pattern);
        return STATUS_MEMORY;
    }
    memcpy(pattern->literal, literal.bytes, literal.size);
    pattern->literal_size = literal.size;
    *out = pattern;
    return STATUS_OK;
}

static enum status compile(struct pattern *pattern, struct slice expression, struct slice original,
                           struct error *err)
{
    const size_t first_stack = (size_t)64 << 10;
    const size_t largest_stack = (size_t)4 << 20; // only what a match needs is ever touched
    int code = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR message[128];
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);

    if (context == NULL)
        return out_of_memory(err);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pattern->code = pcre2_compile((PCRE2_SPTR)expression.bytes, expression.size,
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT, &code,
                                  &offset, context);
    pcre2_compile_context_free(context);
    if (pattern->code == NULL && code == PCRE2_ERROR_HEAP_FAILED)
        return out_of_memory(err);
    if (pattern->code == NULL) {
        pcre2_get_error_message(code, message, sizeof message);
        RETURN_ERROR(err, STATUS_INPUT, "bad regular expression: %s, in \"%.*s\"", (const char *)message,
                     (int)(original.size < 500 ? original.size : 500), original.bytes);
    }
    pattern->match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    pattern->context = pcre2_match_context_create(NULL);
    if (pattern->match == NULL || pattern->context == NULL)
        return out_of_memory(err);
    pcre2_set_depth_limit(pattern->context, UINT32_MAX); // the heap bounds it
    pattern->jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    if (pattern->jit) {
        pattern->stack = pcre2_jit_stack_create(first_stack, largest_stack, NULL);
        if (pattern->stack == NULL)
            return out_of_memory(err);
        pcre2_jit_stack_assign(pattern->context, NULL, pattern->stack);
    }
    return STATUS_OK;
}

enum status pattern_from_regex(struct pattern **out, struct slice expression, struct error *err)
{
    struct pattern *pattern = NULL;
    struct text translated = {0};
    enum status status;

    RETURN_ERROR_IF(expression.size == 0, err, STATUS_INPUT, "the regular expression is empty");
    GOTO_IF_ERROR(allocate(&pattern, 1, sizeof *pattern, "a pattern", err), done);
    GOTO_IF_ERROR(expression_translate(expression, &translated, err), done);
    GOTO_IF_ERROR(compile(pattern, (struct slice){translated.bytes, translated.size}, expression, err), done);
done:
    text_free(&translated);
    if (status != STATUS_OK)
        pattern_free(pattern);
    else
        *out = pattern;
    return status;
}

enum status pattern_from_json(struct pattern **pattern, const json_t *value, struct error *err)
{
    static const char *const known[] = {"String", "Regex", NULL};
    struct slice text = {0};

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    RETURN_ERROR_IF(json_object_size(value) != 1, err, STATUS_INPUT,
                    "must have either \"String\" or \"Regex\"");
    if (json_object_get(value, "String") != NULL) {
        FORWARD_IF_ERROR(json_text_member(value, "String", &text, err));
        return from_literal(pattern, text, err);
    }
    FORWARD_IF_ERROR(json_text_member(value, "Regex", &text, err));
    return pattern_from_regex(pattern, text, err);
}

// Where the next character is on which PCRE2 and Oniguruma disagree, from `at` on; text.size if there is
// none.
static size_t find_disputed(struct slice text, size_t at, const struct unicode_range **range)
{
    size_t size = 0;

    for (; at < text.size; at += size) {
        uint64_t eight;
        if (text.size - at >= sizeof eight) { // most text is ASCII
            memcpy(&eight, text.bytes + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                size = sizeof eight;
                continue;
            }
        }
        const uint32_t code_point = utf8_decode(text.bytes + at, &size);
        if (size < 3)
            continue;
        *range = unicode_find_range(unicode_stand_ins, unicode_stand_ins_count, code_point);
        if (*range != NULL)
            break;
    }
    return at;
}

// ---- searching --------------------------------------------------------------------------------------------

// A piece can be as long as the text: what a match may cost grows with it.
static void set_limits(struct pattern *pattern, size_t size)
{
    const uint64_t steps = LIMIT_MATCH_STEPS + (uint64_t)LIMIT_MATCH_STEPS_PER_BYTE * size;
    const uint64_t kibibytes = ((uint64_t)64 << 10) + size;

    pcre2_set_match_limit(pattern->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    pcre2_set_heap_limit(pattern->context, kibibytes < UINT32_MAX ? (uint32_t)kibibytes : UINT32_MAX);
}

static double thread_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Each place may cost a look at all of the text: so many that a call takes some tenths of a second at most.
static size_t places_in_a_call(size_t size)
{
    enum { FEWEST = 16, MOST = 1024 };
    const size_t places = ((size_t)1 << 28) / (size + 1);
    return places < FEWEST ? FEWEST : places > MOST ? MOST : places;
}

// Looks at the clock, and asks whether the program was told to stop.
static enum status check_time(const struct pattern *pattern, size_t size, struct error *err)
{
    const double taken = thread_clock() - pattern->begun;

    RETURN_ERROR_IF(
        taken > LIMIT_MATCH_SECONDS + LIMIT_MATCH_SECONDS_PER_BYTE * (double)size, err, STATUS_INPUT,
        "regular expression: has taken %.1f s for a text of %zu bytes: it looks at the same places "
        "again and again",
        taken, size);
    return interrupt_check(err);
}

enum status pattern_begin(struct pattern *pattern, struct slice text, struct pattern_search *search,
                          struct error *err)
{
    const struct unicode_range *range = NULL;
    size_t done = 0;
    size_t at;

    *search = (struct pattern_search){.text = text};
    if (pattern->literal != NULL)
        return STATUS_OK;
    pattern->looks = 0;
    pattern->stretch = places_in_a_call(text.size);
    pattern->begun = thread_clock();
    set_limits(pattern, text.size);
    at = find_disputed(text, 0, &range);
    if (at == text.size)
        return STATUS_OK;
    text_clear(&pattern->shadow);
    while (at < text.size) {
        size_t size;
        FORWARD_IF_ERROR(text_append(&pattern->shadow, text.bytes + done, at - done, err));
        FORWARD_IF_ERROR(text_append_code_point(&pattern->shadow, (uint32_t)range->value, err));
        (void)utf8_decode(text.bytes + at, &size); // a stand-in has the same size
        done = at + size;
        at = find_disputed(text, done, &range);
    }
    FORWARD_IF_ERROR(text_append(&pattern->shadow, text.bytes + done, text.size - done, err));
    search->text.bytes = pattern->shadow.bytes;
    return STATUS_OK;
}

// A match that begins in [position, next): ends[0] to ends[1].
static enum status match_within(struct pattern *pattern, struct slice text, size_t position, size_t next,
                                bool *found, size_t ends[2], struct error *err)
{
    const PCRE2_SPTR subject = (PCRE2_SPTR)text.bytes;
    PCRE2_UCHAR message[128];
    const PCRE2_SIZE *offsets;
    int result;

    pcre2_set_offset_limit(pattern->context, next - 1);
    // The text was checked once; checking it in every match would make the search quadratic.
    result = pattern->jit ? pcre2_jit_match(pattern->code, subject, text.size, position, 0, pattern->match,
                                            pattern->context)
                          : PCRE2_ERROR_JIT_STACKLIMIT;
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) // the interpreter takes what it needs from the heap
        result = pcre2_match(pattern->code, subject, text.size, position, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             pattern->match, pattern->context);
    *found = result > 0;
    if (result == PCRE2_ERROR_NOMATCH)
        return STATUS_OK;
    RETURN_ERROR_IF(result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_HEAPLIMIT, err, STATUS_INPUT,
                    "regular expression: goes back too often at byte %zu of a text of %zu", position,
                    text.size);
    if (result < 0) {
        pcre2_get_error_message(result, message, sizeof message);
        RETURN_ERROR(err, STATUS_FAILED, "regular expression: %s, at byte %zu of a piece of %zu",
                     (const char *)message, position, text.size);
    }
    offsets = pcre2_get_ovector_pointer(pattern->match);
    ends[0] = offsets[0];
    ends[1] = offsets[1];
    return STATUS_OK;
}

// The next match from position on. Looked for stretch by stretch: where there is none, an expression may look
// from each place to the end of the text, and a single call for all places would not end.
static enum status match_at(struct pattern *pattern, struct slice text, size_t position, bool *found,
                            size_t *start, size_t *end, struct error *err)
{
    size_t next, ends[2] = {0};

    if (++pattern->looks % pattern->stretch == 0)
        FORWARD_IF_ERROR(check_time(pattern, text.size, err));
    for (*found = false; position <= text.size; position = next) {
        next = text.size - position > pattern->stretch ? position + pattern->stretch : text.size + 1;
        while (next < text.size && ((unsigned char)text.bytes[next] & 0xc0) == 0x80)
            next++; // matches begin with characters
        FORWARD_IF_ERROR(match_within(pattern, text, position, next, found, ends, err));
        if (*found)
            break;
        FORWARD_IF_ERROR(check_time(pattern, text.size, err));
    }
    *start = ends[0];
    *end = ends[1];
    return STATUS_OK;
}

enum status pattern_next(struct pattern *pattern, struct pattern_search *search, bool *found, size_t *start,
                         size_t *end, struct error *err)
{
    const struct slice text = search->text;

    if (pattern->literal != NULL) {
        const char *at = search->position < text.size
                             ? memmem(text.bytes + search->position, text.size - search->position,
                                      pattern->literal, pattern->literal_size)
                             : NULL;
        *found = at != NULL;
        if (*found) {
            *start = (size_t)(at - text.bytes);
            *end = *start + pattern->literal_size;
            search->position = *end;
        }
        return STATUS_OK;
    }
    for (;;) {
        *found = false;
        if (search->position > text.size)
            return STATUS_OK;
        FORWARD_IF_ERROR(match_at(pattern, text, search->position, found, start, end, err));
        if (!*found)
            return STATUS_OK;
        if (*start < *end || !search->matched || search->last_end != *end)
            break;
        // An empty match right after the last one: look from the next character on.
        if (search->position < text.size) {
            size_t size;
            (void)utf8_decode(text.bytes + search->position, &size);
            search->position += size;
        } else {
            search->position++;
        }
    }
    search->position = *end;
    search->last_end = *end;
    search->matched = true;
    return STATUS_OK;
}
