#include "io/store_format.h"

#include "io/agree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// Numbers are hashed and stored as they lie in memory.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the store's hashes are defined over little-endian bytes");

static const char magic[16] = "coppice-store\r\n\x1a";
enum { AT_VERSION = 16, AT_BLOCK = 20, AT_LENGTH = 24, AT_BLOCKS = 32, AT_HASH = STORE_USER_BLOCK - 8 };

void store_header_encode(uint8_t block[STORE_USER_BLOCK], const struct store_header *header)
{
    const uint32_t version = STORE_VERSION, block_bytes = STORE_BLOCK;

    memset(block, 0, STORE_USER_BLOCK);
    memcpy(block, magic, sizeof magic);
    memcpy(block + AT_VERSION, &version, sizeof version);
    memcpy(block + AT_BLOCK, &block_bytes, sizeof block_bytes);
    memcpy(block + AT_LENGTH, &header->length, sizeof header->length);
    memcpy(block + AT_BLOCKS, &header->blocks, sizeof header->blocks);
    const uint64_t hash = XXH3_64bits(block, AT_HASH);
    memcpy(block + AT_HASH, &hash, sizeof hash);
}

enum status store_header_decode(struct store_header *header, const uint8_t block[STORE_USER_BLOCK],
                                const char *path, struct error *err)
{
    uint32_t version, block_bytes;
    uint64_t hash;

    RETURN_ERROR_IF(memcmp(block, magic, sizeof magic) != 0, err, STATUS_DAMAGED,
                    "%s: damaged, or not a file of this program: it does not start with its magic", path);
    memcpy(&hash, block + AT_HASH, sizeof hash);
    RETURN_ERROR_IF(hash != XXH3_64bits(block, AT_HASH), err, STATUS_DAMAGED,
                    "%s: damaged: the first %d bytes do not match their checksum", path, STORE_USER_BLOCK);
    memcpy(&version, block + AT_VERSION, sizeof version);
    memcpy(&block_bytes, block + AT_BLOCK, sizeof block_bytes);
    RETURN_ERROR_IF(
        version != STORE_VERSION || block_bytes != STORE_BLOCK, err, STATUS_DAMAGED,
        "%s: format version %u, blocks of %u bytes; this program knows version %d, blocks of %d bytes", path,
        version, block_bytes, STORE_VERSION, STORE_BLOCK);
    memcpy(&header->length, block + AT_LENGTH, sizeof header->length);
    memcpy(&header->blocks, block + AT_BLOCKS, sizeof header->blocks);
    return STATUS_OK;
}

