// parts.h - what a long evaluation has measured so far, so that a stop costs minutes of it and not all.
//
// The items of an evaluation (windows of a text, options of a task) are independent of one another and of the
// ranks. While it runs, those that are finished are committed now and then to a folder, a file for each time;
// whoever starts again takes them over. The folder is removed when the result of the whole is committed.
#pragma once
#include "stages/stage.h"
#include <jansson.h>

enum { PARTS_MOST_WIDTH = 2 };

struct parts {
    const struct stage *stage;
    size_t count;     // items
    size_t width;     // values of each, at most PARTS_MOST_WIDTH
    uint64_t *values; // [count, width]: bits of doubles, or integers; 0 where another rank computes the item
    uint8_t *done;    // [count]: the values are known. The same on every rank
    // Of rank 0; folder NULL: nothing is kept.
    char *folder;
    json_t *of;     // what the items are of
    uint8_t *kept;  // [count]: in a file
    double written; // when the last file was, in seconds of a clock
};

// Collective. Takes over what an earlier start kept in `folder` (NULL: nothing is kept). `of` describes the
// evaluation; files with another description are of another text, and are removed. It is taken over on every
// rank, also on failure; NULL: out of memory. A damaged file is named in a notice and removed. Freed with
// parts_free.
enum status parts_open(struct parts *parts, const struct stage *stage, const char *folder, json_t *of,
                       size_t count, size_t width, struct error *err);
void parts_free(struct parts *parts);
size_t parts_left(const struct parts *parts); // items that are not done

// Collective. Items items[count] are finished: each has its values on one rank and zeros on the others.
enum status parts_finish(struct parts *parts, const size_t *items, size_t count, struct error *err);
// Commits what is finished and in no file, when the last file is a minute old or `now`. A failure to write is
// a notice: the evaluation goes on. Not collective: all but rank 0 return at once.
void parts_keep(struct parts *parts, bool now);
// The share of the items that files in the folder have, whatever text they are of; 0 without such files. A
// damaged one has none. Not collective.
double parts_share(const char *folder);
// Removes a folder of parts, when the result is committed. Not collective.
void parts_remove(const char *folder);
