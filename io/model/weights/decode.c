#include "io/model/weights/decode.h"

#include "io/file/json.h"
#include "io/model/weights/coded.h"
#include "io/text/ending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 512 };

struct decoding {
    struct checkpoint *checkpoint;
    const struct quantisation *quantisation;
    size_t shard; // in hand
};

#define REFUSE(decoding, tensor, err, ...) \
    return refuse(decoding, tensor, (snprintf(problem, sizeof problem, __VA_ARGS__), problem), err)

static enum status refuse(const struct decoding *decoding, const struct safetensors_tensor *tensor,
                          const char *problem, struct error *err)
{
    char shown[200];
    return error_set(err, STATUS_INPUT, "%s/%s: tensor '%s' %s", decoding->checkpoint->directory,
                     decoding->checkpoint->shard_names[decoding->shard],
                     printable(shown, sizeof shown, tensor->name), problem);
}

// The tensor that is called like this one without its ending, and with another.
static const struct safetensors_tensor *sibling(const struct decoding *decoding, const char *name,
                                                const char *ending, const char *other, size_t *shard)
{
    char text[NAME_SIZE];
    snprintf(text, sizeof text, "%.*s%s", (int)(strlen(name) - strlen(ending)), name, other);
    return checkpoint_find(decoding->checkpoint, text, shard);
}

static bool is_e8m0(const struct safetensors_tensor *tensor)
{
    return strcmp(tensor->dtype_name, "F8_E8M0") == 0 || strcmp(tensor->dtype_name, "U8") == 0;
}

static bool is_fp8(const struct safetensors_tensor *tensor)
{
    return strcmp(tensor->dtype_name, "F8_E4M3") == 0 || strcmp(tensor->dtype_name, "F8_E5M2") == 0;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

// The size of the blocks that cut `size` into `count`: all, one, or one of the config's. 0: none does, or
// more than one, of which any may be meant.
static uint64_t block_size(uint64_t size, uint64_t count, const struct quantisation *q, bool of_rows)
{
    uint64_t found = 0;

    if (count == 1)
        return size;
    for (size_t i = 0; i < q->num_blocks; i++) {
        const uint64_t block = of_rows ? q->blocks[i].rows : q->blocks[i].columns;
        if (divide_up(size, block) != count)
            continue;
        if (found != 0 && found != block)
            return 0;
        found = block;
    }
    return found == 0 && count == size ? 1 : found;
}

// Completes a coding whose codes and scales are known. FP8: scales [.., blocks of rows, blocks of columns],
// or a single one.
static enum status fit_fp8(struct coding *coding, const struct decoding *decoding, struct error *err)
{
    const struct safetensors_tensor *codes = &coding->codes, *scales = &coding->scales;
    const struct quantisation *q = decoding->quantisation;
    const size_t rank = codes->rank;
    char problem[160];

    if (rank != 2 && rank != 3)
        REFUSE(decoding, codes, err, "is %s with %zu dimensions, not a matrix", codes->dtype_name, rank);
    if (safetensors_elements(codes) == 0)
        REFUSE(decoding, codes, err, "is %s and empty", codes->dtype_name);
    coding->format = strcmp(codes->dtype_name, "F8_E5M2") == 0 ? CODES_E5M2 : CODES_E4M3;
    coding->rows = codes->shape[rank - 2];
    coding->columns = codes->shape[rank - 1];
    coding->product = q->kind == QUANTISATION_COMPRESSED_FP8 ? scales->dtype : DTYPE_F32;
    if (!scales->supported && (q->kind != QUANTISATION_FP8 || !is_e8m0(scales)))
        REFUSE(decoding, scales, err, "is a scale and %s", scales->dtype_name);
    const bool is_single = safetensors_elements(scales) == 1 && (rank == 2 || codes->shape[0] == 1);
    if (!is_single && (scales->rank != rank || (rank == 3 && scales->shape[0] != codes->shape[0])))
        REFUSE(decoding, scales, err, "has %zu dimensions and does not fit its weight", scales->rank);
    coding->scale_rows = is_single ? 1 : scales->shape[rank - 2];
    coding->scale_columns = is_single ? 1 : scales->shape[rank - 1];
    coding->block_rows = block_size(coding->rows, coding->scale_rows, q, true);
    coding->block_columns = block_size(coding->columns, coding->scale_columns, q, false);
    if (coding->block_rows == 0 || coding->block_columns == 0)
        REFUSE(decoding, scales, err,
               "has %" PRIu64 " x %" PRIu64 " scales, which fit %" PRIu64 " x %" PRIu64
               " codes in none of config.json's blocks, or in more than one",
               coding->scale_rows, coding->scale_columns, coding->rows, coding->columns);
    return STATUS_OK;
}

enum { MXFP4_BLOCK = 32, MXFP4_BYTES = 16 };

// MXFP4: blocks U8 [experts, out, in / 32, 16], scales U8 [experts, out, in / 32].
static enum status fit_mxfp4(struct coding *coding, const struct decoding *decoding, struct error *err)
{
    const struct safetensors_tensor *codes = &coding->codes, *scales = &coding->scales;
    char problem[160];

    if (strcmp(codes->dtype_name, "U8") != 0 || codes->rank != 4 || codes->shape[3] != MXFP4_BYTES ||
        safetensors_elements(codes) == 0)
        REFUSE(decoding, codes, err, "is not U8 [experts, out, in / %d, %d]", MXFP4_BLOCK, MXFP4_BYTES);
    if (!is_e8m0(scales) || scales->rank != 3 ||
        memcmp(scales->shape, codes->shape, 3 * sizeof *codes->shape))
        REFUSE(decoding, scales, err,
               "is not U8 [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "], a scale for each block", codes->shape[0],
               codes->shape[1], codes->shape[2]);
    coding->format = CODES_E2M1;
    coding->transposed = true;
    coding->rows = codes->shape[1];
    coding->columns = codes->shape[2] * MXFP4_BLOCK;
    coding->block_rows = 1;
    coding->block_columns = MXFP4_BLOCK;
    coding->scale_rows = coding->rows;
    coding->scale_columns = codes->shape[2];
    coding->product = DTYPE_F32;
    return STATUS_OK;
}

