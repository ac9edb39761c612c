// quantisation.h - what config.json says of quantised weights: which kinds are read (coded.h), all others are
// refused by name.
#pragma once
#include "io/model/config_reader.h"
#include "kernels/dtype.h"

enum quantisation_kind {
    QUANTISATION_NONE = 0,
    QUANTISATION_FP8,            // quant_method "fp8": "<weight>_scale_inv"
    QUANTISATION_COMPRESSED_FP8, // "compressed-tensors", format "float-quantized": "<weight>_scale"
    QUANTISATION_MXFP4,          // "mxfp4": "<weight>_blocks", "<weight>_scales"
};

enum { QUANTISATION_MOST_BLOCKS = 8 };

struct quantisation {
    enum quantisation_kind kind;
    bool left_over;   // by a compressor that has compressed nothing; kind is then QUANTISATION_NONE
    enum dtype dtype; // of the weights when they are dequantised: config.json's dtype, else bfloat16
    size_t num_blocks;
    struct {
        size_t rows, columns; // that share a scale
    } blocks[QUANTISATION_MOST_BLOCKS];
};

// Reads the keys quantization_config and compression_config of an object, and `dtype` at the root. What is
// not supported is STATUS_INPUT and names key and method; what only says that nothing is quantised is
// QUANTISATION_NONE.
enum status quantisation_read(struct quantisation *quantisation, const struct config_reader *reader,
                              const struct config_reader *root, struct error *err);
