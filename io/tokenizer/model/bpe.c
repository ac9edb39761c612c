#include "io/tokenizer/model/bpe.h"

#include "io/tokenizer/json.h"
#include "io/tokenizer/model/cache.h"
#include "io/tokenizer/model/merges.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bpe {
    struct vocabulary *vocabulary;
    struct merges *merges;
    struct word_cache *cache;
    struct merge_work work;
    char *unk_token; // NULL for none
    int32_t unk_id;
    bool fuse_unk;
    bool byte_fallback;
    bool ignore_merges;
    struct text suffix;    // of the last character of a word; empty: none
    struct text last;      // that character and the suffix
    int32_t byte_ids[256]; // <0x00> to <0xFF>, -1 where the vocabulary has none
};

const struct vocabulary *bpe_vocabulary(const struct bpe *bpe)
{
    return bpe->vocabulary;
}

// ---- encoding
// ----------------------------------------------------------------------------------------------

static enum status add_symbol(struct merge_work *work, int32_t id, struct error *err)
{
    FORWARD_IF_ERROR(
        grow(&work->symbols, &work->symbol_capacity, work->count + 1, sizeof *work->symbols, "merging", err));
    work->symbols[work->count++] = id;
    return STATUS_OK;
}

struct symbol {
    struct slice text; // as the vocabulary spells it
    size_t length;     // of its character in the word
    int32_t id;        // -1: it is no token
};

// *symbol <- the one of word[size] that begins at `at`. Its text lasts until the next call.
static enum status spell_symbol(struct symbol *symbol, struct bpe *bpe, const char *word, size_t size,
                                size_t at, struct error *err)
{
    const uint32_t character = utf8_decode(word + at, &symbol->length);

    symbol->text = (struct slice){word + at, symbol->length};
    if (bpe->suffix.size == 0 || at + symbol->length < size) {
        symbol->id = vocabulary_find_character(bpe->vocabulary, character);
        return STATUS_OK;
    }
    text_clear(&bpe->last);
    FORWARD_IF_ERROR(text_append(&bpe->last, word + at, symbol->length, err));
    FORWARD_IF_ERROR(text_append(&bpe->last, bpe->suffix.bytes, bpe->suffix.size, err));
    symbol->text = (struct slice){bpe->last.bytes, bpe->last.size};
    symbol->id = vocabulary_find(bpe->vocabulary, symbol->text.bytes, symbol->text.size);
    return STATUS_OK;
}

// A symbol that is no token, as its bytes; false if one of them is no token either.
static bool has_byte_tokens(const struct bpe *bpe, struct slice symbol)
{
    if (!bpe->byte_fallback)
        return false;
    for (size_t i = 0; i < symbol.size; i++)
        if (bpe->byte_ids[(unsigned char)symbol.bytes[i]] < 0)
            return false;
    return true;
}

// The symbols of a word before any merge.
static enum status first_symbols(struct bpe *bpe, const char *word, size_t size, struct merge_work *work,
                                 struct error *err)
{
    struct symbol symbol = {0};
    bool unknown = false; // an unknown symbol is to be added before the next known one

    work->count = 0;
    for (size_t at = 0; at < size; at += symbol.length) {
        FORWARD_IF_ERROR(spell_symbol(&symbol, bpe, word, size, at, err));
        if (symbol.id >= 0) {
            if (unknown)
                FORWARD_IF_ERROR(add_symbol(work, bpe->unk_id, err));
            unknown = false;
            FORWARD_IF_ERROR(add_symbol(work, symbol.id, err));
        } else if (has_byte_tokens(bpe, symbol.text)) {
            // An unknown symbol that waits goes on waiting: so does `tokenizers`.
            for (size_t i = 0; i < symbol.text.size; i++)
                FORWARD_IF_ERROR(add_symbol(work, bpe->byte_ids[(unsigned char)symbol.text.bytes[i]], err));
        } else if (bpe->unk_token != NULL) {
            RETURN_ERROR_IF(bpe->unk_id < 0, err, STATUS_INPUT,
                            "tokenizer: the text has a character that is no token, and neither is the "
                            "model's unk_token \"%s\"",
                            bpe->unk_token);
            if (unknown && !bpe->fuse_unk)
                FORWARD_IF_ERROR(add_symbol(work, bpe->unk_id, err));
            unknown = true;
        } // else there is nothing to stand for it, and it is left out
    }
    if (unknown)
        FORWARD_IF_ERROR(add_symbol(work, bpe->unk_id, err));
    return STATUS_OK;
}

static enum status encode_part(struct bpe *bpe, const char *word, size_t size, struct ids *ids,
                               struct error *err)
{
    const bool may_cache = size > 0 && size <= WORD_CACHE_LONGEST;
    const int32_t *known = NULL;
    size_t count = 0;
    uint64_t hash = 0;

    if (may_cache && word_cache_find(bpe->cache, word, size, &hash, &known, &count))
        return ids_append(ids, known, count, err);
    FORWARD_IF_ERROR(first_symbols(bpe, word, size, &bpe->work, err));
    FORWARD_IF_ERROR(merges_apply(bpe->merges, &bpe->work, err));
    if (may_cache)
        word_cache_add(bpe->cache, hash, word, size, bpe->work.symbols, bpe->work.count);
    return ids_append(ids, bpe->work.symbols, bpe->work.count, err);
}

