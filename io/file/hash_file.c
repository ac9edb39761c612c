#include "io/file/hash_file.h"

#include "io/file/interrupt.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { PIECE = 1 << 20 };

struct hashing {
    const char *path;
    int fd;
    XXH3_state_t *state;
    char *piece; // [PIECE]
    uint64_t bytes;
};

// False at the end of the file.
static enum status next_piece(struct hashing *hashing, bool *is_there, struct error *err)
{
    ssize_t got;
    do {
        got = read(hashing->fd, hashing->piece, PIECE);
    } while (got < 0 && errno == EINTR);
    RETURN_ERROR_IF(got < 0, err, STATUS_FAILED, "%s: reading failed: %s", hashing->path, strerror(errno));
    *is_there = got > 0;
    XXH3_64bits_update(hashing->state, hashing->piece, (size_t)got);
    hashing->bytes += (uint64_t)got;
    return interrupt_check(err);
}

enum status hash_file(uint64_t *hash, uint64_t *bytes, const char *path, bool (*stops)(void *context),
                      void *context, struct error *err)
{
    struct hashing hashing = {.path = path};
    bool is_there = true;
    enum status status;

    FORWARD_IF_ERROR(regular_open(&hashing.fd, path, O_RDONLY, STATUS_INPUT, err));
    status = allocate(&hashing.piece, PIECE, 1, "the hash of a file", err);
    hashing.state = XXH3_createState();
    if (status == STATUS_OK && hashing.state == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory for the hash of %s", path);
    if (status == STATUS_OK)
        XXH3_64bits_reset(hashing.state);
    while (status == STATUS_OK && is_there) {
        status = next_piece(&hashing, &is_there, err);
        if (status == STATUS_OK && stops != NULL && stops(context))
            status = error_set(err, STATUS_STOPPED, "told to stop");
    }
    if (status == STATUS_OK) {
        *hash = XXH3_64bits_digest(hashing.state);
        if (bytes != NULL)
            *bytes = hashing.bytes;
    }
    XXH3_freeState(hashing.state);
    free(hashing.piece);
    close(hashing.fd);
    return status;
}
