#include "io/file/interrupt.h"

#include <stddef.h>

static bool (*asked)(const void *context);
static const void *asked_with;

void interrupt_set(bool (*is_told)(const void *context), const void *context)
{
    asked = is_told;
    asked_with = context;
}

enum status interrupt_check(struct error *err)
{
    RETURN_ERROR_IF(asked != NULL && asked(asked_with), err, STATUS_STOPPED,
                    "told to stop while an input was read");
    return STATUS_OK;
}
