#include "io/tokenizer/added.h"

#include "io/tokenizer/json.h"
#include "io/tokenizer/unicode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct added_token {
    struct text content; // as it is looked for
    int32_t id;
    bool single_word;
    bool lstrip;
    bool rstrip;
};

// The tokens of one kind as a tree of bytes. Node 0 is the root.
struct node {
    uint32_t child;   // first child, 0 for none
    uint32_t sibling; // next child of the same parent, 0 for none
    uint32_t token;   // index + 1 of the token that ends here, 0 for none
    unsigned char byte;
};

struct tree {
    struct node *nodes;
    size_t count;
    size_t capacity;
    uint32_t first[256]; // the children of the root, 0 for none
};

struct added_tokens {
    struct added_token *tokens;
    size_t count;
    size_t capacity;
    size_t bound;
    struct tree trees[2]; // [normalized]
};

// ---- the tree
// ----------------------------------------------------------------------------------------------

static uint32_t child_of(const struct tree *tree, uint32_t parent, unsigned char byte)
{
    uint32_t node;

    if (parent == 0)
        return tree->first[byte];
    node = tree->nodes[parent].child;
    while (node != 0 && tree->nodes[node].byte != byte)
        node = tree->nodes[node].sibling;
    return node;
}

static enum status tree_add(struct tree *tree, struct slice content, uint32_t token, bool *is_new,
                            struct error *err)
{
    uint32_t at = 0;

    if (tree->count == 0) {
        FORWARD_IF_ERROR(grow(&tree->nodes, &tree->capacity, 1, sizeof *tree->nodes, "added tokens", err));
        tree->nodes[tree->count++] = (struct node){0};
    }
    for (size_t i = 0; i < content.size; i++) {
        const unsigned char byte = (unsigned char)content.bytes[i];
        uint32_t next = child_of(tree, at, byte);
        if (next == 0) {
            RETURN_ERROR_IF(tree->count >= UINT32_MAX, err, STATUS_INPUT, "too many added tokens");
            FORWARD_IF_ERROR(grow(&tree->nodes, &tree->capacity, tree->count + 1, sizeof *tree->nodes,
                                  "added tokens", err));
            next = (uint32_t)tree->count++;
            tree->nodes[next] = (struct node){.byte = byte, .sibling = tree->nodes[at].child};
            tree->nodes[at].child = next;
            if (at == 0)
                tree->first[byte] = next;
        }
        at = next;
    }
    *is_new = tree->nodes[at].token == 0;
    tree->nodes[at].token = token + 1;
    return STATUS_OK;
}

// The longest token that begins at `at`: index + 1, 0 for none; *end is where it ends.
static uint32_t tree_match(const struct tree *tree, struct slice text, size_t at, size_t *end)
{
    uint32_t node = 0;
    uint32_t token = 0;

    while (at < text.size) {
        node = child_of(tree, node, (unsigned char)text.bytes[at]);
        if (node == 0)
            break;
        at++;
        if (tree->nodes[node].token != 0) {
            token = tree->nodes[node].token;
            *end = at;
        }
    }
    return token;
}

// ---- searching
// ---------------------------------------------------------------------------------------------

static bool word_before(struct slice text, size_t at)
{
    size_t size;
    return at > 0 && unicode_is_word(utf8_decode(text.bytes + utf8_previous(text.bytes, at), &size));
}

static bool word_after(struct slice text, size_t at)
{
    size_t size;
    return at < text.size && unicode_is_word(utf8_decode(text.bytes + at, &size));
}

// Takes in the whitespace around a token that asks for it, on the left not beyond what is already done.
static void widen(const struct added_token *token, struct slice text, size_t done, size_t *start, size_t *end)
{
    size_t size;

    if (token->lstrip && *start < done)
        *start = done;
    while (token->lstrip && *start > done) {
        const size_t previous = utf8_previous(text.bytes, *start);
        if (!unicode_is_whitespace(utf8_decode(text.bytes + previous, &size)))
            break;
        *start = previous;
    }
    while (token->rstrip && *end < text.size && unicode_is_whitespace(utf8_decode(text.bytes + *end, &size)))
        *end += size;
}

bool added_tokens_next(const struct added_tokens *added, bool normalized, struct slice text,
                       struct added_search *search, struct added_stretch *stretch)
{
    const struct tree *tree = &added->trees[normalized];

