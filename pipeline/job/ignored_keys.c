#include "pipeline/job/ignored_keys.h"

#include "io/model/open.h"
#include "io/model/weights/decode.h"

#include <stdlib.h>
#include <string.h>

static bool is_ignored(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->num_ignored_keys; i++)
        if (strcmp(settings->ignored_keys[i].pattern, name) == 0)
            return true;
    return false;
}

enum status settings_ignore_keys(struct settings *settings, const char *const *names, size_t count,
                                 struct error *err)
{
    if (count == 0)
        return STATUS_OK;
    const size_t most = settings->num_ignored_keys + count;
    struct skip *keys = realloc(settings->ignored_keys, most * sizeof *keys);
    RETURN_ERROR_IF(keys == NULL, err, STATUS_MEMORY, "out of memory for the keys to ignore");
    settings->ignored_keys = keys;
    for (size_t i = 0; i < count; i++) {
        if (is_ignored(settings, names[i]))
            continue;
        keys[settings->num_ignored_keys] = (struct skip){.pattern = strdup(names[i])};
        RETURN_ERROR_IF(keys[settings->num_ignored_keys].pattern == NULL, err, STATUS_MEMORY,
                        "out of memory for the keys to ignore");
        settings->num_ignored_keys++;
    }
    return STATUS_OK;
}

enum status settings_open_model(struct model **model, const struct settings *settings, struct error *err)
{
    const char **names = NULL;

    *model = NULL;
    FORWARD_IF_ERROR(allocate(&names, settings->num_ignored_keys, sizeof *names, "the keys to ignore", err));
    for (size_t i = 0; i < settings->num_ignored_keys; i++)
        names[i] = settings->ignored_keys[i].pattern;
    const struct ignored_keys ignored = {.names = names, .count = settings->num_ignored_keys};
    const enum status status = model_open_ignoring(model, settings->model, &ignored, err);
    free(names);
    if (status == STATUS_OK)
        (*model)->compute = settings->compute;
    if (status == STATUS_OK && settings->output_format == OUTPUT_SOURCE)
        checkpoint_keep_codes((*model)->checkpoint);
    return status;
}
