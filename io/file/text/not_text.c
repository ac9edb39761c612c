#include "io/file/text/not_text.h"

#include "io/text/file_name.h"
#include "io/text/parquet.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct signature {
    size_t at, size;
    const char *bytes, *what; // what it is, and what to do
};

#define HDF5 "\x89HDF\r\n\x1a\n"
#define HDF5_ADVICE                                                                    \
    "an HDF5 file, where a text is expected: token ids are for the calibration only, " \
    "in a file whose name ends in .h5"

static const struct signature signatures[] = {
    {0, 6, "ARROW1", "an Arrow file: write it as JSON lines first (docs/texts-and-tasks.md)"},
    {0, 8, HDF5, HDF5_ADVICE},
    {512, 8, HDF5, HDF5_ADVICE}, // after a user block, as in the files of a run
    {0, 4, "PK\x03\x04", "a ZIP archive: unpack it first"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"},
    {257, 5, "ustar", "a tar archive: unpack it first"},
    {4, 6, "1AY&SY", "compressed with bzip2: unpack it first, or compress it with gzip or zstd"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "compressed with xz: unpack it first, or compress it with gzip or zstd"},
    {0, 4, "\x04\x22\x4d\x18", "compressed with lz4: unpack it first, or compress it with gzip or zstd"},
    {0, 2, "\x1f\x8b", "compressed more than once: unpack it first"},
    {0, 4, "\x28\xb5\x2f\xfd", "compressed more than once: unpack it first"},
    {0, 5, "%PDF-", "a PDF: extract its text first"},
    {0, 16, "SQLite format 3", "an SQLite database: write its text as JSON lines first"},
    {0, 6, "\x93NUMPY", "a NumPy array, where a text is expected"},
    {0, 8, "GGUF\x03\0\0\0", "a GGUF model, where a text is expected"},
    {0, 42, "version https://git-lfs.github.com/spec/v1",
     "a pointer of Git LFS, not the file itself: git lfs pull fetches it"},
};

static enum status check_signatures(const char *path, const char *head, size_t size, struct error *err)
{
    char advice[PARQUET_ADVICE_SIZE];

    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *s = &signatures[i];
        RETURN_ERROR_IF(size >= s->at + s->size && memcmp(head + s->at, s->bytes, s->size) == 0, err,
                        STATUS_INPUT, "%s: %s", path, s->what);
    }
    RETURN_ERROR_IF(parquet_begins(head, size), err, STATUS_INPUT, "%s: a Parquet file: %s", path,
                    parquet_advice(advice, path, false));
    return STATUS_OK;
}

// Plain text has no zero bytes; in UTF-16 and UTF-32 they are in every other place, or more.
static bool is_wide(const char *head, size_t size)
{
    size_t zeros = 0;

    if (size >= 2 && (memcmp(head, "\xff\xfe", 2) == 0 || memcmp(head, "\xfe\xff", 2) == 0))
        return true;
    for (size_t i = 0; i < size; i++)
        zeros += head[i] == '\0';
    return size >= 4 && zeros > size / 4;
}

static bool begins_with_word(const char *head, size_t size, const char *word)
{
    const size_t length = strlen(word);
    return size > length && strncasecmp(head, word, length) == 0;
}

static enum status check_markup(const char *path, const char *head, size_t size, struct error *err)
{
    static const char *const markup_endings[] = {".html", ".htm", ".xml", ".xhtml"};
    const size_t bom = size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t at = bom;

    // White space and comments come before a page, too.
    for (;;) {
        while (at < size && strchr(" \t\r\n", head[at]) != NULL && head[at] != '\0')
            at++;
        const char *end =
            begins_with_word(head + at, size - at, "<!--") ? memmem(head + at, size - at, "-->", 3) : NULL;
        if (end == NULL)
            break;
        at = (size_t)(end - head) + 3;
    }
    head += at;
    size -= at;
    const bool is_html =
        begins_with_word(head, size, "<!doctype html") || begins_with_word(head, size, "<html");
    const bool is_xml = begins_with_word(head, size, "<?xml ");
    for (size_t i = 0; i < sizeof markup_endings / sizeof *markup_endings; i++)
        if (unpacked_name_ends_in(path, markup_endings[i]))
            return STATUS_OK;
    RETURN_ERROR_IF(
        is_html || is_xml, err, STATUS_INPUT,
        "%s: begins as %s, perhaps a server's message in place of the file: fetch it again, or, where it "
        "is what you want, give it a name that ends in %s",
        path, is_html ? "an HTML page" : "XML", is_html ? ".html" : ".xml");
    return STATUS_OK;
}

enum status not_text_check(const char *path, const char *head, size_t size, struct error *err)
{
    const size_t most = size < NOT_TEXT_HEAD ? size : NOT_TEXT_HEAD;

    FORWARD_IF_ERROR(check_signatures(path, head, most, err));
    RETURN_ERROR_IF(is_wide(head, most), err, STATUS_INPUT,
                    "%s: looks like UTF-16 or UTF-32, not UTF-8: iconv -f UTF-16 -t UTF-8 converts it", path);
    return check_markup(path, head, most, err);
}
