#include "kernels/error.h"

#include "kernels/amount.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Names come from files of strangers. What a terminal would act on, a control character of ASCII or, in
// UTF-8, of Latin-1, and what turns the direction of text or ends a line (U+2028 to 202E, 2066 to 2069),
// becomes '?'.
static void make_printable(char *message)
{
    for (unsigned char *at = (unsigned char *)message; *at != '\0'; at++) {
        if (*at < ' ' || *at == 0x7f)
            *at = '?';
        else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
        else if (at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) ||
                                   (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9)))
            at[0] = at[1] = at[2] = '?';
    }
}

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        err->status = status;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
        make_printable(err->message);
    }
    return status;
}

enum status error_prefix(struct error *err, const char *format, ...)
{
    char old[sizeof err->message];
    va_list arguments;

    memcpy(old, err->message, sizeof old);
    va_start(arguments, format);
    int used = vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    if (used >= 0 && (size_t)used < sizeof err->message) {
        const int fits = (int)(sizeof err->message - (size_t)used) - 1;
        snprintf(err->message + used, (size_t)fits + 1, ": %.*s", fits, old);
    }
    make_printable(err->message);
    return err->status;
}

static enum status allocation_failed(size_t count, size_t size, const char *purpose, struct error *err)
{
    char text[32];
    return error_set(err, STATUS_MEMORY, "out of memory: cannot allocate %s (%zu x %zu bytes) for %s",
                     amount_format((double)count * (double)size, "B", text, sizeof text), count, size,
                     purpose);
}

enum status allocate(void *out, size_t count, size_t size, const char *purpose, struct error *err)
{
    void *memory = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    memcpy(out, &memory, sizeof memory);
    return memory != NULL ? STATUS_OK : allocation_failed(count, size, purpose, err);
}

enum status allocate_aligned(void *out, size_t count, size_t size, const char *purpose, struct error *err)
{
    void *memory = NULL;
    const size_t alignment = 64;

    if (size == 0 || count <= (SIZE_MAX - alignment) / size) {
        const size_t rounded = (count * size + alignment - 1) / alignment * alignment;
        const size_t bytes = rounded != 0 ? rounded : alignment;
        // First where an aligned block of this size was freed: glibc before 2.38 looks for aligned memory
        // only in larger holes, and the heap of a stage that allocates and frees the same sizes grows and
        // grows.
        memory = malloc(bytes);
        if ((uintptr_t)memory % alignment != 0) {
            free(memory);
            memory = aligned_alloc(alignment, bytes);
        }
    }
    memcpy(out, &memory, sizeof memory);
    return memory != NULL ? STATUS_OK : allocation_failed(count, size, purpose, err);
}