// Appends a tensor that codes and scales make to the shard's.
static enum status add_coded(struct safetensors_file *file, const struct safetensors_tensor *codes,
                             const struct safetensors_tensor *scales, size_t scales_shard,
                             const struct decoding *decoding, struct error *err)
{
    const bool is_fp4 = decoding->quantisation->kind == QUANTISATION_MXFP4;
    struct safetensors_tensor *tensor = &file->tensors[file->count];
    struct coding *coding = NULL;
    enum status status;

    FORWARD_IF_ERROR(allocate(&coding, 1, sizeof *coding, "a list of tensors", err));
    coding->codes = *codes;
    coding->scales = *scales;
    coding->scales_shard = scales_shard;
    status = is_fp4 ? fit_mxfp4(coding, decoding, err) : fit_fp8(coding, decoding, err);
    *tensor = *codes;
    tensor->name = status == STATUS_OK ? strdup(codes->name) : NULL;
    if (status == STATUS_OK && tensor->name == NULL)
        status = error_set(err, STATUS_MEMORY, "%s: out of memory for its names", file->path);
    if (status != STATUS_OK) {
        free(coding);
        return status;
    }
    if (is_fp4) {
        ((char *)(uintptr_t)tensor->name)[strlen(codes->name) - strlen("_blocks")] = '\0';
        tensor->rank = 3;
        tensor->shape[1] = coding->columns;
        tensor->shape[2] = coding->rows;
    }
    tensor->dtype = decoding->quantisation->dtype;
    tensor->supported = true;
    snprintf(tensor->dtype_name, sizeof tensor->dtype_name, "%s", dtype_name(tensor->dtype));
    tensor->data = NULL;
    tensor->coding = coding;
    tensor->end = tensor->begin + safetensors_elements(tensor) * dtype_size(tensor->dtype);
    file->count++;
    return STATUS_OK;
}

// What a tensor of the file is.
enum part { PART_PLAIN, PART_CODES, PART_LEFT_OUT };

