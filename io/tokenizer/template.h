// template.h - the "post_processor" of tokenizer.json: the special tokens around the ids of a text.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>

struct templates; // opaque

// value is the member "post_processor", null for none. Knows TemplateProcessing (its template for a single
// text), BertProcessing, RobertaProcessing, ByteLevel (which changes offsets alone) and Sequence; others are
// refused by name. Freed with templates_free.
enum status templates_from_json(struct templates **templates, const json_t *value, struct error *err);
void templates_free(struct templates *templates); // NULL is fine

// Largest id + 1, 0 without special tokens.
size_t templates_bound(const struct templates *templates);

// Replaces ids by the templates filled with them. Without special tokens only the places of the text count.
enum status templates_apply(const struct templates *templates, bool add_special_tokens, struct ids *ids,
                            struct error *err);