    if (search->waiting) {
        search->waiting = false;
        search->done = search->next.end;
        *stretch = search->next;
        return true;
    }
    if (tree->count == 0)
        search->position = text.size;
    while (search->position < text.size) {
        size_t start = search->position;
        size_t end = 0;
        const uint32_t found = tree_match(tree, text, start, &end);
        const struct added_token *token;

        if (found == 0) {
            search->position++;
            continue;
        }
        search->position = end;
        token = &added->tokens[found - 1];
        if (token->single_word && (word_before(text, start) || word_after(text, end)))
            continue;
        // The search goes on after the token itself, not after the whitespace that it took in: the next
        // token can lie in what is done already, and counts if something of it is left. So it is in
        // `tokenizers`.
        widen(token, text, search->done, &start, &end);
        if (start >= end) {
            search->done = end;
            continue;
        }
        search->next = (struct added_stretch){.start = start, .end = end, .id = token->id};
        if (search->done < start) {
            search->waiting = true;
            *stretch = (struct added_stretch){.start = search->done, .end = start, .id = -1};
            return true;
        }
        search->done = end;
        *stretch = search->next;
        return true;
    }
    if (search->ended || search->done >= text.size)
        return false;
    search->ended = true;
    *stretch = (struct added_stretch){.start = search->done, .end = text.size, .id = -1};
    return true;
}

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status read_token(struct added_tokens *added, const json_t *value,
                              const struct vocabulary *vocabulary, const struct normalizer *normalizer,
                              size_t *next_id, struct error *err)
{
    static const char *const known[] = {"id",     "content",    "single_word", "lstrip",
                                        "rstrip", "normalized", "special",     NULL};
    struct slice content = {0};
    struct text scratch = {0};
    struct added_token *token;
    char what[128];
    bool normalized = false;
    bool special = false;
    bool is_new = true;
    struct slice taken = {0};
    int32_t expected;
    enum status status;

    FORWARD_IF_ERROR(json_only_members(value, known, err));
    FORWARD_IF_ERROR(json_text_member(value, "content", &content, err));
    RETURN_ERROR_IF(content.size == 0, err, STATUS_INPUT, "\"content\" is empty");
    FORWARD_IF_ERROR(
        grow(&added->tokens, &added->capacity, added->count + 1, sizeof *added->tokens, "added tokens", err));
    token = &added->tokens[added->count++];
    *token = (struct added_token){0};
    snprintf(what, sizeof what, "\"%s\"", content.bytes);
    FORWARD_IF_ERROR(json_id(json_object_get(value, "id"), what, &token->id, err));
    FORWARD_IF_ERROR(json_bool_member(value, "single_word", &token->single_word, err));
    FORWARD_IF_ERROR(json_bool_member(value, "lstrip", &token->lstrip, err));
    FORWARD_IF_ERROR(json_bool_member(value, "rstrip", &token->rstrip, err));
    FORWARD_IF_ERROR(json_bool_member(value, "normalized", &normalized, err));
    FORWARD_IF_ERROR(json_bool_member(value, "special", &special, err)); // matters for decoding alone

    FORWARD_IF_ERROR(text_append(&token->content, content.bytes, content.size, err));
    if (normalized) {
        token->content.limit = scratch.limit = text_limit(content.size);
        status = normalizer_apply(normalizer, &token->content, &scratch, err);
        text_free(&scratch);
        FORWARD_IF_ERROR(status);
        RETURN_ERROR_IF(token->content.size == 0, err, STATUS_INPUT, "%s is empty once normalised", what);
    }
    FORWARD_IF_ERROR(tree_add(&added->trees[normalized],
                              (struct slice){token->content.bytes, token->content.size},
                              (uint32_t)(added->count - 1), &is_new, err));
    RETURN_ERROR_IF(!is_new, err, STATUS_INPUT, "%s is there twice%s", what,
                    normalized ? " once normalised" : "");
    expected = vocabulary_find(vocabulary, content.bytes, content.size);
    if (expected < 0)
        expected = (int32_t)(*next_id)++; // at most one for each object of a JSON array: it fits
    RETURN_ERROR_IF(expected != token->id, err, STATUS_INPUT,
                    "%s has the id %d here, but its place in the vocabulary is %d", what, token->id,
                    expected);
    RETURN_ERROR_IF(vocabulary_find(vocabulary, content.bytes, content.size) < 0 &&
                        vocabulary_token(vocabulary, token->id, &taken),
                    err, STATUS_INPUT, "%s has the id %d, which is that of \"%.*s\" in the vocabulary", what,
                    token->id, (int)(taken.size < 200 ? taken.size : 200), taken.bytes);
    if ((size_t)token->id >= added->bound)
        added->bound = (size_t)token->id + 1;
    return STATUS_OK;
}

enum status added_tokens_from_json(struct added_tokens **out, const json_t *value,
                                   const struct vocabulary *vocabulary, const struct normalizer *normalizer,
                                   struct error *err)
{
    struct added_tokens *added;
    size_t next_id = vocabulary_count(vocabulary);

    RETURN_ERROR_IF(value != NULL && !json_is_array(value), err, STATUS_INPUT, "must be an array");
    FORWARD_IF_ERROR(allocate(&added, 1, sizeof *added, "added tokens", err));
    for (size_t i = 0; i < json_array_size(value); i++)
        if (read_token(added, json_array_get(value, i), vocabulary, normalizer, &next_id, err) != STATUS_OK) {
            added_tokens_free(added);
            return error_prefix(err, "[%zu]", i);
        }
    *out = added;
    return STATUS_OK;
}

void added_tokens_free(struct added_tokens *added)
{
    if (added == NULL)
        return;
    for (size_t i = 0; i < added->count; i++)
        text_free(&added->tokens[i].content);
    free(added->tokens);
    free(added->trees[0].nodes);
    free(added->trees[1].nodes);
    free(added);
}

size_t added_tokens_bound(const struct added_tokens *added)
{
    return added->bound;
}
