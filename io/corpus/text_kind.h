// text_kind.h - how a text file is read: what its first bytes say, and where they say nothing, its name.
#pragma once
#include "io/file/text/stream.h"

enum text_format {
    TEXT_WHOLE = 0,    // the file is one document
    TEXT_RAW_LINES,    // WikiText's format: a document a line
    TEXT_JSON_LINES,   // a JSON object a line
    TEXT_JSON_OBJECTS, // an array of JSON objects, or objects over several lines
};

struct text_kind {
    enum text_format format;
    struct stream_facts facts;
};

// Of a text that begins with head[size]:
//   objects, an array of them       JSON, whatever the name; "{" alone, as in a program's source, is none
//   anything else, by its name      without .gz and .zst, in any case of letters: *.jsonl, *.ndjson, *.jl and
//                                   *.json are lines of JSON, *.raw are WikiText's lines, others one document
enum text_format text_format_of(const char *path, const char *head, size_t size);
// Looks into the file.
enum status text_kind_find(struct text_kind *kind, const char *path, struct error *err);

enum { TEXT_NOTICE_SIZE = 400 };
// notice[TEXT_NOTICE_SIZE] <- in one line, what is read otherwise than the name or the bytes say; "":
// nothing.
void text_kind_notice(char *notice, const struct text_kind *kind, const char *path);
// The same as a word or two for the record of a run, "" where the file was read so before its first bytes
// decided.
const char *text_kind_change(const struct text_kind *kind, const char *path);
