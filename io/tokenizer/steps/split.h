// split.h - turns the matches of a delimiter in a text into pieces, in the five ways that `tokenizers` calls
// SplitDelimiterBehavior.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>

enum split_behavior {
    SPLIT_REMOVED,              // the-final--countdown: the, final, countdown
    SPLIT_ISOLATED,             // the, -, final, -, -, countdown
    SPLIT_MERGED_WITH_PREVIOUS, // the-, final-, -, countdown
    SPLIT_MERGED_WITH_NEXT,     // the, -final, -, -countdown
    SPLIT_CONTIGUOUS,           // the, -, final, --, countdown
};

// object's member "behavior"; missing leaves *behavior as it is.
enum status split_behavior_from_json(enum split_behavior *behavior, const json_t *object, struct error *err);

// Takes the stretches of one text in order, matches and what lies between them, and appends pieces to
// `pieces`. Begin with behavior, invert and pieces set; end with splitter_end. With `full` that is called
// whenever there are `most` pieces, and makes room.
struct splitter {
    enum split_behavior behavior;
    bool invert; // matches are kept, and the text between them is the delimiter
    struct pieces *pieces;
    size_t most;
    enum status (*full)(void *context, struct error *err);
    void *context;
    bool previous_is_match;
    bool open; // start and end hold a piece that may still grow
    size_t start;
    size_t end;
};

enum status splitter_add(struct splitter *splitter, size_t start, size_t end, bool is_match,
                         struct error *err);
enum status splitter_end(struct splitter *splitter, struct error *err);
