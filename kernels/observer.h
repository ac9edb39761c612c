// observer.h - looks at the inputs of linears while a layer is computed: how calibration gathers its
// statistics.
#pragma once
#include <stddef.h>

// Called with the input of the linears of one statistics source (see kernels/decoder.h) just before they are
// applied: x[tokens, channels]. At most once for a source in a sequence; an expert to which no token was
// routed is not called.
struct decoder_observer {
    void *context;
    void (*input)(void *context, size_t source, const float *x, size_t tokens, size_t channels);
};

// observer may be NULL.
static inline void notify_observer(const struct decoder_observer *observer, size_t source, const float *x,
                                   size_t tokens, size_t channels)
{
    if (observer != NULL && tokens != 0)
        observer->input(observer->context, source, x, tokens, channels);
}
