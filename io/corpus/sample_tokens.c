// Calibration from token ids that someone else drew: the dataset "tokens" of an HDF5 file.
#include "io/corpus/sample.h"

#include "io/file/hdf5_file.h"
#include "io/file/interrupt.h"

#include <stdlib.h>

// Rows are read a few at a time, so that their 64-bit copy stays small compared with the result.
static const size_t batch_elements = (size_t)1 << 18;

struct token_file {
    const char *path;
    hid_t file, dataset, space;
    hsize_t dims[2];
};

static enum status open_tokens(struct token_file *tokens, struct error *err)
{
    const char *path = tokens->path;

    FORWARD_IF_ERROR(hdf5_file_open(&tokens->file, path, true, STATUS_INPUT, err));
    FORWARD_IF_ERROR(hdf5_dataset_open(&tokens->dataset, tokens->file, "tokens", path, STATUS_INPUT, err));

    const hid_t type = H5Dget_type(tokens->dataset);
    const bool integers = type >= 0 && H5Tget_class(type) == H5T_INTEGER;
    if (type >= 0)
        H5Tclose(type);
    RETURN_ERROR_IF(!integers, err, STATUS_INPUT, "%s: \"tokens\" does not hold integers", path);

    tokens->space = H5Dget_space(tokens->dataset);
    RETURN_ERROR_IF(tokens->space < 0 || H5Sget_simple_extent_ndims(tokens->space) != 2 ||
                        H5Sget_simple_extent_dims(tokens->space, tokens->dims, NULL) != 2,
                    err, STATUS_INPUT, "%s: \"tokens\" is not of two dimensions, [sequences, length]", path);
    RETURN_ERROR_IF(tokens->dims[0] == 0 || tokens->dims[1] == 0, err, STATUS_INPUT,
                    "%s: \"tokens\" is empty", path);
    RETURN_ERROR_IF(tokens->dims[1] > SIZE_MAX / sizeof(int64_t), err, STATUS_INPUT,
                    "%s: \"tokens\" is too large for this machine's addresses", path);
    return STATUS_OK;
}

static enum status read_rows(const struct token_file *tokens, size_t first, size_t count, int64_t *wide,
                             int32_t *ids, struct error *err)
{
    const size_t length = (size_t)tokens->dims[1];
    const hsize_t start[2] = {first, 0}, extent[2] = {count, length};
    const hid_t memory = H5Screate_simple(2, extent, NULL);
    const bool done =
        memory >= 0 && H5Sselect_hyperslab(tokens->space, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0 &&
        H5Dread(tokens->dataset, H5T_NATIVE_INT64, memory, tokens->space, H5P_DEFAULT, wide) >= 0;

    if (memory >= 0)
        H5Sclose(memory);
    RETURN_ERROR_IF(!done, err, STATUS_INPUT, "%s: \"tokens\" cannot be read from sequence %zu on",
                    tokens->path, first);
    for (size_t i = 0; i < count * length; i++) {
        RETURN_ERROR_IF(wide[i] < 0 || wide[i] > INT32_MAX, err, STATUS_INPUT,
                        "%s: \"tokens\" [%zu, %zu] is %lld, not a token id", tokens->path, first + i / length,
                        i % length, (long long)wide[i]);
        ids[i] = (int32_t)wide[i];
    }
    return STATUS_OK;
}

static enum status read_first(int32_t **ids, struct token_file *tokens, const struct token_request *request,
                              struct error *err)
{
    int64_t *wide = NULL;
    enum status status;

    FORWARD_IF_ERROR(open_tokens(tokens, err));
    const size_t length = (size_t)tokens->dims[1];
    RETURN_ERROR_IF(length != request->length || tokens->dims[0] < request->fewest, err, STATUS_INPUT,
                    "%s: holds %llu sequences of %zu tokens, the job asks for %zu of %zu", tokens->path,
                    (unsigned long long)tokens->dims[0], length, request->fewest, request->length);
    const size_t sequences = tokens->dims[0] < request->most ? (size_t)tokens->dims[0] : request->most;
    tokens->dims[0] = sequences;
    const size_t batch = length < batch_elements ? batch_elements / length : 1;
    GOTO_IF_ERROR(allocate(ids, sequences * length, sizeof **ids, "token ids", err), done);
    GOTO_IF_ERROR(allocate(&wide, batch * length, sizeof *wide, "token ids", err), done);
    for (size_t first = 0; first < sequences; first += batch) {
        const size_t count = sequences - first < batch ? sequences - first : batch;
        GOTO_IF_ERROR(interrupt_check(err), done);
        GOTO_IF_ERROR(read_rows(tokens, first, count, wide, *ids + first * length, err), done);
    }
done:
    free(wide);
    return status;
}

enum status sample_load_tokens(int32_t **ids, size_t *sequences, const char *path,
                               const struct token_request *request, struct error *err)
{
    struct token_file tokens = {.path = path, .file = -1, .dataset = -1, .space = -1};
    H5E_auto2_t print;
    void *print_data;

    *ids = NULL;
    *sequences = 0;
    H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); // our one line instead of HDF5's stack
    const enum status status = read_first(ids, &tokens, request, err);
    if (tokens.space >= 0)
        H5Sclose(tokens.space);
    if (tokens.dataset >= 0)
        H5Dclose(tokens.dataset);
    if (tokens.file >= 0)
        H5Fclose(tokens.file);
    H5Eset_auto2(H5E_DEFAULT, print, print_data);
    if (status != STATUS_OK) {
        free(*ids);
        *ids = NULL;
        return status;
    }
    *sequences = (size_t)tokens.dims[0];
    return STATUS_OK;
}
