// alibi.h - attention with linear biases (Press, Smith and Lewis, ALiBi, 2022), as the families of Hugging
// Face transformers compute it: a head's scores fall with the distance between query and key.
#pragma once
#include <stddef.h>

enum alibi_kind {
    ALIBI_NONE = 0,
    ALIBI_PLAIN,  // slopes 2^(-8 i / n) of heads i = 1 ... n, n a power of 2; for other n those of the power
                  // below, then every other one of the power above
    ALIBI_FALCON, // the same, rounded to bfloat16, as are their products with positions; scaled like scores
};

// bias[heads, tokens]: slope * position. The score of query q and key k gets bias[k] - bias[q]. scale: the
// attention's, for ALIBI_FALCON.
void alibi_biases(float *bias, enum alibi_kind kind, size_t heads, size_t tokens, float scale);
