#include "kernels/forward/feed_forward.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

// The inner channels are computed a slab at a time, so that only one of the two branches is held whole; with
// so many channels for each thread.
enum { SLAB = 1024 };

static size_t slab_channels(size_t intermediate)
{
    const size_t most = SLAB * threads_count();
    return intermediate < most ? intermediate : most;
}

size_t feed_forward_workspace_size(size_t intermediate_size, bool has_gate, size_t tokens)
{
    const size_t slab = slab_channels(intermediate_size);
    return cache_lines(tokens * intermediate_size) + (has_gate ? cache_lines(tokens * slab) : 0);
}

bool feed_forward(float *out, const struct feed_forward *mlp, const float *x, size_t tokens, float *workspace,
                  const struct decoder_observer *observer, size_t source)
{
    const size_t intermediate = mlp->up.out, most = slab_channels(intermediate);
    float *inner = workspace, *slab = workspace + cache_lines(tokens * intermediate);

    if (!notify_observer(observer, source, x, tokens, mlp->up.in))
        return false;
    for (size_t first = 0; first < intermediate; first += most) {
        const size_t count = intermediate - first < most ? intermediate - first : most;
        const struct linear up = linear_slice(&mlp->up, first, count);
        if (mlp->gate.weight == NULL) {
            linear_forward(inner + first, intermediate, &up, x, tokens);
            continue;
        }
        const struct linear gate = linear_slice(&mlp->gate, first, count);
        linear_forward(inner + first, intermediate, &gate, x, tokens);
        linear_forward(slab, count, &up, x, tokens);
        if (mlp->activation == ACTIVATION_CLAMPED_SWIGLU)
            clamped_swiglu_gate(inner + first, intermediate, slab, tokens, count, &mlp->swiglu);
        else
            activation_gate(inner + first, intermediate, slab, count, tokens, count, mlp->activation);
    }
    if (mlp->gate.weight == NULL && mlp->activation == ACTIVATION_XIELU)
        xielu_forward(inner, tokens * intermediate, &mlp->xielu);
    else if (mlp->gate.weight == NULL)
        activation_forward(inner, tokens * intermediate, mlp->activation);
    if (!notify_observer(observer, source + 1, inner, tokens, intermediate))
        return false;
    linear_forward(out, mlp->down.out, &mlp->down, inner, tokens);
    return true;
}