static enum status part_fp8(enum part *part, const struct safetensors_tensor *tensor,
                            const struct decoding *decoding, struct error *err)
{
    const bool compressed = decoding->quantisation->kind == QUANTISATION_COMPRESSED_FP8;
    const char *ending = compressed ? "_scale" : "_scale_inv";
    char problem[200], shown[100];

    *part = is_fp8(tensor) ? PART_CODES : PART_PLAIN;
    // Scales of activations mean nothing to weights that are not quantised.
    if (ends_with(tensor->name, ".activation_scale") ||
        (compressed && ends_with(tensor->name, ".input_scale")))
        *part = PART_LEFT_OUT;
    if (compressed && ends_with(tensor->name, ".weight_zero_point"))
        REFUSE(decoding, tensor, err, "is a zero point, which is not supported; use the bfloat16 original");
    if (*part != PART_PLAIN || !ends_with(tensor->name, ending))
        return STATUS_OK;
    const struct safetensors_tensor *weight = sibling(decoding, tensor->name, ending, "", NULL);
    if (weight == NULL && compressed) // any tensor may be called so
        return STATUS_OK;
    if (weight == NULL)
        REFUSE(decoding, tensor, err, "is a scale without its weight");
    if (!is_fp8(weight))
        REFUSE(decoding, tensor, err, "is the scale of '%s', which is %s",
               printable(shown, sizeof shown, weight->name), weight->dtype_name);
    *part = PART_LEFT_OUT;
    return STATUS_OK;
}

static enum status part_mxfp4(enum part *part, const struct safetensors_tensor *tensor,
                              const struct decoding *decoding, struct error *err)
{
    char problem[80];

    *part = ends_with(tensor->name, "_blocks") ? PART_CODES : PART_PLAIN;
    if (!ends_with(tensor->name, "_scales"))
        return STATUS_OK;
    if (sibling(decoding, tensor->name, "_scales", "_blocks", NULL) == NULL)
        REFUSE(decoding, tensor, err, "is of scales without their blocks");
    *part = PART_LEFT_OUT;
    return STATUS_OK;
}

static enum status decode_tensor(struct safetensors_file *file, const struct safetensors_tensor *stored,
                                 const struct decoding *decoding, struct error *err)
{
    static const char *const endings[] = {[QUANTISATION_FP8] = "_scale_inv",
                                          [QUANTISATION_COMPRESSED_FP8] = "_scale",
                                          [QUANTISATION_MXFP4] = "_scales"};
    const enum quantisation_kind kind = decoding->quantisation->kind;
    enum part part;
    size_t shard = 0;
    char problem[160];

    FORWARD_IF_ERROR((kind == QUANTISATION_MXFP4 ? part_mxfp4 : part_fp8)(&part, stored, decoding, err));
    if (part == PART_PLAIN) {
        struct safetensors_tensor *tensor = &file->tensors[file->count];
        *tensor = *stored;
        tensor->name = strdup(stored->name);
        RETURN_ERROR_IF(tensor->name == NULL, err, STATUS_MEMORY, "%s: out of memory for its names",
                        file->path);
        file->count++;
    }
    file->is_left_out[stored - file->stored] = part == PART_LEFT_OUT;
    if (part != PART_CODES)
        return STATUS_OK;
    const char *ending = kind == QUANTISATION_MXFP4 ? "_blocks" : "";
    const struct safetensors_tensor *scales = sibling(decoding, stored->name, ending, endings[kind], &shard);
    if (scales == NULL)
        REFUSE(decoding, stored, err, "has codes (%s) and no scale, '%.*s%s'", stored->dtype_name,
               (int)(strlen(stored->name) - strlen(ending)) > 80
                   ? 80
                   : (int)(strlen(stored->name) - strlen(ending)),
               stored->name, endings[kind]);
    return add_coded(file, stored, scales, shard, decoding, err);
}

// The header that the shard has with these tensors, one after the other.
static enum status make_header(struct safetensors_file *file, struct error *err)
{
    json_t *header = json_object();
    uint64_t end = 0;
    char *text = NULL;
    int failed = 0;