bool read_all(int fd, void *bytes, size_t size, uint64_t offset)
{
    char *at = bytes;
    while (size > 0) {
        const ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = 0;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

bool write_all(int fd, const void *bytes, size_t size, uint64_t offset)
{
    const char *at = bytes;
    while (size > 0) {
        const ssize_t put = pwrite(fd, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO; // never seen for a regular file; not to loop for ever
        if (put <= 0)
            return false;
        at += put;
        size -= (size_t)put;
        offset += (uint64_t)put;
    }
    return true;
}

static enum status cannot_read(const char *path, uint64_t offset, struct error *err)
{
    if (errno == 0)
        return error_set(err, STATUS_DAMAGED, "%s: damaged: it ends before byte %llu", path,
                         (unsigned long long)offset);
    return error_set(err, STATUS_FAILED, "%s: cannot read at byte %llu: %s", path, (unsigned long long)offset,
                     strerror(errno));
}

// Blocks [first, first + count) of this rank into hashes[count].
static enum status hash_own_blocks(int fd, const char *path, uint64_t length, uint64_t first, uint64_t count,
                                   uint64_t *hashes, struct error *err)
{
    char *buffer;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(allocate_aligned(&buffer, STORE_BLOCK, 1, "a block of a file", err));
    for (uint64_t i = 0; i < count && status == STATUS_OK; i++) {
        const uint64_t begin = STORE_USER_BLOCK + (first + i) * STORE_BLOCK;
        const uint64_t size = length - begin < STORE_BLOCK ? length - begin : STORE_BLOCK;
        if (read_all(fd, buffer, size, begin))
            hashes[i] = XXH3_64bits(buffer, size);
        else
            status = cannot_read(path, begin, err);
    }
    free(buffer);
    return status;
}

enum status store_hash_blocks(int fd, const char *path, uint64_t length, MPI_Comm comm, uint64_t *blocks,
                              struct error *err)
{
    const uint64_t rest = length > STORE_USER_BLOCK ? length - STORE_USER_BLOCK : 0;
    const uint64_t total = rest / STORE_BLOCK + (rest % STORE_BLOCK != 0);
    uint64_t *hashes = NULL, first, next;
    int rank, size;
    enum status status;

    comm_shape(comm, &rank, &size);
    first =
        total / (uint64_t)size * (uint64_t)rank + total % (uint64_t)size * (uint64_t)rank / (uint64_t)size;
    next = total / (uint64_t)size * (uint64_t)(rank + 1) +
           total % (uint64_t)size * (uint64_t)(rank + 1) / (uint64_t)size;

    // Every rank has the whole list (8 bytes for each MiB of the file), its own share filled and zeros
    // elsewhere.
    status = allocate(&hashes, total, sizeof *hashes, "the hashes of a file's blocks", err);
    if (status == STATUS_OK)
        status = hash_own_blocks(fd, path, length, first, next - first, hashes + first, err);
    status = agree(comm, status, err);
    for (uint64_t at = 0; size > 1 && status == STATUS_OK && at < total; at += 1 << 20) {
        const uint64_t count = total - at < 1 << 20 ? total - at : 1 << 20;
        const int code = MPI_Allreduce(MPI_IN_PLACE, hashes + at, (int)count, MPI_UINT64_T, MPI_BOR, comm);
        if (code != MPI_SUCCESS)
            status = mpi_failed(code, "gathering checksums", err);
    }
    if (status == STATUS_OK)
        *blocks = XXH3_64bits(hashes, total * sizeof *hashes);
    free(hashes);
    return status;
}

enum status store_hash_rows(int fd, const char *path, uint64_t offset, uint64_t row_bytes, uint64_t first,
                            uint64_t count, store_row_check *check, void *context, struct error *err)
{
    uint64_t at = offset + first * row_bytes, left_of_row = row_bytes;
    const uint64_t end = at + count * row_bytes;
    XXH3_state_t *state = XXH3_createState();
    char *buffer = NULL;
    enum status status = STATUS_OK;

    if (state == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory: the state of a hash");
    else
        status = allocate_aligned(&buffer, STORE_BLOCK, 1, "a block of a file", err);
    if (status == STATUS_OK)
        XXH3_64bits_reset(state);
    // Rows without bytes have a hash, too.
    for (uint64_t row = first; row_bytes == 0 && row < first + count && status == STATUS_OK; row++)
        status = check(context, row, XXH3_64bits(NULL, 0), err);

    for (uint64_t row = first; at < end && status == STATUS_OK;) {
        const size_t size = end - at < STORE_BLOCK ? (size_t)(end - at) : STORE_BLOCK;
        if (!read_all(fd, buffer, size, at)) {
            status = cannot_read(path, at, err);
            break;
        }
        for (size_t used = 0; used < size && status == STATUS_OK;) {
            const size_t part = size - used < left_of_row ? size - used : (size_t)left_of_row;
            XXH3_64bits_update(state, buffer + used, part);
            used += part;
            left_of_row -= part;
            if (left_of_row == 0) {
                status = check(context, row++, XXH3_64bits_digest(state), err);
                XXH3_64bits_reset(state);
                left_of_row = row_bytes;
            }
        }
        at += size;
    }
    free(buffer);
    if (state != NULL)
        XXH3_freeState(state);
    return status;
}

size_t store_type_size(enum store_type type)
{
    static const size_t sizes[] = {
        [STORE_F64] = 8, [STORE_F32] = 4, [STORE_U64] = 8, [STORE_I32] = 4, [STORE_U16] = 2, [STORE_U8] = 1,
    };
    return sizes[type];
}

hid_t store_type_memory(enum store_type type)
{
    switch (type) {
    case STORE_F64:
        return H5T_NATIVE_DOUBLE;
    case STORE_F32:
        return H5T_NATIVE_FLOAT;
    case STORE_U64:
        return H5T_NATIVE_UINT64;
    case STORE_I32:
        return H5T_NATIVE_INT32;
    case STORE_U16:
        return H5T_NATIVE_UINT16;
    case STORE_U8:
        return H5T_NATIVE_UINT8;
    }
    return H5I_INVALID_HID;
}

hid_t store_type_file(enum store_type type)
{
    switch (type) {
    case STORE_F64:
        return H5T_IEEE_F64LE;
    case STORE_F32:
        return H5T_IEEE_F32LE;
    case STORE_U64:
        return H5T_STD_U64LE;
    case STORE_I32:
        return H5T_STD_I32LE;
    case STORE_U16:
        return H5T_STD_U16LE;
    case STORE_U8:
        return H5T_STD_U8LE;
    }
    return H5I_INVALID_HID;
}

bool store_type_of(hid_t datatype, enum store_type *type)
{
    for (int candidate = STORE_F64; candidate <= STORE_U8; candidate++)
        if (H5Tequal(datatype, store_type_file((enum store_type)candidate)) > 0) {
            *type = (enum store_type)candidate;
            return true;
        }
    return false;
}

void store_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

// The first entry from below is the place where things went wrong.
static herr_t take_innermost(unsigned n, const H5E_error2_t *entry, void *context)
{
    if (n == 0)
        snprintf(context, 256, "%s", entry->desc != NULL ? entry->desc : "no description");
    return 0;
}

enum status store_hdf5_failed(struct error *err, enum status status, const char *format, ...)
{
    char line[sizeof err->message], reason[256] = "no reason given";
    va_list arguments;

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, reason);
    H5Eclear2(H5E_DEFAULT);
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return error_set(err, status, "%.700s: HDF5: %s", line, reason);
}
