#include "io/tokenizer/model/vocabulary.h"

#include "io/tokenizer/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PAGE = 256, PAGES = 0x110000 / PAGE };

struct token {
    const char *bytes; // in `bytes` of the vocabulary
    size_t size;
    int32_t id;
};

struct vocabulary {
    struct token *tokens;
    size_t count;
    size_t bound;
    struct text bytes;
    uint32_t *slots; // index of a token + 1; open addressing
    size_t slot_mask;
    int32_t *pages[PAGES]; // ids of single characters
};

static size_t slot_of(const struct vocabulary *vocabulary, const char *bytes, size_t size)
{
    return (size_t)XXH3_64bits(bytes, size) & vocabulary->slot_mask;
}

static bool is_token(const struct token *token, const char *bytes, size_t size)
{
    return token->size == size && (size == 0 || memcmp(token->bytes, bytes, size) == 0);
}

int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t size)
{
    for (size_t slot = slot_of(vocabulary, bytes, size); vocabulary->slots[slot] != 0;
         slot = (slot + 1) & vocabulary->slot_mask) {
        const struct token *token = &vocabulary->tokens[vocabulary->slots[slot] - 1];
        if (is_token(token, bytes, size))
            return token->id;
    }
    return -1;
}

int32_t vocabulary_find_character(const struct vocabulary *vocabulary, uint32_t code_point)
{
    const int32_t *page = vocabulary->pages[code_point / PAGE];
    return page != NULL ? page[code_point % PAGE] : -1;
}

size_t vocabulary_count(const struct vocabulary *vocabulary)
{
    return vocabulary->count;
}

size_t vocabulary_bound(const struct vocabulary *vocabulary)
{
    return vocabulary->bound;
}

bool vocabulary_token(const struct vocabulary *vocabulary, int32_t id, struct slice *token)
{
    size_t low = 0;
    size_t high = vocabulary->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (vocabulary->tokens[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == vocabulary->count || vocabulary->tokens[low].id != id)
        return false;
    *token = (struct slice){vocabulary->tokens[low].bytes, vocabulary->tokens[low].size};
    return true;
}

void vocabulary_free(struct vocabulary *vocabulary)
{
    if (vocabulary == NULL)
        return;
    for (size_t i = 0; i < PAGES; i++)
        free(vocabulary->pages[i]);
    free(vocabulary->slots);
    text_free(&vocabulary->bytes);
    free(vocabulary->tokens);
    free(vocabulary);
}

static int by_id(const void *one, const void *other)
{
    const struct token *a = one;
    const struct token *b = other;
    return (a->id > b->id) - (a->id < b->id);
}

static enum status add_token(struct vocabulary *vocabulary, struct slice token, int32_t id, struct error *err)
{
    FORWARD_IF_ERROR(text_append(&vocabulary->bytes, token.bytes, token.size, err));
    vocabulary->tokens[vocabulary->count++] = (struct token){.size = token.size, .id = id};
    return STATUS_OK;
}

static enum status begin_tokens(struct vocabulary *vocabulary, size_t count, struct error *err)
{
    RETURN_ERROR_IF(count >= INT32_MAX, err, STATUS_INPUT, "%zu tokens are too many", count);
    FORWARD_IF_ERROR(text_reserve(&vocabulary->bytes, 1, err)); // the bytes of no token are somewhere, too
    return allocate(&vocabulary->tokens, count, sizeof *vocabulary->tokens, "a vocabulary", err);
}

// Once all bytes are there and stay where they are.
static void place_bytes(struct vocabulary *vocabulary)
{
    size_t at = 0;
    for (size_t i = 0; i < vocabulary->count; i++) {
        vocabulary->tokens[i].bytes = vocabulary->bytes.bytes + at;
        at += vocabulary->tokens[i].size;
    }
}

// Copies the tokens out of the JSON tree, ordered by id.
static enum status copy_tokens(struct vocabulary *vocabulary, json_t *value, struct error *err)
{
    const char *key;
    json_t *member;

    FORWARD_IF_ERROR(begin_tokens(vocabulary, json_object_size(value), err));
    json_object_foreach(value, key, member)
    {
        char what[128];
        int32_t id = 0;
        snprintf(what, sizeof what, "\"%s\"", key);
        FORWARD_IF_ERROR(json_id(member, what, &id, err));
        FORWARD_IF_ERROR(add_token(vocabulary, (struct slice){key, strlen(key)}, id, err));
    }
    place_bytes(vocabulary);
    qsort(vocabulary->tokens, vocabulary->count, sizeof *vocabulary->tokens, by_id);
    for (size_t i = 1; i < vocabulary->count; i++) {
        const struct token *one = &vocabulary->tokens[i - 1];
        const struct token *other = &vocabulary->tokens[i];
        RETURN_ERROR_IF(one->id == other->id, err, STATUS_INPUT, "\"%.*s\" and \"%.*s\" have the same id %d",
                        (int)(one->size < 200 ? one->size : 200), one->bytes,
                        (int)(other->size < 200 ? other->size : 200), other->bytes, one->id);
    }
    if (vocabulary->count > 0)
        vocabulary->bound = (size_t)vocabulary->tokens[vocabulary->count - 1].id + 1;
    return STATUS_OK;
}

static enum status copy_list(struct vocabulary *vocabulary, const json_t *value, struct error *err)
{
    FORWARD_IF_ERROR(begin_tokens(vocabulary, json_array_size(value), err));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *token = json_array_get(json_array_get(value, i), 0);
        RETURN_ERROR_IF(!json_is_string(token), err, STATUS_INPUT, "[%zu] must begin with a token", i);
        FORWARD_IF_ERROR(add_token(vocabulary,
                                   (struct slice){json_string_value(token), json_string_length(token)},
                                   (int32_t)i, err));
    }
    place_bytes(vocabulary);
    vocabulary->bound = vocabulary->count;
    return STATUS_OK;
}

