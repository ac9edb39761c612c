#include "io/tokenizer/model/unigram.h"

#include "io/tokenizer/json.h"
#include "io/tokenizer/model/cache.h"
#include "io/tokenizer/model/trie.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The best row of tokens that ends at a place in the word.
struct place {
    double score;
    uint32_t size; // of the last token, 0 where no row ends here
    int32_t id;    // of the last token
};

struct unigram {
    struct vocabulary *vocabulary;
    struct trie *trie;
    struct word_cache *cache;
    double *scores; // by id
    double unknown_score;
    int32_t unk_id; // -1 for none
    bool byte_fallback;
    int32_t byte_ids[256]; // <0x00> to <0xFF>, -1 where the vocabulary has none
    struct place *places;  // memory to work in
    size_t capacity;
};

const struct vocabulary *unigram_vocabulary(const struct unigram *unigram)
{
    return unigram->vocabulary;
}

// ---- encoding
// ----------------------------------------------------------------------------------------------

// Whether a token from `from` on makes the best row up to place->end; of equals the first one stays.
static bool improve(struct place *place, double score, size_t size, int32_t id)
{
    if (place->size != 0 && !(score > place->score))
        return false;
    *place = (struct place){.score = score, .size = (uint32_t)size, .id = id};
    return true;
}

// Fills places[0..size].
static enum status find_best(struct unigram *unigram, const char *word, size_t size, struct error *err)
{
    struct place *places = unigram->places;
    size_t length = 0;

    memset(places, 0, (size + 1) * sizeof *places);
    for (size_t at = 0; at < size; at += length) {
        const double score = places[at].score;
        uint32_t node = TRIE_ROOT;
        bool is_token = false; // the character alone

        (void)utf8_decode(word + at, &length);
        for (size_t end = at; end < size;) {
            node = trie_step(unigram->trie, node, (unsigned char)word[end++]);
            if (node == TRIE_NOWHERE)
                break;
            const int32_t id = trie_value(unigram->trie, node);
            if (id < 0)
                continue;
            improve(&places[end], score + unigram->scores[id], end - at, id);
            is_token = is_token || end - at == length;
        }
        if (!is_token &&
            improve(&places[at + length], score + unigram->unknown_score, length, unigram->unk_id))
            RETURN_ERROR_IF(
                unigram->unk_id < 0, err, STATUS_INPUT,
                "tokenizer: the text has a character that is no token, and the model has no unk_id");
    }
    return STATUS_OK;
}

// The ids of a stretch of unknown characters, backwards.
static enum status add_unknown(const struct unigram *unigram, const char *bytes, size_t size, struct ids *ids,
                               struct error *err)
{
    const int32_t found = vocabulary_find(unigram->vocabulary, bytes, size);
    bool has_bytes = unigram->byte_fallback && found < 0;

    for (size_t i = 0; i < size && has_bytes; i++)
        has_bytes = unigram->byte_ids[(unsigned char)bytes[i]] >= 0;
    if (!has_bytes) // several unknown characters may make a token that was too unlikely
        return ids_append(ids, found >= 0 ? &found : &unigram->unk_id, 1, err);
    for (size_t i = size; i-- > 0;)
        FORWARD_IF_ERROR(ids_append(ids, &unigram->byte_ids[(unsigned char)bytes[i]], 1, err));
    return STATUS_OK;
}

// Follows the best row from its end, and turns round what it gave.
static enum status collect(const struct unigram *unigram, const char *word, size_t size, struct ids *ids,
                           struct error *err)
{
    const size_t before = ids->count;

    for (size_t end = size; end > 0;) {
        const struct place *place = &unigram->places[end];
        size_t start = end - place->size;

        if (place->id != unigram->unk_id) {
            FORWARD_IF_ERROR(ids_append(ids, &place->id, 1, err));
        } else {
            while (start > 0 && unigram->places[start].id == unigram->unk_id)
                start -= unigram->places[start].size;
            FORWARD_IF_ERROR(add_unknown(unigram, word + start, end - start, ids, err));
        }
        end = start;
    }
    for (size_t low = before, high = ids->count; low + 1 < high; low++) {
        const int32_t kept = ids->items[low];
        ids->items[low] = ids->items[--high];
        ids->items[high] = kept;
    }
    return STATUS_OK;
}

enum status unigram_encode(struct unigram *unigram, const char *word, size_t size, struct ids *ids,
                           struct error *err)
{
    const bool may_cache = size > 0 && size <= WORD_CACHE_LONGEST;
    const size_t before = ids->count;
    const int32_t *known = NULL;
    size_t count = 0;
    uint64_t hash = 0;

