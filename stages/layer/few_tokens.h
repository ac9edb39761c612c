// few_tokens.h - experts to which the router gave too few calibration tokens, and how they are pruned
// (kernels/METHOD.md §11).
//
// Without tokens every score would be 0, and with a few the noise of the statistics does more harm than good:
//   fewer than FEWEST_EXPERT_TOKENS   the expert is pruned by its weights alone, as if all its input channels
//                                     were equally active: statistics of 1. Then wanda and sparsegpt score
//                                     like magnitude, ria by relative importance, cvr by column variance.
//   fewer than twice a linear's width sparsegpt treats the input channels as independent: only the
//                                     diagonal of H is used and nothing is corrected. A Hessian of about as
//                                     many tokens as channels is worse than none.
// Nothing is borrowed from other experts or other tokens. A notice names the experts; the attributes of the
// masks, coppice.json and the report mark every such linear.
//
// Measured with jobs/demo's model (hidden size 128) at 50 % on as many tokens, in sequences of 8, mean of
// four seeds; perplexity, 23.4 for magnitude: wanda 26.1 with 16 tokens, 24.7 with 32, 23.8 with 64, 23.3
// with 128, 22.9 with 256; sparsegpt 24.8 with 2, 48 with 32, 65 with 64, 38 with 128, 24.2 with 256, 20.4
// with 1024.
#pragma once
#include "io/store/store.h"
#include "stages/stage.h"
#include <jansson.h>

enum { FEWEST_EXPERT_TOKENS = 128 };

enum few_tokens { TOKENS_SUFFICE = 0, TOKENS_FOR_DIAGONAL, TOKENS_FOR_NOTHING };
// Whether `tokens` suffice. For linears that do not belong to an expert any number does.
enum few_tokens few_tokens_of(const struct layer_tensor *tensor, uint64_t tokens, bool hessian);

// Gives notice of a layer's pruned experts that saw too few tokens: which, and how many each. tokens[source]
// of the whole team; hessian: also of those with too few for H.
void few_tokens_notice(const struct stage *stage, const struct layer_map *map, const uint64_t *tokens,
                       bool hessian);

// Attributes of the mask of an expert's linear that was made from statistics or H: "tokens", and "fallback",
// which is "none", "diagonal" or "weights". Nothing for other linears. Collective.
enum status few_tokens_write(struct store_writer *masks, const struct layer_tensor *tensor, uint64_t tokens,
                             bool hessian, struct error *err);
// The same two as members of `row`, where they are. Not collective.
enum status few_tokens_describe(json_t *row, const struct store_reader *masks, const char *linear,
                                struct error *err);
