#include "io/tokenizer/model/word_piece.h"

#include "io/tokenizer/json.h"
#include "io/tokenizer/model/cache.h"
#include "io/tokenizer/model/trie.h"
#include <stdlib.h>
#include <string.h>

struct word_piece {
    struct vocabulary *vocabulary;
    struct trie *trie;
    struct word_cache *cache;
    uint32_t continuing; // the node of the prefix, TRIE_NOWHERE where no token has it
    int32_t unk_id;      // -1: unk_token is no token
    char *unk_token;
    uint64_t longest_word; // in characters
};

const struct vocabulary *word_piece_vocabulary(const struct word_piece *word_piece)
{
    return word_piece->vocabulary;
}

// ---- encoding
// ----------------------------------------------------------------------------------------------

static size_t count_characters(const char *bytes, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return count;
}

// Appends the tokens of a word; false where nothing fits, and some may have been appended.
static enum status add_tokens(bool *fits, const struct word_piece *word_piece, const char *word, size_t size,
                              struct ids *ids, struct error *err)
{
    size_t start = 0;

    while (start < size) {
        uint32_t node = start == 0 ? TRIE_ROOT : word_piece->continuing;
        int32_t id = -1;
        size_t end = start;

        for (size_t at = start; at < size && node != TRIE_NOWHERE;) {
            node = trie_step(word_piece->trie, node, (unsigned char)word[at++]);
            if (node == TRIE_NOWHERE || trie_value(word_piece->trie, node) < 0)
                continue;
            id = trie_value(word_piece->trie, node);
            end = at;
        }
        *fits = id >= 0;
        if (!*fits)
            return STATUS_OK;
        FORWARD_IF_ERROR(ids_append(ids, &id, 1, err));
        start = end;
    }
    return STATUS_OK;
}

enum status word_piece_encode(struct word_piece *word_piece, const char *word, size_t size, struct ids *ids,
                              struct error *err)
{
    const bool may_cache = size > 0 && size <= WORD_CACHE_LONGEST;
    const size_t before = ids->count;
    bool fits = count_characters(word, size) <= word_piece->longest_word;
    const int32_t *known = NULL;
    size_t count = 0;
    uint64_t hash = 0;

    if (may_cache && word_cache_find(word_piece->cache, word, size, &hash, &known, &count))
        return ids_append(ids, known, count, err);
    if (fits)
        FORWARD_IF_ERROR(add_tokens(&fits, word_piece, word, size, ids, err));
    if (!fits) {
        ids->count = before;
        RETURN_ERROR_IF(word_piece->unk_id < 0, err, STATUS_INPUT,
                        "tokenizer: the text has a word that tokens cannot write, and neither is the model's "
                        "unk_token \"%s\" a token",
                        word_piece->unk_token);
        FORWARD_IF_ERROR(ids_append(ids, &word_piece->unk_id, 1, err));
    }
    if (may_cache)
        word_cache_add(word_piece->cache, hash, word, size, ids->items + before, ids->count - before);
    return STATUS_OK;
}

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status read_trie(struct word_piece *word_piece, const json_t *vocab, struct error *err)
{
    struct trie_entry *entries;
    size_t count = 0;
    const char *token;
    json_t *id;

    FORWARD_IF_ERROR(allocate(&entries, json_object_size(vocab), sizeof *entries, "a vocabulary", err));
    json_object_foreach((json_t *)vocab, token, id)
    {
        entries[count++] = (struct trie_entry){{token, strlen(token)}, (int32_t)json_integer_value(id)};
    }
    const enum status status = trie_new(&word_piece->trie, entries, count, err);
    free(entries);
    return status;
}

static enum status read_unknown(struct word_piece *word_piece, const json_t *value, struct error *err)
{
    struct slice unk = {0};

    FORWARD_IF_ERROR(json_text_member(value, "unk_token", &unk, err));
    FORWARD_IF_ERROR(allocate(&word_piece->unk_token, unk.size + 1, 1, "a token", err));
    memcpy(word_piece->unk_token, unk.bytes, unk.size);
    word_piece->unk_id = vocabulary_find(word_piece->vocabulary, unk.bytes, unk.size);
    return STATUS_OK;
}

static enum status read_model(struct word_piece *word_piece, const json_t *value, struct error *err)
{
    static const char *const known[] = {
        "type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab", NULL};
    const json_t *vocab = json_object_get(value, "vocab");
    const json_t *longest = json_object_get(value, "max_input_chars_per_word");
    struct slice prefix = {0};

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    const enum status status = vocabulary_from_json(&word_piece->vocabulary, vocab, err);
    if (status != STATUS_OK)
        return status == STATUS_INPUT ? error_prefix(err, "vocab") : status;
    FORWARD_IF_ERROR(read_unknown(word_piece, value, err));
    FORWARD_IF_ERROR(json_text_member(value, "continuing_subword_prefix", &prefix, err));
    RETURN_ERROR_IF(!json_is_integer(longest) || json_integer_value(longest) < 0, err, STATUS_INPUT,
                    "\"max_input_chars_per_word\" must be a whole number");
    word_piece->longest_word = (uint64_t)json_integer_value(longest);
    FORWARD_IF_ERROR(read_trie(word_piece, vocab, err));
    word_piece->continuing = TRIE_ROOT;
    for (size_t i = 0; i < prefix.size && word_piece->continuing != TRIE_NOWHERE; i++)
        word_piece->continuing =
            trie_step(word_piece->trie, word_piece->continuing, (unsigned char)prefix.bytes[i]);
    return word_cache_new(&word_piece->cache, err);
}

enum status word_piece_from_json(struct word_piece **out, const json_t *value, struct error *err)
{
    struct word_piece *word_piece;

    FORWARD_IF_ERROR(allocate(&word_piece, 1, sizeof *word_piece, "a WordPiece model", err));
    const enum status status = read_model(word_piece, value, err);
    if (status != STATUS_OK)
        word_piece_free(word_piece);
    else
        *out = word_piece;
    return status;
}

void word_piece_free(struct word_piece *word_piece)
{
    if (word_piece == NULL)
        return;
    vocabulary_free(word_piece->vocabulary);
    trie_free(word_piece->trie);
    word_cache_free(word_piece->cache);
    free(word_piece->unk_token);
    free(word_piece);
}