static enum status index_tokens(struct vocabulary *vocabulary, struct error *err)
{
    size_t slots = 16;

    while (slots < 2 * vocabulary->count)
        slots *= 2;
    FORWARD_IF_ERROR(allocate(&vocabulary->slots, slots, sizeof *vocabulary->slots, "a vocabulary", err));
    vocabulary->slot_mask = slots - 1;
    for (size_t i = 0; i < vocabulary->count; i++) {
        const struct token *token = &vocabulary->tokens[i];
        size_t slot = slot_of(vocabulary, token->bytes, token->size);
        size_t character_size = 0;
        uint32_t character;

        while (vocabulary->slots[slot] != 0 &&
               !is_token(&vocabulary->tokens[vocabulary->slots[slot] - 1], token->bytes, token->size))
            slot = (slot + 1) & vocabulary->slot_mask;
        vocabulary->slots[slot] = (uint32_t)(i + 1);
        if (token->size == 0 || token->size > 4)
            continue;
        character = utf8_decode(token->bytes, &character_size);
        if (character_size != token->size)
            continue;
        if (vocabulary->pages[character / PAGE] == NULL) {
            FORWARD_IF_ERROR(
                allocate(&vocabulary->pages[character / PAGE], PAGE, sizeof(int32_t), "a vocabulary", err));
            for (size_t k = 0; k < PAGE; k++)
                vocabulary->pages[character / PAGE][k] = -1;
        }
        vocabulary->pages[character / PAGE][character % PAGE] = token->id;
    }
    return STATUS_OK;
}

enum status vocabulary_from_json(struct vocabulary **out, const json_t *value, struct error *err)
{
    struct vocabulary *vocabulary;
    enum status status;

    RETURN_ERROR_IF(!json_is_object(value), err, STATUS_INPUT, "must be an object of tokens and their ids");
    FORWARD_IF_ERROR(allocate(&vocabulary, 1, sizeof *vocabulary, "a vocabulary", err));
    GOTO_IF_ERROR(copy_tokens(vocabulary, (json_t *)value, err), failed);
    GOTO_IF_ERROR(index_tokens(vocabulary, err), failed);
    *out = vocabulary;
    return STATUS_OK;
failed:
    vocabulary_free(vocabulary);
    return status;
}

enum status vocabulary_from_list(struct vocabulary **out, const json_t *value, struct error *err)
{
    struct vocabulary *vocabulary;
    enum status status;

    RETURN_ERROR_IF(!json_is_array(value), err, STATUS_INPUT, "must be an array of tokens and their scores");
    FORWARD_IF_ERROR(allocate(&vocabulary, 1, sizeof *vocabulary, "a vocabulary", err));
    GOTO_IF_ERROR(copy_list(vocabulary, value, err), failed);
    GOTO_IF_ERROR(index_tokens(vocabulary, err), failed);
    *out = vocabulary;
    return STATUS_OK;
failed:
    vocabulary_free(vocabulary);
    return status;
}
