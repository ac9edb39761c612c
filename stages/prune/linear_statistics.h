// linear_statistics.h - what the calibration says of a linear's input channels (stages/layer/calibrate.h).
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

struct linear_statistics {
    uint64_t tokens;                  // that reached the linear
    bool suffice;                     // whether they are enough to score by (stages/layer/few_tokens.h)
    double *second_moment, *variance; // [in]
};
// Reads them from statistics/STREAM/layer-l.h5. Not collective. Freed with linear_statistics_free, also after
// an error.
enum status linear_statistics_read(struct linear_statistics *statistics, const struct store_reader *reader,
                                   const struct layer_tensor *tensor, struct error *err);
void linear_statistics_free(struct linear_statistics *statistics);
