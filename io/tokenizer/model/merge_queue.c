#include "io/tokenizer/model/merge_queue.h"

#include "io/tokenizer/text.h"
#include <stdlib.h>

// ---- a heap, the smallest at its top
// -----------------------------------------------------------------------

static bool before(struct merge_candidate one, struct merge_candidate other)
{
    return one.rank != other.rank ? one.rank < other.rank : one.position < other.position;
}

static enum status heap_push(struct merge_candidate **heap, size_t *count, size_t *capacity,
                             struct merge_candidate candidate, struct error *err)
{
    size_t at = *count;

    if (*count == *capacity)
        FORWARD_IF_ERROR(grow(heap, capacity, *count + 1, sizeof **heap, "merging", err));
    (*count)++;
    for (; at > 0 && before(candidate, (*heap)[(at - 1) / 2]); at = (at - 1) / 2)
        (*heap)[at] = (*heap)[(at - 1) / 2];
    (*heap)[at] = candidate;
    return STATUS_OK;
}

static void heap_pop(struct merge_candidate *heap, size_t *count)
{
    const struct merge_candidate moving = heap[--*count];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= *count)
            break;
        if (child + 1 < *count && before(heap[child + 1], heap[child]))
            child++;
        if (!before(heap[child], moving))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

// ---- the queue
// ---------------------------------------------------------------------------------------------

enum status merge_queue_begin(struct merge_queue *queue, size_t rank_count, struct error *err)
{
    if (queue->lists == NULL) {
        FORWARD_IF_ERROR(allocate(&queue->lists, rank_count, sizeof *queue->lists, "merging", err));
        queue->list_count = rank_count;
        for (size_t i = 0; i < rank_count; i++)
            queue->lists[i].first = MERGE_NONE;
    }
    // A word that ended in an error leaves candidates behind.
    for (size_t i = 0; i < queue->rank_count; i++)
        queue->lists[queue->ranks[i].rank].first = MERGE_NONE;
    queue->rank_count = 0;
    queue->other_count = 0;
    queue->node_count = 0;
    queue->free_node = MERGE_NONE;
    return STATUS_OK;
}

static enum status new_node(struct merge_queue *queue, uint32_t position, uint32_t *index, struct error *err)
{
    if (queue->free_node != MERGE_NONE) {
        *index = queue->free_node;
        queue->free_node = queue->nodes[*index].next;
    } else {
        RETURN_ERROR_IF(queue->node_count >= MERGE_NONE, err, STATUS_INPUT,
                        "a word is too long to be merged");
        if (queue->node_count == queue->node_capacity)
            FORWARD_IF_ERROR(grow(&queue->nodes, &queue->node_capacity, queue->node_count + 1,
                                  sizeof *queue->nodes, "merging", err));
        *index = (uint32_t)queue->node_count++;
    }
    queue->nodes[*index] = (struct merge_node){.position = position, .next = MERGE_NONE};
    return STATUS_OK;
}

enum status merge_queue_push(struct merge_queue *queue, uint32_t rank, uint32_t position, struct error *err)
{
    const struct merge_candidate candidate = {.rank = rank, .position = position};
    struct merge_list *list = &queue->lists[rank];
    uint32_t node = MERGE_NONE;

    if (list->first == MERGE_NONE) {
        FORWARD_IF_ERROR(heap_push(&queue->ranks, &queue->rank_count, &queue->rank_capacity, candidate, err));
        FORWARD_IF_ERROR(new_node(queue, position, &node, err));
        list->first = node;
        list->last = node;
        return STATUS_OK;
    }
    if (position < queue->nodes[list->last].position)
        return heap_push(&queue->others, &queue->other_count, &queue->other_capacity, candidate, err);
    FORWARD_IF_ERROR(new_node(queue, position, &node, err));
    queue->nodes[list->last].next = node;
    list->last = node;
    return STATUS_OK;
}

bool merge_queue_pop(struct merge_queue *queue, uint32_t *rank, uint32_t *position)
{
    struct merge_candidate listed = {.rank = UINT32_MAX, .position = MERGE_NONE};
    struct merge_list *list;
    uint32_t node;

    if (queue->rank_count > 0) {
        listed.rank = queue->ranks[0].rank;
        listed.position = queue->nodes[queue->lists[listed.rank].first].position;
    }
    if (queue->other_count > 0 && before(queue->others[0], listed)) {
        *rank = queue->others[0].rank;
        *position = queue->others[0].position;
        heap_pop(queue->others, &queue->other_count);
        return true;
    }
    if (queue->rank_count == 0)
        return false;
    list = &queue->lists[listed.rank];
    node = list->first;
    list->first = queue->nodes[node].next;
    queue->nodes[node].next = queue->free_node;
    queue->free_node = node;
    if (list->first == MERGE_NONE)
        heap_pop(queue->ranks, &queue->rank_count);
    *rank = listed.rank;
    *position = listed.position;
    return true;
}

void merge_queue_free(struct merge_queue *queue)
{
    free(queue->lists);
    free(queue->nodes);
    free(queue->ranks);
    free(queue->others);
}
