// observer.h - sees the inputs of linears while a layer is computed. Calibration gathers its statistics with
// it.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Called with the input of the linears of one statistics source (see kernels/forward/layer.h) just before
// they are applied: x[tokens, channels]. At most once for a source in a sequence; an expert to which no token
// was routed is not called. With `stops` the pass ends when the input of source `last` has been seen, and
// leaves its output undefined.
struct decoder_observer {
    void *context;
    void (*input)(void *context, size_t source, const float *x, size_t tokens, size_t channels);
    bool stops;
    size_t last;
};

// observer may be NULL. False when the pass ends here.
static inline bool notify_observer(const struct decoder_observer *observer, size_t source, const float *x,
                                   size_t tokens, size_t channels)
{
    if (observer == NULL)
        return true;
    if (tokens != 0)
        observer->input(observer->context, source, x, tokens, channels);
    return !observer->stops || source != observer->last;
}