enum status bpe_encode(struct bpe *bpe, const char *word, size_t size, struct ids *ids, struct error *err)
{
    const size_t short_word = 32; // not worth looking for places to cut
    size_t start = 0;
    size_t length = 0;
    uint32_t left = 0;
    bool left_is_token = false;

    if (bpe->ignore_merges) {
        const int32_t id = vocabulary_find(bpe->vocabulary, word, size);
        if (id >= 0)
            return ids_append(ids, &id, 1, err);
    }
    if (size <= short_word || bpe->suffix.size > 0) // of which the last part would be another than elsewhere
        return encode_part(bpe, word, size, ids, err);
    // SentencePiece's kind of tokenizer hands over the whole text as one word. It falls into parts wherever
    // two neighbours can never be joined; parts come again and again, words as long as that do not. Both
    // neighbours must be tokens: unknown ones may still be fused, and what stands for them has another
    // spelling.
    for (size_t at = 0; at < size; at += length) {
        const uint32_t right = utf8_decode(word + at, &length);
        const bool right_is_token = vocabulary_find_character(bpe->vocabulary, right) >= 0;
        if (left_is_token && right_is_token && !merges_may_join(bpe->merges, left, right)) {
            FORWARD_IF_ERROR(encode_part(bpe, word + start, at - start, ids, err));
            start = at;
        }
        left = right;
        left_is_token = right_is_token;
    }
    return encode_part(bpe, word + start, size - start, ids, err);
}

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status read_kind(const json_t *value, struct error *err)
{
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    struct slice affix = {0};
    const json_t *dropout = json_object_get(value, "dropout");

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    RETURN_ERROR_IF(dropout != NULL && !json_is_null(dropout) &&
                        !(json_is_number(dropout) && json_number_value(dropout) == 0),
                    err, STATUS_INPUT, "dropout is not supported");
    FORWARD_IF_ERROR(json_optional_text(value, "continuing_subword_prefix", &affix, err));
    RETURN_ERROR_IF(affix.size > 0, err, STATUS_INPUT, "continuing_subword_prefix \"%s\" is not supported",
                    affix.bytes);
    return STATUS_OK;
}

static enum status read_unknown(struct bpe *bpe, const json_t *value, struct error *err)
{
    struct slice unk = {0};

    FORWARD_IF_ERROR(json_optional_text(value, "unk_token", &unk, err));
    FORWARD_IF_ERROR(json_optional_bool(value, "fuse_unk", &bpe->fuse_unk, err));
    FORWARD_IF_ERROR(json_optional_bool(value, "byte_fallback", &bpe->byte_fallback, err));
    FORWARD_IF_ERROR(json_optional_bool(value, "ignore_merges", &bpe->ignore_merges, err));
    if (unk.bytes != NULL) {
        FORWARD_IF_ERROR(allocate(&bpe->unk_token, unk.size + 1, 1, "a token", err));
        memcpy(bpe->unk_token, unk.bytes, unk.size);
        bpe->unk_id = vocabulary_find(bpe->vocabulary, unk.bytes, unk.size);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char token[8];
        snprintf(token, sizeof token, "<0x%02X>", byte);
        bpe->byte_ids[byte] = vocabulary_find(bpe->vocabulary, token, strlen(token));
    }
    return STATUS_OK;
}

static enum status read_model(struct bpe *bpe, const json_t *value, struct error *err)
{
    struct slice suffix = {"", 0};
    enum status status;

    FORWARD_IF_ERROR(read_kind(value, err));
    status = vocabulary_from_json(&bpe->vocabulary, json_object_get(value, "vocab"), err);
    if (status != STATUS_OK)
        return status == STATUS_INPUT ? error_prefix(err, "vocab") : status;
    status = merges_from_json(&bpe->merges, json_object_get(value, "merges"), bpe->vocabulary, err);
    if (status != STATUS_OK)
        return status == STATUS_INPUT ? error_prefix(err, "merges") : status;
    FORWARD_IF_ERROR(json_optional_text(value, "end_of_word_suffix", &suffix, err));
    FORWARD_IF_ERROR(text_append(&bpe->suffix, suffix.bytes, suffix.size, err));
    FORWARD_IF_ERROR(read_unknown(bpe, value, err));
    return word_cache_new(&bpe->cache, err);
}

enum status bpe_from_json(struct bpe **out, const json_t *value, struct error *err)
{
    struct bpe *bpe;
    enum status status;

    FORWARD_IF_ERROR(allocate(&bpe, 1, sizeof *bpe, "a BPE model", err));
    bpe->unk_id = -1;
    status = read_model(bpe, value, err);
    if (status != STATUS_OK) {
        bpe_free(bpe);
        return status;
    }
    *out = bpe;
    return STATUS_OK;
}

void bpe_free(struct bpe *bpe)
{
    if (bpe == NULL)
        return;
    vocabulary_free(bpe->vocabulary);
    merges_free(bpe->merges);
    word_cache_free(bpe->cache);
    merge_work_free(&bpe->work);
    text_free(&bpe->suffix);
    text_free(&bpe->last);
    free(bpe->unk_token);
    free(bpe);
}
