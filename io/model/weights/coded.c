#include "io/model/weights/coded.h"

#include <string.h>

enum { PIECE = 256 };

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static float scale_at(const struct coding *coding, uint64_t index)
{
    const struct safetensors_tensor *scales = &coding->scales;
    float scale;

    if (!scales->supported) // E8M0, also under the name of U8
        return e8m0_to_f32(((const uint8_t *)scales->data)[index]);
    dtype_to_f32(&scale, (const char *)scales->data + index * dtype_size(scales->dtype), scales->dtype, 1);
    return scale;
}

// A place among the codes.
struct place {
    uint64_t matrix, row, column;
};

static struct place place_of(const struct coding *coding, uint64_t element)
{
    const uint64_t size = coding->rows * coding->columns, within = element % size;
    const uint64_t width = coding->transposed ? coding->rows : coding->columns;
    struct place place = {.matrix = element / size};

    place.row = coding->transposed ? within % width : within / width;
    place.column = coding->transposed ? within / width : within % width;
    return place;
}

// out[n] <- codes along a row times their scales; they do not leave the row.
static void decode_row(float *out, const struct coding *coding, const struct place *place, size_t n)
{
    const uint64_t start = (place->matrix * coding->rows + place->row) * coding->columns + place->column;
    const uint64_t scales =
        (place->matrix * coding->scale_rows + place->row / coding->block_rows) * coding->scale_columns;

    for (size_t done = 0; done < n;) {
        const uint64_t column = place->column + done, block = column / coding->block_columns;
        const size_t count = (size_t)smaller(n - done, (block + 1) * coding->block_columns - column);
        codes_to_f32(out + done, coding->codes.data, coding->format, start + done, count,
                     scale_at(coding, scales + block));
        done += count;
    }
}

// Rounds values of products to the tensor's dtype.
static void round_values(float *values, const struct safetensors_tensor *tensor, size_t n)
{
    const enum dtype roundings[] = {tensor->coding->product, tensor->dtype};
    uint16_t room[PIECE];

    for (size_t k = 0; k < 2; k++) {
        if (roundings[k] == DTYPE_F32)
            continue;
        for (size_t i = 0; i < n; i += PIECE) {
            const size_t count = (size_t)smaller(PIECE, n - i);
            dtype_from_f32(room, values + i, roundings[k], count);
            dtype_to_f32(values + i, room, roundings[k], count);
        }
    }
}

void coded_elements(float *out, const struct safetensors_tensor *tensor, uint64_t first, uint64_t step,
                    size_t n)
{
    const struct coding *coding = tensor->coding;
    const uint64_t along = coding->transposed ? coding->rows : 1; // from a code to the next of its row

    for (size_t done = 0; done < n;) {
        const struct place place = place_of(coding, first + done * step);
        const size_t count = step == along ? (size_t)smaller(n - done, coding->columns - place.column) : 1;
        decode_row(out + done, coding, &place, count);
        done += count;
    }
    round_values(out, tensor, n);
}

// out <- `lines` whole rows of the tensor, whose rows are columns of codes, from element `first` on. The
// lines' codes are read together: they are neighbours.
static void transpose_lines(char *out, const struct safetensors_tensor *tensor, uint64_t first, size_t lines)
{
    const struct coding *coding = tensor->coding;
    const size_t size = dtype_size(tensor->dtype);
    float values[PIECE];
    char bytes[PIECE * sizeof(float)];

    for (uint64_t i = 0; i < coding->rows; i++) {
        coded_elements(values, tensor, first + i, coding->rows, lines);
        dtype_from_f32(bytes, values, tensor->dtype, lines);
        for (size_t k = 0; k < lines; k++)
            memcpy(out + (k * coding->rows + i) * size, bytes + k * size, size);
    }
}

void tensor_elements(void *out, const struct safetensors_tensor *tensor, uint64_t first, size_t n)
{
    const size_t size = dtype_size(tensor->dtype);
    const struct coding *coding = tensor->coding;
    float values[PIECE];

    if (coding == NULL) {
        memcpy(out, (const char *)tensor->data + first * size, n * size);
        return;
    }
    for (size_t done = 0; done < n;) {
        char *to = (char *)out + done * size;
        const uint64_t element = first + done;
        size_t count = (size_t)smaller(PIECE, n - done);
        if (coding->transposed && element % coding->rows == 0 && n - done >= coding->rows) {
            // Up to the end of a block of codes, and of its matrix.
            const uint64_t column = place_of(coding, element).column;
            const uint64_t block = coding->block_columns - column % coding->block_columns;
            const size_t lines = (size_t)smaller(smaller(smaller(block, PIECE), coding->columns - column),
                                                 (n - done) / coding->rows);
            transpose_lines(to, tensor, element, lines);
            done += lines * coding->rows;
            continue;
        }
        if (coding->transposed) // the rest of a row
            count = (size_t)smaller(count, coding->rows - element % coding->rows);
        coded_elements(values, tensor, element, 1, count);
        dtype_from_f32(to, values, tensor->dtype, count);
        done += count;
    }
}

void coded_span(uint64_t *begin, uint64_t *end, const struct safetensors_tensor *tensor, uint64_t first,
                uint64_t last)
{
    const struct coding *coding = tensor->coding;
    const struct place from = place_of(coding, first), to = place_of(coding, last);
    const uint64_t bits = code_bits(coding->format);

    *begin = ((from.matrix * coding->rows + from.row) * coding->columns) * bits / 8;
    *end = ((to.matrix * coding->rows + to.row + 1) * coding->columns * bits + 7) / 8;
}
