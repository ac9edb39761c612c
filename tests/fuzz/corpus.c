// Corpora: text, JSON, both compressed.
#include "io/corpus/corpus.h"
#include "io/corpus/text_kind.h"
#include "tests/fuzz/parsers.h"
#include "tests/fuzz/promise.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

// NULL where it is refused.
static struct corpus *load(const char *name, const void *data, size_t size)
{
    struct corpus *corpus = NULL;
    struct error err = {0};

    const char *path = work_file(name, data, size);
    if (!OUTCOME(corpus_load(&corpus, path, &err), err, MAY(STATUS_INPUT)))
        return NULL;
    PROMISE(corpus->count > 0 && corpus->offsets[0] == 0);
    for (size_t i = 0; i < corpus->count; i++) {
        PROMISE(corpus->offsets[i] <= corpus->offsets[i + 1]);
        PROMISE(is_utf8(corpus->text + corpus->offsets[i], corpus->offsets[i + 1] - corpus->offsets[i]));
    }
    PROMISE(corpus->hash == XXH3_64bits(data, size));
    return corpus;
}

// The beginning is one of the whole: the same documents, the last one perhaps cut.
static void look_at_beginning(const char *path, const struct corpus *whole)
{
    struct corpus *corpus = NULL;
    struct error err = {0};
    double share = -1;

    if (!OUTCOME(corpus_load_beginning(&corpus, &share, path, &(struct document_field){0}, 16, &err), err,
                 MAY(STATUS_INPUT)))
        return;
    PROMISE(share >= 0 && share <= 1);
    PROMISE(is_utf8(corpus->text, corpus->offsets[corpus->count]));
    if (whole != NULL) {
        const size_t size = corpus->offsets[corpus->count];
        PROMISE(corpus->count <= whole->count && size <= whole->offsets[whole->count]);
        PROMISE(memcmp(corpus->text, whole->text, size) == 0);
    }
    corpus_free(corpus);
}

static bool read_corpus(const char *name, const uint8_t *data, size_t size)
{
    struct corpus *corpus = load(name, data, size);
    struct text_kind kind;
    struct error err = {0};
    char notice[TEXT_NOTICE_SIZE];

    const char *path = work_path(name);
    if (OUTCOME(text_kind_find(&kind, path, &err), err, MAY(STATUS_INPUT))) {
        text_kind_notice(notice, &kind, path);
        PROMISE(strlen(notice) < sizeof notice);
    }
    look_at_beginning(path, corpus);
    corpus_free(corpus);
    return corpus != NULL;
}

bool fuzz_corpus_txt(const uint8_t *data, size_t size)
{
    return read_corpus("corpus.txt", data, size);
}

bool fuzz_corpus_raw(const uint8_t *data, size_t size)
{
    return read_corpus("corpus.raw", data, size);
}

bool fuzz_corpus_jsonl(const uint8_t *data, size_t size)
{
    return read_corpus("corpus.jsonl", data, size);
}

bool fuzz_corpus_json(const uint8_t *data, size_t size)
{
    return read_corpus("corpus.json", data, size);
}

bool fuzz_corpus_gzip(const uint8_t *data, size_t size)
{
    return read_corpus("corpus.txt.gz", data, size);
}

bool fuzz_corpus_zstd(const uint8_t *data, size_t size)
{
    return read_corpus("corpus.jsonl.zst", data, size);
}

// ---- compressed ------------------------------------------------------------------------------------------

static void *gzip(const void *data, size_t size, size_t *packed)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    const size_t room = size + size / 100 + 64;
    Bytef *bytes = malloc(room);

    PROMISE(bytes != NULL);
    PROMISE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_out = bytes;
    stream.avail_out = (uInt)room;
    PROMISE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    *packed = stream.total_out;
    deflateEnd(&stream);
    return bytes;
}

static void *zstd(const void *data, size_t size, size_t *packed)
{
    const size_t room = ZSTD_compressBound(size);
    void *bytes = malloc(room);

    PROMISE(bytes != NULL);
    *packed = ZSTD_compress(bytes, room, data, size, 3);
    PROMISE(!ZSTD_isError(*packed));
    return bytes;
}

static const char plain[] = "{\"text\": \"a document, a document, a document\"}\n{\"text\": \"another\"}\n";

void make_gzip(const struct seed_sink *sink)
{
    size_t size;
    void *bytes = gzip(plain, strlen(plain), &size);

    sink->add(sink->context, bytes, size);
    char *twice = malloc(2 * size); // two members
    PROMISE(twice != NULL);
    memcpy(twice, bytes, size);
    memcpy(twice + size, bytes, size);
    sink->add(sink->context, twice, 2 * size);
    free(twice);
    free(bytes);
}

void make_zstd(const struct seed_sink *sink)
{
    size_t size;
    void *bytes = zstd(plain, strlen(plain), &size);

    sink->add(sink->context, bytes, size);
    free(bytes);
}

static bool same_documents(const struct corpus *a, const struct corpus *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->count == b->count && memcmp(a->offsets, b->offsets, (a->count + 1) * sizeof *a->offsets) == 0 &&
           memcmp(a->text, b->text, a->offsets[a->count]) == 0;
}

// Compressed or not, a text is the same documents or is refused.
bool fuzz_corpus_packed(const uint8_t *data, size_t size)
{
    // Longer ones may be refused for what they unpack to. A text that is packed itself would be unpacked only
    // once.
    static const unsigned char packings[2][4] = {{0x1f, 0x8b}, {0x28, 0xb5, 0x2f, 0xfd}};
    if (size > 1024 || (size >= 2 && memcmp(data, packings[0], 2) == 0) ||
        (size >= 4 && (memcmp(data, packings[1], 4) == 0 || (data[0] >> 4 == 5 && data[1] == 0x2a))))
        return false;
    size_t gzip_size, zstd_size;
    void *gzipped = gzip(data, size, &gzip_size), *zstandard = zstd(data, size, &zstd_size);
    struct corpus *as_is = load("c.jsonl", data, size);
    struct corpus *from_gzip = load("c.jsonl.gz", gzipped, gzip_size);
    struct corpus *from_zstd = load("c.jsonl.zst", zstandard, zstd_size);

    PROMISE(same_documents(as_is, from_gzip));
    PROMISE(same_documents(as_is, from_zstd));
    corpus_free(as_is);
    corpus_free(from_gzip);
    corpus_free(from_zstd);
    free(gzipped);
    free(zstandard);
    return as_is != NULL;
}
