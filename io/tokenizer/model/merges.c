#include "io/tokenizer/model/merges.h"

#include "io/tokenizer/json.h"
#include <stdlib.h>
#include <string.h>

struct merge {
    uint64_t pair; // left id << 32 | right id; UINT64_MAX for a free slot
    uint32_t rank;
};

struct ranked {
    int32_t left;
    int32_t right;
    int32_t id; // what the pair becomes
};

struct merges {
    struct merge *slots; // open addressing
    size_t slot_mask;
    struct ranked *ranks;
    size_t rank_count;
    uint64_t *joins; // left character << 32 | right character; UINT64_MAX for a free slot
    size_t join_mask;
};

static size_t hash_pair(uint64_t pair)
{
    pair *= UINT64_C(0x9e3779b97f4a7c15); // 2^64 / golden ratio: Fibonacci hashing
    return (size_t)(pair ^ pair >> 32);
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static struct merge *find(const struct merges *merges, uint64_t pair)
{
    size_t slot = hash_pair(pair) & merges->slot_mask;
    while (merges->slots[slot].pair != pair && merges->slots[slot].pair != UINT64_MAX)
        slot = (slot + 1) & merges->slot_mask;
    return &merges->slots[slot];
}

static const struct merge *find_merge(const struct merges *merges, int32_t left, int32_t right)
{
    const struct merge *merge = find(merges, pair_of((uint32_t)left, (uint32_t)right));
    return merge->pair != UINT64_MAX ? merge : NULL;
}

static uint64_t *find_join(const struct merges *merges, uint64_t pair)
{
    size_t slot = hash_pair(pair) & merges->join_mask;
    while (merges->joins[slot] != pair && merges->joins[slot] != UINT64_MAX)
        slot = (slot + 1) & merges->join_mask;
    return &merges->joins[slot];
}

bool merges_may_join(const struct merges *merges, uint32_t left, uint32_t right)
{
    return *find_join(merges, pair_of(left, right)) != UINT64_MAX;
}

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status token_id(const struct vocabulary *vocabulary, const char *bytes, size_t size, int32_t *id,
                            struct error *err)
{
    *id = vocabulary_find(vocabulary, bytes, size);
    RETURN_ERROR_IF(*id < 0, err, STATUS_INPUT, "\"%.*s\" is not in the vocabulary",
                    (int)(size < 200 ? size : 200), bytes);
    return STATUS_OK;
}

static enum status both_sides(const json_t *value, struct slice *left, struct slice *right, struct error *err)
{
    const json_t *first = json_array_get(value, 0);
    const json_t *second = json_array_get(value, 1);

    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        const size_t size = json_string_length(value);
        const char *space = memchr(text, ' ', size);
        const bool one = space != NULL && memchr(space + 1, ' ', size - (size_t)(space + 1 - text)) == NULL;
        RETURN_ERROR_IF(!one, err, STATUS_INPUT, "\"%.200s\" must be two tokens with one space between",
                        text);
        *left = (struct slice){text, (size_t)(space - text)};
        *right = (struct slice){space + 1, size - left->size - 1};
        return STATUS_OK;
    }
    RETURN_ERROR_IF(!json_is_array(value) || json_array_size(value) != 2 || !json_is_string(first) ||
                        !json_is_string(second),
                    err, STATUS_INPUT, "must be a string or a pair of strings");
    *left = (struct slice){json_string_value(first), json_string_length(first)};
    *right = (struct slice){json_string_value(second), json_string_length(second)};
    return STATUS_OK;
}

static enum status add_merge(struct merges *merges, const json_t *value, uint32_t rank,
                             const struct vocabulary *vocabulary, struct text *joined, struct error *err)
{
    struct slice left = {0};
    struct slice right = {0};
    struct merge merge = {.rank = rank};
    struct ranked *ranked = &merges->ranks[rank];
    size_t size;
    uint64_t pair;

    FORWARD_IF_ERROR(both_sides(value, &left, &right, err));
    RETURN_ERROR_IF(left.size == 0 || right.size == 0, err, STATUS_INPUT, "one side is empty");
    FORWARD_IF_ERROR(token_id(vocabulary, left.bytes, left.size, &ranked->left, err));
    FORWARD_IF_ERROR(token_id(vocabulary, right.bytes, right.size, &ranked->right, err));
    joined->size = 0;
    FORWARD_IF_ERROR(text_append(joined, left.bytes, left.size, err));
    FORWARD_IF_ERROR(text_append(joined, right.bytes, right.size, err));
    FORWARD_IF_ERROR(token_id(vocabulary, joined->bytes, joined->size, &ranked->id, err));
    merge.pair = pair_of((uint32_t)ranked->left, (uint32_t)ranked->right);
    *find(merges, merge.pair) = merge; // of two merges of one pair the last counts, as in `tokenizers`
    pair = pair_of(utf8_decode(left.bytes + utf8_previous(left.bytes, left.size), &size),
                   utf8_decode(right.bytes, &size));
    *find_join(merges, pair) = pair;
    return STATUS_OK;
}

