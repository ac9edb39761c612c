// coded.h - tensors whose elements are stored as codes of eight or four bits with scales: FP8 by blocks, by
// rows or with one scale, and MXFP4.
//
// A checkpoint that is opened shows such a pair of tensors as one, with the name, shape and dtype that it has
// in a model that is not quantised; what reads elements comes here. The values are those that Hugging Face
// transformers computes when it loads the checkpoint dequantised (integrations/finegrained_fp8.py,
// compressed_tensors.py, mxfp4.py): code times scale in float32, rounded to `product` and then to the
// tensor's dtype.
#pragma once
#include "io/model/weights/safetensors.h"
#include "kernels/codes.h"

struct coding {
    enum code_format format;
    // A matrix of codes lies as the tensor's [rows, columns], or the other way round (MXFP4): element (i, j)
    // of the tensor is then code (j, i).
    bool transposed;
    uint64_t rows, columns;             // of a matrix of codes; a tensor of three dimensions has several
    uint64_t block_rows, block_columns; // that share a scale; the last of a row or column may be smaller
    uint64_t scale_rows, scale_columns; // blocks of a matrix
    enum dtype product;
    struct safetensors_tensor codes, scales; // as they are in the file; their names are the file's
    size_t scales_shard;
};

// out[n] float32 <- the elements first, first + step, ... of a tensor with a coding. They are values of the
// tensor's dtype.
void coded_elements(float *out, const struct safetensors_tensor *tensor, uint64_t first, uint64_t step,
                    size_t n);

// out <- n elements from `first` on of any tensor, in its dtype, as an unquantised file has them.
void tensor_elements(void *out, const struct safetensors_tensor *tensor, uint64_t first, size_t n);

// Which codes make the n elements: the bytes [*begin, *end) of coding->codes hold them all.
void coded_span(uint64_t *begin, uint64_t *end, const struct safetensors_tensor *tensor, uint64_t first,
                uint64_t last);
