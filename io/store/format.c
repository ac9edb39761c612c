#include "io/store/format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// Numbers are hashed and stored as they are in memory.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the store's hashes are defined over little-endian bytes");

static const char magic[16] = "coppice-store\r\n\x1a";
enum {
    AT_VERSION = 16,
    AT_BLOCK = 20,
    AT_LENGTH = 24,
    AT_BLOCKS = 32,
    AT_MADE_FROM = 40,
    AT_NAME = 48,
    AT_HASH = STORE_USER_BLOCK - 8
};

void store_header_encode(uint8_t block[STORE_USER_BLOCK], const struct store_header *header)
{
    const uint32_t version = STORE_VERSION, block_bytes = STORE_BLOCK;

    memset(block, 0, STORE_USER_BLOCK);
    memcpy(block, magic, sizeof magic);
    memcpy(block + AT_VERSION, &version, sizeof version);
    memcpy(block + AT_BLOCK, &block_bytes, sizeof block_bytes);
    memcpy(block + AT_LENGTH, &header->length, sizeof header->length);
    memcpy(block + AT_BLOCKS, &header->blocks, sizeof header->blocks);
    memcpy(block + AT_MADE_FROM, &header->made_from, sizeof header->made_from);
    memcpy(block + AT_NAME, header->name, strnlen(header->name, ORIGIN_NAME_SIZE - 1));
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
    memcpy(&header->made_from, block + AT_MADE_FROM, sizeof header->made_from);
    memcpy(header->name, block + AT_NAME, ORIGIN_NAME_SIZE);
    header->name[ORIGIN_NAME_SIZE - 1] = '\0';
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

size_t store_type_size(enum store_type type)
{
    static const size_t sizes[] = {
        [STORE_F64] = 8, [STORE_F32] = 4, [STORE_U64] = 8, [STORE_I32] = 4,
        [STORE_U32] = 4, [STORE_U16] = 2, [STORE_U8] = 1,
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
    case STORE_U32:
        return H5T_NATIVE_UINT32;
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
    case STORE_U32:
        return H5T_STD_U32LE;
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
