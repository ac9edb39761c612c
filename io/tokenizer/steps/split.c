#include "io/tokenizer/steps/split.h"

#include "io/tokenizer/json.h"

enum status split_behavior_from_json(enum split_behavior *behavior, const json_t *object, struct error *err)
{
    static const struct {
        const char *name;
        enum split_behavior behavior;
    } names[] = {
        {"Removed", SPLIT_REMOVED},
        {"Isolated", SPLIT_ISOLATED},
        {"MergedWithPrevious", SPLIT_MERGED_WITH_PREVIOUS},
        {"MergedWithNext", SPLIT_MERGED_WITH_NEXT},
        {"Contiguous", SPLIT_CONTIGUOUS},
    };
    struct slice text = {0};

    if (json_object_get(object, "behavior") == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(json_text_member(object, "behavior", &text, err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_is(text, names[i].name)) {
            *behavior = names[i].behavior;
            return STATUS_OK;
        }
    RETURN_ERROR(err, STATUS_INPUT, "unknown behavior \"%s\"", text.bytes);
}

// Empty pieces are never kept.
static enum status close_piece(struct splitter *splitter, struct error *err)
{
    const bool keep = splitter->open && splitter->end > splitter->start;
    splitter->open = false;
    if (!keep)
        return STATUS_OK;
    FORWARD_IF_ERROR(pieces_append(splitter->pieces, splitter->start, splitter->end - splitter->start, err));
    return splitter->full != NULL && splitter->pieces->count >= splitter->most
               ? splitter->full(splitter->context, err)
               : STATUS_OK;
}

enum status splitter_add(struct splitter *splitter, size_t start, size_t end, bool is_match,
                         struct error *err)
{
    const bool delimiter = is_match != splitter->invert;
    const bool after_delimiter = splitter->previous_is_match;
    bool joins = false;

    splitter->previous_is_match = delimiter;
    switch (splitter->behavior) {
    case SPLIT_REMOVED:
        if (delimiter)
            return close_piece(splitter, err);
        break;
    case SPLIT_ISOLATED:
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        joins = splitter->open && delimiter && !after_delimiter;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        joins = splitter->open && !delimiter && after_delimiter;
        break;
    case SPLIT_CONTIGUOUS:
        joins = splitter->open && delimiter == after_delimiter;
        break;
    }
    if (!joins) {
        FORWARD_IF_ERROR(close_piece(splitter, err));
        splitter->start = start;
    }
    splitter->end = end;
    splitter->open = true;
    return STATUS_OK;
}

enum status splitter_end(struct splitter *splitter, struct error *err)
{
    return close_piece(splitter, err);
}
