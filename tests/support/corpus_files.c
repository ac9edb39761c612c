#include "tests/support/corpus_files.h"

#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

size_t gzip_text(void *out, size_t capacity, const void *text, size_t size)
{
    z_stream zlib = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)size};
    zlib.next_out = out;
    zlib.avail_out = (uInt)capacity;
    assert_int_equal(deflateInit2(&zlib, 6, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    const size_t written = zlib.total_out;
    deflateEnd(&zlib);
    return written;
}

void assert_documents(const char *path, size_t count, const char *const *documents)
{
    struct error err = {0};
    struct corpus *corpus;

    assert_ok(corpus_load(&corpus, path, &err), err);
    assert_int_equal(corpus->count, count);
    assert_int_equal(corpus->offsets[0], 0);
    for (size_t i = 0; i < count; i++) {
        const size_t size = corpus->offsets[i + 1] - corpus->offsets[i];
        assert_int_equal(size, strlen(documents[i]));
        assert_memory_equal(corpus->text + corpus->offsets[i], documents[i], size);
    }
    corpus_free(corpus);
}

void assert_refused(const char *path, const char *complaint)
{
    struct error err = {0};
    struct corpus *corpus;

    if (corpus_load(&corpus, path, &err) == STATUS_OK)
        fail_msg("accepted %s, where expected: %s", path, complaint);
    assert_null(corpus);
    assert_error(err, STATUS_INPUT, path);
    assert_error(err, STATUS_INPUT, complaint);
}
