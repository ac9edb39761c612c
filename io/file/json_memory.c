#include "io/file/json_memory.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

// Global, because Jansson has one allocator for the whole process.
static atomic_bool has_failed;

static void *watched_malloc(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL && size != 0)
        atomic_store(&has_failed, true);
    return memory;
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(watched_malloc, free);
}

void json_memory_note(void)
{
    atomic_store(&has_failed, true);
}

enum status json_memory_check(const char *what, struct error *err)
{
    if (!atomic_exchange(&has_failed, false))
        return STATUS_OK;
    return error_set(err, STATUS_MEMORY, "out of memory for %s", what);
}
