#include "io/text/parquet.h"

#include <stdio.h>
#include <string.h>

bool parquet_begins(const char *head, size_t size)
{
    enum { MAGIC = 4, LOOKED_AT = 12 };

    if (size <= MAGIC || memcmp(head, "PAR1", MAGIC) != 0)
        return false;
    // Thrift's compact protocol begins with field 1, a 32-bit number: 0x15. What is encrypted begins with its
    // length, whose upper bytes are zero.
    for (size_t i = MAGIC; i < size && i < LOOKED_AT; i++)
        if (head[i] == '\0' || ((unsigned char)head[i] < ' ' && strchr("\t\n\v\f\r", head[i]) == NULL))
            return true;
    return false;
}

struct line {
    char *text;
    size_t used; // text[PARQUET_ADVICE_SIZE] ends there
};

static void put(struct line *line, const char *text)
{
    const size_t room = PARQUET_ADVICE_SIZE - line->used, size = strlen(text);

    snprintf(line->text + line->used, room, "%s", text);
    line->used += size < room ? size : room - 1;
}

// A path as part of a shell's word in single quotes, which a quote in it ends and begins again.
static void put_path(struct line *line, const char *path)
{
    for (const char *c = path; *c != '\0'; c++)
        put(line, *c == '\'' ? "'\\''" : (char[]){*c, '\0'});
}

const char *parquet_advice(char text[PARQUET_ADVICE_SIZE], const char *path, bool is_folder)
{
    struct line line = {.text = text};

    put(&line, "convert it to JSON lines: python3 -c \"import sys; from datasets import Dataset; "
               "Dataset.from_parquet(sys.argv[1]).to_json(sys.argv[2])\" '");
    put_path(&line, path);
    put(&line, is_folder ? "/*.parquet' '" : "' '");
    put_path(&line, path);
    put(&line, ".jsonl'");
    return text;
}
