#include "io/tokenizer/model/trie.h"

#include <stdlib.h>
#include <string.h>

struct node {
    uint32_t first; // the children lie side by side, in the order of their bytes
    uint32_t count;
    int32_t value;
};

struct trie {
    struct node *nodes;
    unsigned char *bytes; // of each node: the byte that leads to it
    uint32_t first[256];  // the children of the root
    size_t count;
    size_t node_capacity;
    size_t byte_capacity;
};

// While it is built: the entries that go through a node.
struct share {
    size_t begin;
    size_t end;
    size_t depth;
};

static int by_string(const void *one, const void *other)
{
    const struct trie_entry *a = one, *b = other;
    const size_t size = a->string.size < b->string.size ? a->string.size : b->string.size;
    const int order = size > 0 ? memcmp(a->string.bytes, b->string.bytes, size) : 0;

    if (order != 0)
        return order;
    if (a->string.size != b->string.size)
        return a->string.size < b->string.size ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

static enum status add_node(struct trie *trie, unsigned char byte, struct error *err)
{
    RETURN_ERROR_IF(trie->count >= TRIE_NOWHERE, err, STATUS_INPUT, "too many tokens");
    FORWARD_IF_ERROR(grow(&trie->nodes, &trie->node_capacity, trie->count + 1, sizeof *trie->nodes,
                          "a tree of tokens", err));
    FORWARD_IF_ERROR(grow(&trie->bytes, &trie->byte_capacity, trie->count + 1, 1, "a tree of tokens", err));
    trie->nodes[trie->count] = (struct node){.value = -1};
    trie->bytes[trie->count++] = byte;
    return STATUS_OK;
}

// Breadth first: a node's children are added together. shares grows with the nodes and has theirs.
static enum status build(struct trie *trie, const struct trie_entry *entries, size_t count,
                         struct share **shares, struct error *err)
{
    size_t capacity = 0;

    FORWARD_IF_ERROR(add_node(trie, 0, err));
    FORWARD_IF_ERROR(grow(shares, &capacity, 1, sizeof **shares, "a tree of tokens", err));
    (*shares)[0] = (struct share){0, count, 0};
    for (size_t node = 0; node < trie->count; node++) {
        const struct share share = (*shares)[node];
        size_t at = share.begin;

        for (; at < share.end && entries[at].string.size == share.depth; at++)
            if (share.depth > 0)
                trie->nodes[node].value = entries[at].value;
        trie->nodes[node].first = (uint32_t)trie->count;
        while (at < share.end) {
            const unsigned char byte = (unsigned char)entries[at].string.bytes[share.depth];
            size_t end = at;
            while (end < share.end && (unsigned char)entries[end].string.bytes[share.depth] == byte)
                end++;
            FORWARD_IF_ERROR(
                grow(shares, &capacity, trie->count + 1, sizeof **shares, "a tree of tokens", err));
            (*shares)[trie->count] = (struct share){at, end, share.depth + 1};
            if (node == TRIE_ROOT)
                trie->first[byte] = (uint32_t)trie->count;
            FORWARD_IF_ERROR(add_node(trie, byte, err));
            trie->nodes[node].count++;
            at = end;
        }
    }
    return STATUS_OK;
}

enum status trie_new(struct trie **out, struct trie_entry *entries, size_t count, struct error *err)
{
    struct share *shares = NULL;
    struct trie *trie;

    FORWARD_IF_ERROR(allocate(&trie, 1, sizeof *trie, "a tree of tokens", err));
    if (count > 0)
        qsort(entries, count, sizeof *entries, by_string);
    const enum status status = build(trie, entries, count, &shares, err);
    free(shares);
    if (status != STATUS_OK)
        trie_free(trie);
    else
        *out = trie;
    return status;
}

void trie_free(struct trie *trie)
{
    if (trie == NULL)
        return;
    free(trie->nodes);
    free(trie->bytes);
    free(trie);
}

uint32_t trie_step(const struct trie *trie, uint32_t node, unsigned char byte)
{
    if (node == TRIE_ROOT)
        return trie->first[byte] != 0 ? trie->first[byte] : TRIE_NOWHERE;
    const struct node *parent = &trie->nodes[node];
    const unsigned char *children = trie->bytes + parent->first;
    const unsigned char *found = parent->count > 0 ? memchr(children, byte, parent->count) : NULL;
    return found != NULL ? parent->first + (uint32_t)(found - children) : TRIE_NOWHERE;
}

int32_t trie_value(const struct trie *trie, uint32_t node)
{
    return trie->nodes[node].value;
}
