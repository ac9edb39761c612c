#include "stages/export/code_matrices.h"

#include "io/file/run_paths.h"
#include "io/model/tensor_rows.h"
#include "io/model/weights/coded.h"
#include "kernels/pruning/masks/select.h"

#include <stdlib.h>
#include <string.h>

static const size_t piece_bytes = (size_t)1 << 20; // of masks at a time

size_t code_matrices(const struct safetensors_tensor *tensor)
{
    return (size_t)(safetensors_elements(tensor) / (tensor->coding->rows * tensor->coding->columns));
}

size_t code_matrix_bytes(const struct safetensors_tensor *tensor)
{
    const struct coding *coding = tensor->coding;
    return (size_t)(coding->rows * coding->columns * code_bits(coding->format) / 8);
}

// element: counted within the matrix, as the tensor has it. A code of zeros is the number zero in all
// formats.
static void clear_code(uint8_t *bytes, const struct coding *coding, uint64_t element)
{
    const uint64_t code =
        coding->transposed ? element % coding->rows * coding->columns + element / coding->rows : element;

    if (code_bits(coding->format) == 8)
        bytes[code] = 0;
    else
        bytes[code / 2] &= code % 2 == 0 ? 0xf0 : 0x0f;
}

// Makes the codes of one linear zero that its mask prunes. first: the matrix's first element in the tensor.
static enum status clear_linear(uint8_t *bytes, const struct layer_tensor *linear, uint64_t first,
                                const struct store_reader *masks, struct error *err)
{
    const size_t mask_bytes = mask_row_bytes(linear->in);
    const size_t most = mask_bytes < piece_bytes ? piece_bytes / mask_bytes : 1;
    char name[DATASET_PATH_SIZE];
    uint8_t *mask = NULL;
    enum status status =
        allocate(&mask, most < linear->out ? most : linear->out, mask_bytes, "rows of a mask", err);

    dataset_path(name, linear->linear, DATASET_MASK);
    for (size_t row = 0; row < linear->out && status == STATUS_OK; row += most) {
        const size_t n = linear->out - row < most ? linear->out - row : most;
        status = store_read(masks, name, STORE_U8, row, n, mask, err);
        for (size_t i = 0; i < n && status == STATUS_OK; i++)
            for (size_t j = 0; j < linear->in; j++)
                if (!(mask[i * mask_bytes + j / 8] >> (j % 8) & 1))
                    clear_code(bytes, linear->tensor->coding,
                               tensor_rows_element(linear, row + i, j) - first);
    }
    free(mask);
    return status;
}

enum status code_matrix_fill(void *bytes, const struct safetensors_tensor *tensor, size_t index,
                             const struct stage *stage, const struct layer_map *map,
                             const struct store_reader *masks, struct error *err)
{
    const uint64_t elements = tensor->coding->rows * tensor->coding->columns, first = index * elements;
    const size_t size = code_matrix_bytes(tensor);

    memcpy(bytes, (const char *)tensor->coding->codes.data + index * size, size);
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *linear = &map->tensors[i];
        if (linear->tensor == tensor && linear->view.start >= first &&
            linear->view.start < first + elements && tensor_is_pruned(stage->settings, map->layer, linear))
            FORWARD_IF_ERROR(clear_linear(bytes, linear, first, masks, err));
    }
    return STATUS_OK;
}
