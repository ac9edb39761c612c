// codes.h - numbers of eight or four bits, as weights are stored in: each code times a scale that a block of
// them shares (kernels/METHOD.md §14).
//
// E4M3 and E5M2: OCP 8-bit Floating Point Specification 1.0; E4M3 has no infinity, and one NaN of each sign.
// E2M1 and the scale E8M0: OCP Microscaling Formats 1.0; the low half of a byte is the first number.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum code_format { CODES_E4M3 = 0, CODES_E5M2 = 1, CODES_E2M1 = 2 };

// Bits of one code: 8, 8, 4.
unsigned code_bits(enum code_format format);

// out[n] = value of the code * scale, rounded once to float32. The codes are those from index `first` of the
// array that `codes` begins. NaN and infinity codes give NaN and infinity.
void codes_to_f32(float *out, const void *codes, enum code_format format, size_t first, size_t n,
                  float scale);

// 2^(code - 127); NaN for 255.
float e8m0_to_f32(uint8_t code);