enum status merges_from_json(struct merges **out, const json_t *value, const struct vocabulary *vocabulary,
                             struct error *err)
{
    const size_t count = json_array_size(value);
    struct merges *merges;
    struct text joined = {0};
    enum status status;
    size_t slots = 16;
    uint32_t rank = 0;

    RETURN_ERROR_IF(!json_is_array(value), err, STATUS_INPUT, "must be an array");
    RETURN_ERROR_IF(count >= INT32_MAX, err, STATUS_INPUT, "%zu merges are too many", count);
    while (slots < 2 * count)
        slots *= 2;
    FORWARD_IF_ERROR(allocate(&merges, 1, sizeof *merges, "merges", err));
    GOTO_IF_ERROR(allocate(&merges->slots, slots, sizeof *merges->slots, "merges", err), failed);
    GOTO_IF_ERROR(allocate(&merges->ranks, count, sizeof *merges->ranks, "merges", err), failed);
    GOTO_IF_ERROR(allocate(&merges->joins, slots, sizeof *merges->joins, "merges", err), failed);
    merges->slot_mask = slots - 1;
    merges->join_mask = slots - 1;
    for (size_t i = 0; i < slots; i++) {
        merges->slots[i].pair = UINT64_MAX;
        merges->joins[i] = UINT64_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *member = json_array_get(value, i);
        const char *text = json_string_value(member);
        if (text != NULL && strncmp(text, "#version", 8) == 0) // the first line of a merges.txt
            continue;
        status = add_merge(merges, member, rank++, vocabulary, &joined, err);
        if (status != STATUS_OK) {
            if (status == STATUS_INPUT)
                error_prefix(err, "[%zu]", i);
            goto failed;
        }
    }
    merges->rank_count = rank;
    text_free(&joined);
    *out = merges;
    return STATUS_OK;
failed:
    text_free(&joined);
    merges_free(merges);
    return status;
}

void merges_free(struct merges *merges)
{
    if (merges == NULL)
        return;
    free(merges->slots);
    free(merges->ranks);
    free(merges->joins);
    free(merges);
}

// ---- merging
// -----------------------------------------------------------------------------------------------

static enum status queue_pair(const struct merges *merges, struct merge_work *work, uint32_t left,
                              uint32_t right, struct error *err)
{
    const struct merge *merge = find_merge(merges, work->symbols[left], work->symbols[right]);
    return merge != NULL ? merge_queue_push(&work->queue, merge->rank, left, err) : STATUS_OK;
}

// Links the symbols and queues every pair that has a merge.
static enum status prepare(const struct merges *merges, struct merge_work *work, struct error *err)
{
    const size_t count = work->count;

    RETURN_ERROR_IF(count >= MERGE_NONE, err, STATUS_INPUT, "a word of %zu characters is too long", count);
    FORWARD_IF_ERROR(grow(&work->next, &work->next_capacity, count, sizeof *work->next, "merging", err));
    FORWARD_IF_ERROR(
        grow(&work->previous, &work->previous_capacity, count, sizeof *work->previous, "merging", err));
    FORWARD_IF_ERROR(merge_queue_begin(&work->queue, merges->rank_count, err));
    for (uint32_t i = 0; i < count; i++) {
        work->previous[i] = i > 0 ? i - 1 : MERGE_NONE;
        work->next[i] = i + 1 < count ? i + 1 : MERGE_NONE;
        if (i + 1 < count)
            FORWARD_IF_ERROR(queue_pair(merges, work, i, i + 1, err));
    }
    return STATUS_OK;
}

enum status merges_apply(const struct merges *merges, struct merge_work *work, struct error *err)
{
    const int32_t merged_away = -1;
    size_t kept = 0;
    uint32_t rank;
    uint32_t left;

    if (work->count < 2)
        return STATUS_OK;
    FORWARD_IF_ERROR(prepare(merges, work, err));
    while (merge_queue_pop(&work->queue, &rank, &left)) {
        const struct ranked *merge = &merges->ranks[rank];
        const uint32_t right = work->next[left];

        // The symbols may have changed since this was queued.
        if (work->symbols[left] != merge->left || right == MERGE_NONE || work->symbols[right] != merge->right)
            continue;
        work->symbols[left] = merge->id;
        work->symbols[right] = merged_away;
        work->next[left] = work->next[right];
        if (work->next[left] != MERGE_NONE)
            work->previous[work->next[left]] = left;
        if (work->previous[left] != MERGE_NONE)
            FORWARD_IF_ERROR(queue_pair(merges, work, work->previous[left], left, err));
        if (work->next[left] != MERGE_NONE)
            FORWARD_IF_ERROR(queue_pair(merges, work, left, work->next[left], err));
    }
    for (size_t i = 0; i < work->count; i++)
        if (work->symbols[i] != merged_away)
            work->symbols[kept++] = work->symbols[i];
    work->count = kept;
    return STATUS_OK;
}

void merge_work_free(struct merge_work *work)
{
    free(work->symbols);
    free(work->next);
    free(work->previous);
    merge_queue_free(&work->queue);
}
