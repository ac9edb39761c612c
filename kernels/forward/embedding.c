#include "kernels/forward/embedding.h"
#include "kernels/threads.h"

// Adds count values of a table, of any alignment, to hidden.
static void add_values(float *hidden, const unsigned char *values, enum dtype dtype, size_t count)
{
    enum { CHUNK = 256 };
    float expanded[CHUNK];

    for (size_t i = 0; i < count; i += CHUNK) {
        const size_t n = count - i < CHUNK ? count - i : CHUNK;
        dtype_to_f32(expanded, values + i * dtype_size(dtype), dtype, n);
        for (size_t j = 0; j < n; j++)
            hidden[i + j] += expanded[j];
    }
}

struct tokens {
    float *hidden;
    const struct embedding *embedding;
    const int32_t *ids;
};

static void embed(const void *context, size_t first_token, size_t count, size_t thread)
{
    const struct tokens *tokens = context;
    const struct embedding *embedding = tokens->embedding;
    const size_t size = embedding->hidden_size;
    const size_t row_size = embedding->row_size != 0 ? embedding->row_size : size;
    const unsigned char *table = embedding->table, *positions = embedding->positions;

    (void)thread;
    for (size_t t = first_token; t < first_token + count; t++) {
        float *row = tokens->hidden + t * size;
        const size_t first = embedding->first_value + (size_t)tokens->ids[t] * row_size;
        if (embedding->read != NULL)
            embedding->read(row, table, first, size);
        else
            dtype_to_f32(row, table + first * dtype_size(embedding->dtype), embedding->dtype, size);
        for (size_t i = 0; i < size && embedding->scale != 1.0F; i++)
            row[i] *= embedding->scale;
        if (positions != NULL) {
            const size_t offset =
                (embedding->first_position + t) * size * dtype_size(embedding->positions_dtype);
            add_values(row, positions + offset, embedding->positions_dtype, size);
        }
    }
}

void embedding_forward(float *hidden, const struct embedding *embedding, const int32_t *ids, size_t tokens)
{
    const struct tokens all = {hidden, embedding, ids};

    threads_share(tokens, threads_grain(embedding->hidden_size), embed, &all);
}
