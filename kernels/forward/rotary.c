#include "kernels/forward/rotary.h"
#include "kernels/threads.h"

#include <math.h>

void rotary_angles(float *cosine, float *sine, const float *frequencies, size_t pairs, size_t tokens,
                   float scale)
{
    for (size_t t = 0; t < tokens; t++) {
        for (size_t i = 0; i < pairs; i++) {
            const float angle = (float)t * frequencies[i];
            cosine[t * pairs + i] = (float)cos((double)angle) * scale;
            sine[t * pairs + i] = (float)sin((double)angle) * scale;
        }
    }
}

struct turn {
    const struct heads *heads;
    size_t pairs;
    const float *cosine, *sine;
};

static void turn_halves(const void *context, size_t first, size_t count, size_t thread)
{
    const struct turn *turn = context;
    const struct heads *heads = turn->heads;
    const size_t pairs = turn->pairs;

    (void)thread;
    for (size_t t = first; t < first + count; t++) {
        const float *c = turn->cosine + t * pairs, *s = turn->sine + t * pairs;
        for (size_t h = 0; h < heads->num_heads; h++) {
            float *low = heads->data + t * heads->token_stride + h * heads->head_stride, *high = low + pairs;
            for (size_t i = 0; i < pairs; i++) {
                const float a = low[i], b = high[i];
                low[i] = a * c[i] - b * s[i];
                high[i] = b * c[i] + a * s[i];
            }
        }
    }
}

static void turn_neighbours(const void *context, size_t first, size_t count, size_t thread)
{
    const struct turn *turn = context;
    const struct heads *heads = turn->heads;
    const size_t pairs = turn->pairs;

    (void)thread;
    for (size_t t = first; t < first + count; t++) {
        const float *c = turn->cosine + t * pairs, *s = turn->sine + t * pairs;
        for (size_t h = 0; h < heads->num_heads; h++) {
            float *head = heads->data + t * heads->token_stride + h * heads->head_stride;
            for (size_t i = 0; i < pairs; i++) {
                const float a = head[2 * i], b = head[2 * i + 1];
                head[2 * i] = a * c[i] - b * s[i];
                head[2 * i + 1] = b * c[i] + a * s[i];
            }
        }
    }
}

void rotary_forward(const struct heads *heads, size_t rotary_dim, const float *cosine, const float *sine)
{
    const struct turn turn = {heads, rotary_dim / 2, cosine, sine};

    threads_share(heads->tokens, threads_grain(heads->num_heads * rotary_dim), turn_halves, &turn);
}

void rotary_forward_interleaved(const struct heads *heads, size_t rotary_dim, const float *cosine,
                                const float *sine)
{
    const struct turn turn = {heads, rotary_dim / 2, cosine, sine};

    threads_share(heads->tokens, threads_grain(heads->num_heads * rotary_dim), turn_neighbours, &turn);
}
