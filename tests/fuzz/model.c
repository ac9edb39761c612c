// A checkpoint from a stranger.
#include "tests/fuzz/parsers.h"

#include "io/model/card_metadata.h"
#include "io/model/config.h"
#include "io/model/open.h"
#include "io/model/weights/checkpoint.h"
#include "tests/fuzz/promise.h"
#include "tests/support/random_checkpoint.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Bits of an element, by the format's definition; 0: not in this list.
static unsigned dtype_bits(const char *name)
{
    static const struct {
        const char *name;
        unsigned bits;
    } known[] = {{"F64", 64},    {"I64", 64},    {"U64", 64},  {"F32", 32}, {"I32", 32},
                 {"U32", 32},    {"F16", 16},    {"BF16", 16}, {"I16", 16}, {"U16", 16},
                 {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"I8", 8},    {"U8", 8},   {"BOOL", 8}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].bits;
    return 0;
}

// Every byte of the data section belongs to exactly one tensor, and can be read.
static void check_tensors(const struct safetensors_file *file)
{
    uint64_t end = 0;
    unsigned sum = 0;

    PROMISE(file->header_bytes <= file->file_bytes);
    for (size_t i = 0; i < file->stored_count; i++) {
        const struct safetensors_tensor *tensor = &file->stored[i];
        const unsigned bits = dtype_bits(tensor->dtype_name);
        uint64_t elements = 1;
        PROMISE(tensor->rank <= SAFETENSORS_MAX_RANK);
        for (size_t axis = 0; axis < tensor->rank; axis++)
            PROMISE(!__builtin_mul_overflow(elements, tensor->shape[axis], &elements));
        PROMISE(tensor->begin == end);
        PROMISE(tensor->end >= tensor->begin && tensor->end <= file->file_bytes - file->header_bytes);
        PROMISE(bits == 0 || elements * bits / 8 == tensor->end - tensor->begin);
        PROMISE(is_utf8(tensor->name, strlen(tensor->name)));
        for (uint64_t at = 0; at < tensor->end - tensor->begin; at++)
            sum += ((const uint8_t *)tensor->data)[at];
        PROMISE(end == tensor->end || tensor->data == file->mapping + file->header_bytes + end);
        for (size_t other = 0; other < i; other++)
            PROMISE(strcmp(file->stored[other].name, tensor->name) != 0);
        end = tensor->end;
    }
    PROMISE(end == file->file_bytes - file->header_bytes);
    PROMISE(sum <= 255 * end);
}

static bool read_safetensors(const char *path)
{
    struct safetensors_file *file;
    struct error err = {0};

    if (!OUTCOME(safetensors_open(&file, path, &err), err, MAY(STATUS_INPUT)))
        return false;
    check_tensors(file);
    safetensors_close(file);
    return true;
}

bool fuzz_safetensors(const uint8_t *data, size_t size)
{
    return read_safetensors(work_file("model.safetensors", data, size));
}

enum { DATA_BYTES = 32 };

// The file of a header and DATA_BYTES of data; to be freed.
static uint8_t *with_data(const void *header, size_t size, size_t *whole)
{
    *whole = 8 + size + DATA_BYTES;
    uint8_t *bytes = malloc(*whole);
    PROMISE(bytes != NULL);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)size >> 8 * i);
    if (size > 0)
        memcpy(bytes + 8, header, size);
    for (size_t i = 0; i < DATA_BYTES; i++)
        bytes[8 + size + i] = (uint8_t)i;
    return bytes;
}

bool fuzz_safetensors_header(const uint8_t *data, size_t size)
{
    size_t whole;
    uint8_t *bytes = with_data(data, size, &whole);

    const bool good = read_safetensors(work_file("model.safetensors", bytes, whole));
    free(bytes);
    return good;
}

static const char two_tensors[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                  "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";

void make_safetensors(const struct seed_sink *sink)
{
    static const char *const headers[] = {
        two_tensors, "{\"__metadata__\":{\"format\":\"pt\"},\"x\":{\"dtype\":\"U8\",\"shape\":[32],"
                     "\"data_offsets\":[0,32]},\"empty\":{\"dtype\":\"F64\",\"shape\":[0,9],"
                     "\"data_offsets\":[32,32]}}  "};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t size;
        uint8_t *bytes = with_data(headers[i], strlen(headers[i]), &size);
        sink->add(sink->context, bytes, size);
        free(bytes);
    }
}

// ---- the folder ------------------------------------------------------------------------------------------

// The shards that the index names are read, and nothing else; where it says that a tensor is, does not count.
static void check_index(const struct checkpoint *checkpoint, const uint8_t *data, size_t size)
{
    json_t *index = json_loadb((const char *)data, size, 0, NULL), *shard;
    const char *name;

    PROMISE(index != NULL);
    json_object_foreach(json_object_get(index, "weight_map"), name, shard)
    {
        size_t s = 0;
        PROMISE(json_is_string(shard));
        while (s < checkpoint->num_shards &&
               strcmp(checkpoint->shard_names[s], json_string_value(shard)) != 0)
            s++;
        PROMISE(s < checkpoint->num_shards);
    }
    json_decref(index);
}

bool fuzz_index(const uint8_t *data, size_t size)
{
    static bool has_shards;
    struct checkpoint *checkpoint;
    struct error err = {0};

    if (!has_shards) {
        static const char third[] = "{\"c\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[0,32]}}";
        size_t whole;
        uint8_t *bytes = with_data(two_tensors, strlen(two_tensors), &whole);
        work_file("index/s1.safetensors", bytes, whole);
        free(bytes);
        bytes = with_data(third, strlen(third), &whole);
        work_file("index/s2.safetensors", bytes, whole);
        free(bytes);
        has_shards = true;
    }
    work_file("index/model.safetensors.index.json", data, size);
    if (!OUTCOME(checkpoint_open(&checkpoint, work_path("index"), &err), err, MAY(STATUS_INPUT)))
        return false;
    check_index(checkpoint, data, size);
    checkpoint_close(checkpoint);
    return true;
}

bool fuzz_config(const uint8_t *data, size_t size)
{
    static bool has_checkpoint;
    struct model_config config;
    const struct family *family;
    struct model *model;
    struct error err = {0};

    if (!has_checkpoint) {
        struct random_checkpoint shape = random_checkpoint_defaults();
        shape.hidden = 8;
        shape.intermediate = 12;
        shape.layers = shape.kv_heads = 1;
        shape.heads = 2;
        shape.vocab = 258;
        random_checkpoint_write(&shape, work_path("model"));
        has_checkpoint = true;
    }
    work_file("model/config.json", data, size);
    const bool good =
        OUTCOME(model_config_read(&config, &family, work_path("model"), NULL, &err), err, MAY(STATUS_INPUT));
    model_config_free(&config);
    // Of another family, the tensors are missing.
    if (good && OUTCOME(model_open(&model, work_path("model"), &err), err, MAY(STATUS_INPUT)))
        model_close(model);
    return good;
}

bool fuzz_card(const uint8_t *data, size_t size)
{
    json_t *metadata;
    char *notice = NULL, *text;
    struct error err = {0};

    work_file("card/README.md", data, size);
    if (!OUTCOME(card_metadata_read(&metadata, &notice, work_path("card"), &err), err, MAY(STATUS_INPUT)))
        return false;
    text = json_dumps(metadata, 0);
    PROMISE(text != NULL && text[0] == '{');
    PROMISE(notice == NULL || (notice[0] != '\0' && strchr(notice, '\n') == NULL));
    free(text);
    free(notice);
    json_decref(metadata);
    return true;
}
