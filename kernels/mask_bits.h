// mask_bits.h - between the bits of a mask row and one byte (0 or 1) per column, eight at a time.
#pragma once
#include "kernels/simd.h"
#include <stddef.h>
#include <stdint.h>

// keep[8] <- the eight bits of byte, lowest first.
SIMD_INLINE void mask_unpack8(uint8_t *keep, uint8_t byte)
{
    // Byte k of the product keeps bit k alone; adding 0x7f carries it to the top of its byte, never beyond.
    const uint64_t bits = (byte * UINT64_C(0x0101010101010101)) & UINT64_C(0x8040201008040201);
    const uint64_t ones = ((bits + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7) & UINT64_C(0x0101010101010101);

    for (size_t k = 0; k < 8; k++)
        keep[k] = (uint8_t)(ones >> (8 * k));
}

// The reverse; every keep[8] is 0 or 1.
SIMD_INLINE uint8_t mask_pack8(const uint8_t *keep)
{
    uint64_t ones = 0;

    for (size_t k = 0; k < 8; k++)
        ones |= (uint64_t)keep[k] << (8 * k);
    // Moves bit 8k to bit 56 + k; all the other products fall on places of their own.
    return (uint8_t)((ones * UINT64_C(0x0102040810204080)) >> 56);
}

// keep[count] <- the columns [first, first + count) of a mask row.
SIMD_INLINE void mask_unpack(uint8_t *keep, const uint8_t *mask, size_t first, size_t count)
{
    size_t j = 0;

    for (; j < count && (first + j) % 8 != 0; j++)
        keep[j] = mask[(first + j) / 8] >> ((first + j) % 8) & 1;
    for (; j + 8 <= count; j += 8)
        mask_unpack8(keep + j, mask[(first + j) / 8]);
    for (; j < count; j++)
        keep[j] = mask[(first + j) / 8] >> ((first + j) % 8) & 1;
}
