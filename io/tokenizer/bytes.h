// bytes.h - GPT-2's alphabet, in which every byte is a printable character: ByteLevel.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"

// Appends to out one character (U+0021 to U+0143) for each byte of `size` bytes. The rule is that of
// bytes_to_unicode in GPT-2's encoder.py: printable Latin-1 stays, the other 68 bytes follow from U+0100 on.
enum status byte_level_append(struct text *out, const char *bytes, size_t size, struct error *err);
