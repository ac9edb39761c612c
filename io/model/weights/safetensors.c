#include "io/model/weights/safetensors.h"
#include "io/file/json.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The reference implementation refuses longer headers (MAX_HEADER_SIZE).
static const uint64_t largest_header = 100000000;
static const char metadata_key[] = "__metadata__";

// Every dtype of the reference implementation (0.8) with the bits of one element.
static const struct {
    const char *name;
    unsigned bits;
    bool supported;
    enum dtype dtype;
} dtypes[] = {
    {"F32", 32, true, DTYPE_F32},         {"F16", 16, true, DTYPE_F16},
    {"BF16", 16, true, DTYPE_BF16},       {"BOOL", 8, false, DTYPE_F32},
    {"U8", 8, false, DTYPE_F32},          {"I8", 8, false, DTYPE_F32},
    {"F8_E5M2", 8, false, DTYPE_F32},     {"F8_E4M3", 8, false, DTYPE_F32},
    {"F8_E8M0", 8, false, DTYPE_F32},     {"F8_E4M3FNUZ", 8, false, DTYPE_F32},
    {"F8_E5M2FNUZ", 8, false, DTYPE_F32}, {"F4", 4, false, DTYPE_F32},
    {"F6_E2M3", 6, false, DTYPE_F32},     {"F6_E3M2", 6, false, DTYPE_F32},
    {"I16", 16, false, DTYPE_F32},        {"U16", 16, false, DTYPE_F32},
    {"I32", 32, false, DTYPE_F32},        {"U32", 32, false, DTYPE_F32},
    {"F64", 64, false, DTYPE_F32},        {"I64", 64, false, DTYPE_F32},
    {"U64", 64, false, DTYPE_F32},        {"C64", 64, false, DTYPE_F32},
};

// The file and the tensor that a message is about.
struct tensor_place {
    const char *path;
    char tensor[200];
};

#define REFUSE(place, err, format, ...) \
    RETURN_ERROR(err, STATUS_INPUT, "%s: tensor '%s': " format, (place)->path, (place)->tensor, __VA_ARGS__)

static enum status parse_dtype(struct safetensors_tensor *tensor, unsigned *bits, const json_t *value,
                               const struct tensor_place *place, struct error *err)
{
    const char *name = json_string_value(value);

    if (name == NULL)
        REFUSE(place, err, "%s", "'dtype' is not a string");
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(name, dtypes[i].name) != 0)
            continue;
        snprintf(tensor->dtype_name, sizeof tensor->dtype_name, "%s", name);
        tensor->supported = dtypes[i].supported;
        tensor->dtype = dtypes[i].dtype;
        *bits = dtypes[i].bits;
        return STATUS_OK;
    }
    char shown[64];
    REFUSE(place, err, "unknown dtype '%s'", printable(shown, sizeof shown, name));
}

static bool unsigned_value(uint64_t *out, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static enum status parse_shape(struct safetensors_tensor *tensor, uint64_t *elements, const json_t *shape,
                               const struct tensor_place *place, struct error *err)
{
    if (!json_is_array(shape))
        REFUSE(place, err, "%s", "'shape' is not a list");
    tensor->rank = json_array_size(shape);
    if (tensor->rank > SAFETENSORS_MAX_RANK)
        REFUSE(place, err, "%zu dimensions, at most %d are known", tensor->rank, SAFETENSORS_MAX_RANK);
    *elements = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!unsigned_value(&tensor->shape[i], json_array_get(shape, i)))
            REFUSE(place, err, "'shape' [%zu] is not a number from 0", i);
        // A zero dimension does not excuse an overflow of the others: the reference checks the running
        // product too.
        if (tensor->shape[i] != 0 && *elements > UINT64_MAX / tensor->shape[i])
            REFUSE(place, err, "%s", "its shape overflows 64 bits");
        *elements *= tensor->shape[i];
    }
    return STATUS_OK;
}

