#include "stages/export/read_back_file.h"

#include "io/file/json.h"
#include "io/model/weights/coded.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t piece_bytes = (size_t)4 << 20; // compared at a time

enum status read_back_difference(struct read_back *back, const char *tensor, const char *what,
                                 struct error *err)
{
    char shown[200];

    back->differs = true;
    return error_set(err, STATUS_FAILED, "%s: %s: %s; the export is removed", back->path,
                     printable(shown, sizeof shown, tensor), what);
}

enum status read_back_piece(struct read_back *back, const char *tensor, size_t size, uint64_t offset,
                            struct error *err)
{
    if (size > back->room) {
        uint8_t *larger = realloc(back->found, size);
        RETURN_ERROR_IF(larger == NULL, err, STATUS_MEMORY, "out of memory for reading %s back", back->path);
        back->found = larger;
        back->room = size;
    }
    for (size_t used = 0; used < size;) {
        const ssize_t got = pread(back->fd, back->found + used, size - used, (off_t)(offset + used));
        if (got < 0 && errno == EINTR)
            continue;
        RETURN_ERROR_IF(got < 0, err, STATUS_FAILED, "%s: reading it back failed: %s", back->path,
                        strerror(errno));
        if (got == 0)
            return read_back_difference(back, tensor, "the file ends within it", err);
        used += (size_t)got;
    }
    return STATUS_OK;
}

enum status read_back_compare(struct read_back *back, const char *tensor, const void *bytes, uint64_t size,
                              uint64_t offset, struct error *err)
{
    for (uint64_t done = 0; done < size; done += piece_bytes) {
        const size_t n = size - done < piece_bytes ? (size_t)(size - done) : piece_bytes;
        const uint8_t *expected = (const uint8_t *)bytes + done;
        FORWARD_IF_ERROR(read_back_piece(back, tensor, n, offset + done, err));
        if (memcmp(back->found, expected, n) != 0)
            return read_back_difference(back, tensor, "the bytes read back are not those written", err);
        safetensors_release(back->source, expected, n);
    }
    return STATUS_OK;
}

bool read_back_keeps_codes(const struct read_back *back, const struct safetensors_tensor *tensor)
{
    return tensor->coding != NULL && back->stage->model->checkpoint->keeps_codes;
}

enum status read_back_tensor(struct read_back *back, const struct safetensors_tensor *tensor,
                             struct error *err)
{
    const uint64_t begin = back->header_bytes + tensor->begin, size = tensor->end - tensor->begin;
    char *piece = NULL;
    enum status status;

    if (tensor->coding == NULL || read_back_keeps_codes(back, tensor))
        return read_back_compare(back, tensor->name,
                                 tensor->coding == NULL ? tensor->data : tensor->coding->codes.data, size,
                                 begin, err);
    status = allocate(&piece, size < piece_bytes ? (size_t)size : piece_bytes, 1, "a part of a weight", err);
    for (uint64_t done = 0; done < size && status == STATUS_OK; done += piece_bytes) {
        const size_t n = size - done < piece_bytes ? (size_t)(size - done) : piece_bytes;
        const size_t element = dtype_size(tensor->dtype);
        tensor_elements(piece, tensor, done / element, n / element);
        status = read_back_compare(back, tensor->name, piece, n, begin + done, err);
    }
    safetensors_release(back->source, tensor->coding->codes.data,
                        tensor->coding->codes.end - tensor->coding->codes.begin);
    free(piece);
    return status;
}
