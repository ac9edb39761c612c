// heads.h - where the heads of queries, keys or values lie among the channels of their tokens.
#pragma once
#include <stddef.h>

// Head h of token t starts at data + t * token_stride + h * head_stride; strides are in floats.
struct heads {
    float *data;
    size_t tokens, token_stride;
    size_t num_heads, head_stride;
};