    if (file->metadata != NULL)
        failed |= json_object_set_new(header, "__metadata__", json_loads(file->metadata, 0, NULL));
    for (size_t i = 0; i < file->count; i++) {
        struct safetensors_tensor *tensor = &file->tensors[i];
        const uint64_t size = tensor->end - tensor->begin;
        json_t *shape = json_array();
        for (size_t d = 0; d < tensor->rank; d++)
            failed |= json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d]));
        tensor->begin = end;
        tensor->end = end += size;
        failed |= json_object_set_new(header, tensor->name,
                                      json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype_name, "shape",
                                                shape, "data_offsets", (json_int_t)tensor->begin,
                                                (json_int_t)tensor->end));
    }
    if (failed == 0)
        text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    RETURN_ERROR_IF(text == NULL, err, STATUS_MEMORY, "out of memory for the header of %s", file->path);
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    const enum status status = allocate(&file->new_header, 8 + padded, 1, "the header of a shard", err);
    if (status == STATUS_OK) {
        for (size_t k = 0; k < 8; k++)
            file->new_header[k] = (uint8_t)(padded >> (8 * k) & 0xff);
        memset(file->new_header + 8, ' ', padded);
        memcpy(file->new_header + 8, text, length);
        file->exported = (struct safetensors_layout){file->new_header, 8 + padded, end};
    }
    free(text);
    return status;
}

static bool has_codes(const struct checkpoint *checkpoint, enum quantisation_kind kind)
{
    for (size_t i = 0; i < checkpoint->num_shards; i++)
        for (size_t j = 0; j < checkpoint->shards[i]->count; j++) {
            const struct safetensors_tensor *tensor = &checkpoint->shards[i]->tensors[j];
            if (kind == QUANTISATION_MXFP4 ? ends_with(tensor->name, "_blocks") : is_fp8(tensor))
                return true;
        }
    return false;
}

enum status checkpoint_decode(struct checkpoint *checkpoint, const struct quantisation *quantisation,
                              struct error *err)
{
    struct decoding decoding = {checkpoint, quantisation, 0};

    // A model that was saved dequantised may still say how it was quantised.
    if (quantisation->kind == QUANTISATION_NONE || !has_codes(checkpoint, quantisation->kind))
        return STATUS_OK;
    // The table of names stays as it is in the files until all shards are done.
    for (; decoding.shard < checkpoint->num_shards; decoding.shard++) {
        struct safetensors_file *file = checkpoint->shards[decoding.shard];
        file->tensors = NULL;
        file->count = 0;
        FORWARD_IF_ERROR(
            allocate(&file->tensors, file->stored_count, sizeof *file->tensors, "a list of tensors", err));
        FORWARD_IF_ERROR(allocate(&file->is_left_out, file->stored_count, sizeof *file->is_left_out,
                                  "a list of tensors", err));
        for (size_t i = 0; i < file->stored_count; i++)
            FORWARD_IF_ERROR(decode_tensor(file, &file->stored[i], &decoding, err));
        FORWARD_IF_ERROR(make_header(file, err));
    }
    return checkpoint_list_tensors(checkpoint, err);
}

void checkpoint_keep_codes(struct checkpoint *checkpoint)
{
    if (!checkpoint_is_coded(checkpoint))
        return;
    checkpoint->keeps_codes = true;
    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        struct safetensors_file *file = checkpoint->shards[i];
        file->exported = (struct safetensors_layout){file->mapping, file->header_bytes,
                                                     file->file_bytes - file->header_bytes};
        for (size_t j = 0; j < file->count; j++) {
            struct safetensors_tensor *tensor = &file->tensors[j];
            const uint64_t size = tensor->end - tensor->begin;
            const uint8_t *data = tensor->data;
            tensor->begin = tensor->coding != NULL ? tensor->coding->codes.begin
                                                   : (uint64_t)(data - file->mapping) - file->header_bytes;
            tensor->end = tensor->coding != NULL ? tensor->coding->codes.end : tensor->begin + size;
        }
    }
}

bool checkpoint_is_coded(const struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->num_shards; i++)
        if (checkpoint->shards[i]->tensors != checkpoint->shards[i]->stored)
            return true;
    return false;
}
