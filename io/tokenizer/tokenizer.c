#include "io/tokenizer/tokenizer.h"

#include "io/file/commit.h"
#include "io/file/interrupt.h"
#include "io/file/json.h"
#include "io/file/limits.h"
#include "io/tokenizer/added.h"
#include "io/tokenizer/json.h"
#include "io/tokenizer/missing.h"
#include "io/tokenizer/model/word_model.h"
#include "io/tokenizer/steps/normalizer.h"
#include "io/tokenizer/steps/pre_tokenizer.h"
#include "io/tokenizer/template.h"
#include "io/tokenizer/text.h"

#include <stdlib.h>

enum { PIECES_BETWEEN_QUESTIONS = 1024 };

struct tokenizer {
    struct normalizer *normalizer;
    struct pre_tokenizer *pre_tokenizer;
    struct added_tokens *added;
    struct word_model *model;
    struct templates *templates;
    // Memory to work in, reused from text to text.
    struct text normalized; // the text between two added tokens, normalised
    struct text scratch;
    struct pre_tokenizer_work work;
};

// ---- loading
// -----------------------------------------------------------------------------------------------

static enum status read_parts(struct tokenizer *tokenizer, const json_t *root, struct error *err)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    struct slice version = {"1.0", 3};

    // Truncation and padding are what a tokenizer was last used with: `transformers` sets them anew in every
    // call, by default to neither. Ids are not turned into text here: no decoder.
    FORWARD_IF_ERROR(json_only_members(root, known, err));
    if (json_object_get(root, "version") != NULL)
        FORWARD_IF_ERROR(json_text_member(root, "version", &version, err));
    RETURN_ERROR_IF(!slice_is(version, "1.0"), err, STATUS_INPUT, "unknown version \"%s\"", version.bytes);
    if (word_model_from_json(&tokenizer->model, json_object_get(root, "model"), err) != STATUS_OK)
        return error_prefix(err, "model");
    if (normalizer_from_json(&tokenizer->normalizer, json_object_get(root, "normalizer"), err) != STATUS_OK)
        return error_prefix(err, "normalizer");
    if (pre_tokenizer_from_json(&tokenizer->pre_tokenizer, json_object_get(root, "pre_tokenizer"), err) !=
        STATUS_OK)
        return error_prefix(err, "pre_tokenizer");
    if (added_tokens_from_json(&tokenizer->added, json_object_get(root, "added_tokens"),
                               word_model_vocabulary(tokenizer->model), tokenizer->normalizer,
                               err) != STATUS_OK)
        return error_prefix(err, "added_tokens");
    if (templates_from_json(&tokenizer->templates, json_object_get(root, "post_processor"), err) != STATUS_OK)
        return error_prefix(err, "post_processor");
    RETURN_ERROR_IF(templates_bound(tokenizer->templates) > tokenizer_vocabulary_size(tokenizer), err,
                    STATUS_INPUT, "post_processor: the special token's id %zu is not in the vocabulary",
                    templates_bound(tokenizer->templates) - 1);
    return STATUS_OK;
}

static enum status parse_file(json_t **root, const char *path, struct error *err)
{
    json_error_t problem;
    bool no_memory;
    char *bytes;
    size_t size;

    FORWARD_IF_ERROR(tokenizer_check(path, err));
    FORWARD_IF_ERROR(read_file_up_to(&bytes, &size, LIMIT_TOKENIZER_BYTES, path, err));
    *root = json_load_bytes(bytes, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem, &no_memory);
    free(bytes);
    RETURN_ERROR_IF(no_memory, err, STATUS_MEMORY, "out of memory for the JSON of %s, %zu bytes", path, size);
    if (*root == NULL) {
        char shown[JSON_REASON_SIZE];
        return error_set(err, STATUS_INPUT, "%s: %s (line %d, column %d)", path, json_reason(shown, &problem),
                         problem.line, problem.column);
    }
    return STATUS_OK;
}

