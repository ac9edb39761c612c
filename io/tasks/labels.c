#include "io/tasks/labels.h"

#include "io/text/file_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// The part of path before its ending, ".gz" and ".zst" not counted.
static size_t stem_size(const char *path)
{
    const size_t size = unpacked_name_size(path);
    const char *dot, *slash = strrchr(path, '/');
    for (dot = path + size; dot > path && *dot != '.'; dot--)
        ;
    return dot > path && (slash == NULL || dot > slash + 1) ? (size_t)(dot - path) : size;
}

bool task_labels_path(char *labels, size_t size, const char *path)
{
    const size_t stem = stem_size(path);
    const int written = snprintf(labels, size, "%.*s-labels.lst", (int)stem, path);
    return written > 0 && (size_t)written < size && access(labels, R_OK) == 0;
}

// A list of labels: one whole number a line.
static enum status parse_labels(struct task_builder *builder, char *text, struct error *err)
{
    const size_t most = strlen(text) / 2 + 1;
    char *end;

    FORWARD_IF_ERROR(allocate(&builder->labels, most, sizeof *builder->labels, "labels", err));
    while (*text != '\0') {
        builder->labels[builder->num_labels++] = strtol(text, &end, 10);
        RETURN_ERROR_IF(end == text || (*end != '\n' && *end != '\r' && *end != '\0'), err, STATUS_INPUT,
                        "%s:%zu: not a label: each line must be a whole number", builder->labels_path,
                        builder->num_labels);
        text = end + strspn(end, "\r\n");
    }
    return STATUS_OK;
}

enum status task_find_labels(struct task_builder *builder, struct error *err)
{
    const struct task_builder of_labels = {.path = builder->labels_path};
    char *text = NULL;
    size_t size;
    uint64_t hashes[2] = {builder->task->hash};

    if (builder->looked_for_labels)
        return STATUS_OK;
    builder->looked_for_labels = true;
    const bool found = task_labels_path(builder->labels_path, sizeof builder->labels_path, builder->path);
    const char *slash = strrchr(builder->labels_path, '/');
    builder->labels_name = slash != NULL ? slash + 1 : builder->labels_path;
    if (!found)
        return STATUS_OK;
    enum status status = task_read_text(&text, &size, &hashes[1], &of_labels, err);
    if (status == STATUS_OK)
        status = parse_labels(builder, text, err);
    if (status == STATUS_OK)
        builder->task->hash = XXH3_64bits(hashes, sizeof hashes);
    free(text);
    return status;
}
