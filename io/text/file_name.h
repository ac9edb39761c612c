// file_name.h - what the name of a file says of it, in any case of letters.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum packing { PACKING_NONE = 0, PACKING_GZIP, PACKING_ZSTD };

// That of the name's ending, .gz or .zst.
enum packing packing_of_name(const char *path);
// The length of the name without such an ending.
size_t unpacked_name_size(const char *path);
// Whether the name without such an ending ends so.
bool unpacked_name_ends_in(const char *path, const char *ending);

// Whether it is that of weights, in whatever format: .safetensors, .gguf, .bin and others.
bool is_name_of_weights(const char *path);
// Whether it is that of a list of shards: the name of weights and .index.json.
bool is_name_of_weights_index(const char *path);
// Whether it is that of a file in a model's folder that only people read: a card, a licence, a picture.
bool is_name_of_prose(const char *name);

// .jsonl, .ndjson, .jl and .json; .raw; .txt. Others may be texts as well, but not those of a folder.
enum text_name { TEXT_NAME_OTHER = 0, TEXT_NAME_JSON, TEXT_NAME_RAW, TEXT_NAME_PLAIN };
enum text_name text_name_of(const char *path);
// ".jsonl, .ndjson, ... or .raw", the endings of all of them. Returns text.
enum { TEXT_ENDINGS_SIZE = 96 };
const char *text_name_endings(char text[TEXT_ENDINGS_SIZE]);