static enum status parse_tensor(struct safetensors_tensor *tensor, const json_t *entry, uint64_t data_bytes,
                                const struct tensor_place *place, struct error *err)
{
    unsigned bits = 0;
    uint64_t elements = 0;

    if (!json_is_object(entry))
        REFUSE(place, err, "%s", "its entry in the header is not an object");
    FORWARD_IF_ERROR(parse_dtype(tensor, &bits, json_object_get(entry, "dtype"), place, err));
    FORWARD_IF_ERROR(parse_shape(tensor, &elements, json_object_get(entry, "shape"), place, err));

    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (json_array_size(offsets) != 2 || !unsigned_value(&tensor->begin, json_array_get(offsets, 0)) ||
        !unsigned_value(&tensor->end, json_array_get(offsets, 1)))
        REFUSE(place, err, "%s", "'data_offsets' is not a pair of numbers from 0");
    if (tensor->begin > tensor->end)
        REFUSE(place, err, "begins at byte %" PRIu64 " and ends before, at %" PRIu64, tensor->begin,
               tensor->end);
    if (tensor->end > data_bytes)
        REFUSE(place, err, "ends at byte %" PRIu64 " of %" PRIu64 "; is the file cut off?", tensor->end,
               data_bytes);
    if (elements > UINT64_MAX / bits)
        REFUSE(place, err, "%s", "its shape overflows 64 bits");
    if (elements * bits % 8 != 0)
        REFUSE(place, err, "a %s tensor of this shape does not fill whole bytes", tensor->dtype_name);
    if (elements * bits / 8 != tensor->end - tensor->begin)
        REFUSE(place, err, "%" PRIu64 " bytes, but its shape and dtype %s ask for %" PRIu64,
               (tensor->end - tensor->begin), tensor->dtype_name, (elements * bits / 8));
    return STATUS_OK;
}

static enum status parse_metadata(struct safetensors_file *file, json_t *metadata, struct error *err)
{
    const char *key;
    json_t *value;

    RETURN_ERROR_IF(!json_is_object(metadata), err, STATUS_INPUT, "%s: '%s' is not an object", file->path,
                    metadata_key);
    json_object_foreach(metadata, key, value)
    {
        char shown[64];
        RETURN_ERROR_IF(!json_is_string(value), err, STATUS_INPUT,
                        "%s: '%s': the value of '%s' is not a string", file->path, metadata_key,
                        printable(shown, sizeof shown, key));
    }
    file->metadata = json_dumps(metadata, JSON_COMPACT);
    RETURN_ERROR_IF(file->metadata == NULL, err, STATUS_MEMORY, "%s: out of memory for its metadata",
                    file->path);
    return STATUS_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) // an empty tensor lies before the one that starts at the same byte
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

// The tensors, sorted by offset, must cover the data section exactly.
static enum status check_cover(const struct safetensors_file *file, uint64_t data_bytes, struct error *err)
{
    uint64_t covered = 0;

    for (size_t i = 0; i < file->count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        struct tensor_place place = {.path = file->path};
        printable(place.tensor, sizeof place.tensor, tensor->name);
        if (tensor->begin < covered) {
            char other[200];
            REFUSE(&place, err, "overlaps tensor '%s'",
                   printable(other, sizeof other, file->tensors[i - 1].name));
        }
        if (tensor->begin > covered)
            REFUSE(&place, err, "bytes %" PRIu64 " to %" PRIu64 " before it belong to no tensor", covered,
                   tensor->begin);
        covered = tensor->end;
    }
    RETURN_ERROR_IF(covered != data_bytes, err, STATUS_INPUT,
                    "%s: %" PRIu64 " bytes after the last tensor belong to no tensor", file->path,
                    (data_bytes - covered));
    return STATUS_OK;
}

static enum status parse_header(struct safetensors_file *file, json_t *header, struct error *err)
{
    const uint64_t data_bytes = file->file_bytes - file->header_bytes;
    const char *key;
    json_t *entry;

    RETURN_ERROR_IF(!json_is_object(header), err, STATUS_INPUT, "%s: the header is not a JSON object",
                    file->path);
    const size_t entries = json_object_size(header);
    FORWARD_IF_ERROR(allocate(&file->tensors, entries, sizeof *file->tensors, "a list of tensors", err));
    json_object_foreach(header, key, entry)
    {
        if (strcmp(key, metadata_key) == 0) {
            FORWARD_IF_ERROR(parse_metadata(file, entry, err));
            continue;
        }
        struct safetensors_tensor *tensor = &file->tensors[file->count];
        struct tensor_place place = {.path = file->path};
        printable(place.tensor, sizeof place.tensor, key);
        FORWARD_IF_ERROR(parse_tensor(tensor, entry, data_bytes, &place, err));
        tensor->data = file->mapping + file->header_bytes + tensor->begin;
        tensor->name = strdup(key);
        RETURN_ERROR_IF(tensor->name == NULL, err, STATUS_MEMORY, "%s: out of memory for its names",
                        file->path);
        file->count++;
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, by_offset);
    file->stored = file->tensors;
    file->stored_count = file->count;
    file->exported = (struct safetensors_layout){file->mapping, file->header_bytes, data_bytes};
    return check_cover(file, data_bytes, err);
}

static enum status map_file(struct safetensors_file *file, struct error *err)
{
    struct stat info;
    int fd;