    if (size == 0)
        return STATUS_OK;
    if (may_cache && word_cache_find(unigram->cache, word, size, &hash, &known, &count))
        return ids_append(ids, known, count, err);
    FORWARD_IF_ERROR(
        grow(&unigram->places, &unigram->capacity, size + 1, sizeof *unigram->places, "a word", err));
    FORWARD_IF_ERROR(find_best(unigram, word, size, err));
    FORWARD_IF_ERROR(collect(unigram, word, size, ids, err));
    if (may_cache)
        word_cache_add(unigram->cache, hash, word, size, ids->items + before, ids->count - before);
    return STATUS_OK;
}

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status read_scores(struct unigram *unigram, const json_t *vocab, struct error *err)
{
    const size_t count = json_array_size(vocab);
    double lowest = INFINITY;

    FORWARD_IF_ERROR(allocate(&unigram->scores, count, sizeof *unigram->scores, "a vocabulary", err));
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(vocab, i), *score = json_array_get(item, 1);
        RETURN_ERROR_IF(json_array_size(item) != 2 || !json_is_number(score), err, STATUS_INPUT,
                        "[%zu] must be a token and its score", i);
        unigram->scores[i] = json_number_value(score);
        lowest = fmin(lowest, unigram->scores[i]);
    }
    unigram->unknown_score = lowest - 10;
    return STATUS_OK;
}

static enum status read_trie(struct unigram *unigram, const json_t *vocab, struct error *err)
{
    const size_t count = json_array_size(vocab);
    struct trie_entry *entries;

    FORWARD_IF_ERROR(allocate(&entries, count, sizeof *entries, "a vocabulary", err));
    for (size_t i = 0; i < count; i++) {
        const json_t *token = json_array_get(json_array_get(vocab, i), 0);
        entries[i] = (struct trie_entry){{json_string_value(token), json_string_length(token)}, (int32_t)i};
    }
    const enum status status = trie_new(&unigram->trie, entries, count, err);
    free(entries);
    return status;
}

static enum status read_unknown(struct unigram *unigram, const json_t *value, struct error *err)
{
    const json_t *unk = json_object_get(value, "unk_id");

    unigram->unk_id = -1;
    if (unk != NULL && !json_is_null(unk)) {
        FORWARD_IF_ERROR(json_id(unk, "unk_id", &unigram->unk_id, err));
        RETURN_ERROR_IF((size_t)unigram->unk_id >= vocabulary_count(unigram->vocabulary), err, STATUS_INPUT,
                        "unk_id %d is not in the vocabulary of %zu tokens", unigram->unk_id,
                        vocabulary_count(unigram->vocabulary));
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char token[8];
        snprintf(token, sizeof token, "<0x%02X>", byte);
        unigram->byte_ids[byte] = vocabulary_find(unigram->vocabulary, token, strlen(token));
    }
    return json_optional_bool(value, "byte_fallback", &unigram->byte_fallback, err);
}

static enum status read_model(struct unigram *unigram, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "unk_id", "vocab", "byte_fallback", NULL};
    const json_t *vocab = json_object_get(value, "vocab");
    enum status status;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    status = vocabulary_from_list(&unigram->vocabulary, vocab, err);
    if (status == STATUS_OK)
        status = read_scores(unigram, vocab, err);
    if (status != STATUS_OK)
        return status == STATUS_INPUT ? error_prefix(err, "vocab") : status;
    FORWARD_IF_ERROR(read_trie(unigram, vocab, err));
    FORWARD_IF_ERROR(read_unknown(unigram, value, err));
    return word_cache_new(&unigram->cache, err);
}

enum status unigram_from_json(struct unigram **out, const json_t *value, struct error *err)
{
    struct unigram *unigram;

    FORWARD_IF_ERROR(allocate(&unigram, 1, sizeof *unigram, "a Unigram model", err));
    const enum status status = read_model(unigram, value, err);
    if (status != STATUS_OK)
        unigram_free(unigram);
    else
        *out = unigram;
    return status;
}

void unigram_free(struct unigram *unigram)
{
    if (unigram == NULL)
        return;
    vocabulary_free(unigram->vocabulary);
    trie_free(unigram->trie);
    word_cache_free(unigram->cache);
    free(unigram->scores);
    free(unigram->places);
    free(unigram);
}