// Messages quote tokens, and tokens hold anything: a message stays one line.
static void keep_one_line(struct error *err)
{
    for (char *c = err->message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

enum status tokenizer_load(struct tokenizer **out, const char *path, struct error *err)
{
    struct tokenizer *tokenizer = NULL;
    json_t *root = NULL;
    struct error unwanted;
    enum status status;

    *out = NULL;
    if (err == NULL)
        err = &unwanted;
    status = parse_file(&root, path, err);
    if (status == STATUS_OK)
        status = allocate(&tokenizer, 1, sizeof *tokenizer, "a tokenizer", err);
    if (status == STATUS_OK) {
        status = read_parts(tokenizer, root, err);
        if (status == STATUS_INPUT)
            error_prefix(err, "%s", path);
    }
    json_decref(root);
    if (status != STATUS_OK) {
        keep_one_line(err);
        tokenizer_free(tokenizer);
        return status;
    }
    *out = tokenizer;
    return STATUS_OK;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    normalizer_free(tokenizer->normalizer);
    pre_tokenizer_free(tokenizer->pre_tokenizer);
    added_tokens_free(tokenizer->added);
    word_model_free(tokenizer->model);
    templates_free(tokenizer->templates);
    text_free(&tokenizer->normalized);
    text_free(&tokenizer->scratch);
    pre_tokenizer_work_free(&tokenizer->work);
    free(tokenizer);
}

size_t tokenizer_vocabulary_size(const struct tokenizer *tokenizer)
{
    const size_t vocabulary = vocabulary_bound(word_model_vocabulary(tokenizer->model));
    const size_t added = added_tokens_bound(tokenizer->added);
    return vocabulary > added ? vocabulary : added;
}

// ---- encoding
// ----------------------------------------------------------------------------------------------

// Where the ids of words go.
struct encoding {
    struct word_model *model;
    struct ids *ids;
};

static enum status encode_words(void *context, const char *bytes, const struct pieces *words,
                                struct error *err)
{
    const struct encoding *encoding = context;

    for (size_t i = 0; i < words->count; i++) {
        if (i % PIECES_BETWEEN_QUESTIONS == 0)
            FORWARD_IF_ERROR(interrupt_check(err));
        FORWARD_IF_ERROR(word_model_encode(encoding->model, bytes + words->items[i].start,
                                           words->items[i].size, encoding->ids, err));
    }
    return STATUS_OK;
}

// stretch, of which the first origin_bytes stand for the first character of the input, normalised: that
// itself where nothing is to be done.
static enum status normalize(struct tokenizer *tokenizer, struct slice *stretch, size_t *origin_bytes,
                             struct error *err)
{
    struct text *text = &tokenizer->normalized;

    if (tokenizer->normalizer == NULL)
        return STATUS_OK;
    text_clear(text);
    FORWARD_IF_ERROR(text_append(text, stretch->bytes, stretch->size, err));
    text->origin_bytes = *origin_bytes;
    FORWARD_IF_ERROR(normalizer_apply(tokenizer->normalizer, text, &tokenizer->scratch, err));
    text_trim(&tokenizer->scratch);
    *stretch = (struct slice){text->bytes, text->size};
    *origin_bytes = text->origin_bytes;
    return STATUS_OK;
}

// The text between two added tokens that are not normalised.
static enum status encode_stretch(struct tokenizer *tokenizer, struct slice stretch, bool at_origin,
                                  struct ids *ids, struct error *err)
{
    struct encoding encoding = {tokenizer->model, ids};
    const struct word_sink sink = {encode_words, &encoding};
    struct added_search search = {0};
    struct added_stretch found;
    size_t origin_bytes = 0;

    if (at_origin)
        (void)utf8_decode(stretch.bytes, &origin_bytes);
    FORWARD_IF_ERROR(normalize(tokenizer, &stretch, &origin_bytes, err));
    while (added_tokens_next(tokenizer->added, true, stretch, &search, &found)) {
        const struct slice part = {stretch.bytes + found.start, found.end - found.start};
        size_t of_part = origin_bytes > found.start ? origin_bytes - found.start : 0;
        if (of_part > part.size)
            of_part = part.size;
        if (found.id >= 0)
            FORWARD_IF_ERROR(ids_append(ids, &found.id, 1, err));
        else
            FORWARD_IF_ERROR(
                pre_tokenizer_apply(tokenizer->pre_tokenizer, part, of_part, &tokenizer->work, &sink, err));
    }
    text_trim(&tokenizer->normalized);
    return STATUS_OK;
}

static enum status encode_text(struct tokenizer *tokenizer, struct slice text, struct ids *ids,
                               struct error *err)
{
    struct added_search search = {0};
    struct added_stretch found;

    while (added_tokens_next(tokenizer->added, false, text, &search, &found)) {
        if (found.id >= 0) {
            FORWARD_IF_ERROR(ids_append(ids, &found.id, 1, err));
            continue;
        }
        FORWARD_IF_ERROR(encode_stretch(tokenizer,
                                        (struct slice){text.bytes + found.start, found.end - found.start},
                                        found.start == 0, ids, err));
    }
    return STATUS_OK;
}

enum status tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t size,
                             bool add_special_tokens, int32_t **out, size_t *count, struct error *err)
{
    struct ids ids = {0};
    enum status status;
    size_t offset = 0;

    *out = NULL;
    *count = 0;
    RETURN_ERROR_IF(!utf8_check(text, size, &offset), err, STATUS_INPUT, "the text is not UTF-8 at byte %zu",
                    offset);
    tokenizer->normalized.limit = tokenizer->scratch.limit = text_limit(size);
    pre_tokenizer_work_limit(&tokenizer->work, text_limit(size));
    GOTO_IF_ERROR(encode_text(tokenizer, (struct slice){text, size}, &ids, err), failed);
    GOTO_IF_ERROR(templates_apply(tokenizer->templates, add_special_tokens, &ids, err), failed);
    if (ids.items == NULL) // an empty result is a valid pointer as well
        GOTO_IF_ERROR(grow(&ids.items, &ids.capacity, 1, sizeof *ids.items, "token ids", err), failed);
    *out = ids.items;
    *count = ids.count;
    return STATUS_OK;
failed:
    free(ids.items);
    return status;
}