    FORWARD_IF_ERROR(regular_open(&fd, file->path, O_RDONLY, STATUS_INPUT, err));
    if (fstat(fd, &info) != 0) {
        const int reason = errno;
        close(fd);
        return error_set(err, STATUS_FAILED, "%s: %s", file->path, strerror(reason));
    }
    file->file_bytes = (uint64_t)info.st_size;
    if (file->file_bytes < 8 || file->file_bytes > SIZE_MAX) {
        close(fd);
        return error_set(err, STATUS_INPUT, "%s: %s", file->path,
                         file->file_bytes < 8
                             ? "shorter than the 8 bytes that every safetensors file begins with"
                             : "too large for this machine's addresses");
    }
    void *mapping = mmap(NULL, (size_t)file->file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    const int reason = errno;
    close(fd); // the mapping keeps the file
    RETURN_ERROR_IF(mapping == MAP_FAILED, err, STATUS_FAILED, "%s: mapping its %llu bytes failed: %s",
                    file->path, (unsigned long long)file->file_bytes, strerror(reason));
    file->mapping = mapping;
    return STATUS_OK;
}

static enum status open_mapped(struct safetensors_file *file, struct error *err)
{
    uint64_t length = 0;
    json_t *header;

    FORWARD_IF_ERROR(map_file(file, err));
    for (size_t i = 0; i < 8; i++)
        length |= (uint64_t)file->mapping[i] << (8 * i);
    RETURN_ERROR_IF(
        length > file->file_bytes - 8, err, STATUS_INPUT,
        "%s: the header's length is %llu bytes, the file has %llu; cut off or not a safetensors file",
        file->path, (unsigned long long)length, (unsigned long long)file->file_bytes);
    RETURN_ERROR_IF(length > largest_header, err, STATUS_INPUT,
                    "%s: the header's length is %llu bytes, the format allows %llu", file->path,
                    (unsigned long long)length, (unsigned long long)largest_header);
    file->header_bytes = 8 + length;
    FORWARD_IF_ERROR(json_parse(&header, (const char *)file->mapping + 8, (size_t)length, file->path, err));
    const enum status status = parse_header(file, header, err);
    json_decref(header);
    return status;
}

enum status safetensors_open(struct safetensors_file **out, const char *path, struct error *err)
{
    struct safetensors_file *file;

    *out = NULL;
    FORWARD_IF_ERROR(allocate(&file, 1, sizeof *file, path, err));
    file->path = strdup(path);
    const enum status status = file->path != NULL
                                   ? open_mapped(file, err)
                                   : error_set(err, STATUS_MEMORY, "%s: out of memory for its name", path);
    if (status != STATUS_OK) {
        safetensors_close(file);
        return status;
    }
    *out = file;
    return STATUS_OK;
}

uint64_t safetensors_elements(const struct safetensors_tensor *tensor)
{
    uint64_t elements = 1;
    for (size_t d = 0; d < tensor->rank; d++)
        elements *= tensor->shape[d];
    return elements;
}

static void free_tensors(struct safetensors_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)tensors[i].name);
        free((void *)(uintptr_t)tensors[i].coding);
    }
    free(tensors);
}

void safetensors_close(struct safetensors_file *file)
{
    if (file == NULL)
        return;
    if (file->mapping != NULL)
        munmap((void *)(uintptr_t)file->mapping, (size_t)file->file_bytes);
    free_tensors(file->tensors, file->count);
    if (file->stored != file->tensors)
        free_tensors(file->stored, file->stored_count);
    free(file->new_header);
    free(file->is_left_out);
    free(file->metadata);
    free(file->path);
    free(file);
}

void safetensors_expect(const struct safetensors_file *file, const void *data, uint64_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t mapping = (uintptr_t)file->mapping, begin = (uintptr_t)data / page * page;

    if ((uintptr_t)data < mapping || (uintptr_t)data + bytes > mapping + file->file_bytes)
        return;
    // Advice only.
    madvise((void *)begin, (uintptr_t)data + bytes - begin, MADV_WILLNEED);
}

void safetensors_release(const struct safetensors_file *file, const void *data, uint64_t bytes)
{
    // Linux maps what it has in memory of the aligned 64 KiB around a page that is read.
    const uintptr_t around = (uintptr_t)1 << 16;
    const uintptr_t mapping = (uintptr_t)file->mapping, file_end = mapping + file->file_bytes;
    uintptr_t begin = (uintptr_t)data, end = begin + (uintptr_t)bytes;

    if (begin < mapping || end <= begin || end > file_end)
        return;
    begin = begin / around * around;
    begin = begin < mapping ? mapping : begin;
    end = end + around - 1 - (end - 1) % around;
    end = end > file_end ? file_end : end;
    // Advice only: a failure costs memory, not correctness.
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}
