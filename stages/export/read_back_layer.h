// read_back_layer.h - what a shard has of a layer against the store: pruned linears, with the zeros of their
// masks, biases that the variant set, and rows that moved.
#pragma once
#include "stages/export/read_back_file.h"

// Marks in back->from_store what it compared. Collective.
enum status read_back_layer(struct read_back *back, size_t layer, struct error *err);
