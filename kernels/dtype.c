#include "kernels/dtype.h"
#include "kernels/float_bits.h"
#include "kernels/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4},
    [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2},
};

size_t dtype_size(enum dtype dtype)
{
    return dtypes[dtype].size;
}

const char *dtype_name(enum dtype dtype)
{
    return dtypes[dtype].name;
}

// ---- one value; no branches, so that loops over them vectorise ------------------------------------------

SIMD_INLINE float f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7fff;
    // The exponent's bias is 15 there and 127 here; the exponent of infinity and NaN is all ones in both.
    const uint32_t normal = (magnitude << 13) + (magnitude < 0x7c00 ? 112U << 23 : 224U << 23);
    const uint32_t subnormal = float_bits((float)(int32_t)magnitude * 0x1p-24F);
    const uint32_t is_subnormal = 0 - (uint32_t)(magnitude < 0x0400); // a mask: ?: would become a branch

    return float_from_bits(sign | (subnormal & is_subnormal) | (normal & ~is_subnormal));
}

SIMD_INLINE uint16_t f16_from_f32(float x)
{
    const uint32_t sign = float_bits(x) >> 16 & 0x8000;
    const uint32_t magnitude = float_bits(x) & 0x7fffffff;
    // Half an ulp, less one bit where the last kept bit is even; a carry into the exponent is what it should
    // be.
    const uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112U << 23)) >> 13;
    // Between 0.5 and 1 a float's ulp is 2^-24, the smallest half: the addition rounds to it.
    const uint32_t subnormal = float_bits(float_from_bits(magnitude) + 0.5F) - float_bits(0.5F);
    const uint32_t infinite = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x3ff) : 0x7c00;
    const uint32_t finite = magnitude < 0x38800000 ? subnormal : normal;

    return (uint16_t)(sign | (magnitude < 0x47800000 ? finite : infinite)); // 2^-14, 2^16
}

SIMD_INLINE float bf16_to_f32(uint16_t bf16)
{
    return float_from_bits((uint32_t)bf16 << 16);
}

SIMD_INLINE uint16_t bf16_from_f32(float x)
{
    const uint32_t bits = float_bits(x);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const uint32_t nan = bits >> 16 | 0x0040; // quiet, so that cutting the payload cannot leave an infinity

    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

// To float32, rounded to odd: what is not exact is cut towards zero and its last bit set. A float32 has more
// than two bits to spare over both 16-bit formats, so rounding that to nearest afterwards gives what rounding
// x to nearest at once gives (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
// algorithms using rounding to odd", IEEE Trans. Computers 57, 2008).
SIMD_INLINE float f32_round_to_odd(double x)
{
    const float nearest = (float)x;
    const double back = (double)nearest;
    uint32_t bits = float_bits(nearest);

    bits -= fabs(back) > fabs(x) ? 1 : 0; // beyond the largest float32 this also makes infinity finite again
    bits |= back != x ? 1 : 0;            // NaN stays NaN
    return float_from_bits(bits);
}

// The same for what is no subnormal float32, in fewer instructions: the bits that a float32 has no room for
// are cut off, and leave a one in its last bit, before x is converted, which is then exact.
SIMD_INLINE float f32_round_to_odd_if_normal(double x)
{
    const uint64_t surplus = (UINT64_C(1) << 29) - 1;
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    bits = (bits | ((bits & surplus) + surplus)) & ~surplus;
    memcpy(&x, &bits, sizeof x);
    return (float)x;
}

// ---- arrays ---------------------------------------------------------------------------------------------

SIMD_CLONES
static void f16_to_f32_array(float *restrict out, const unsigned char *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, in + 2 * i, sizeof half);
        out[i] = f16_to_f32(half);
    }
}

SIMD_CLONES
static void bf16_to_f32_array(float *restrict out, const unsigned char *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t bf16;
        memcpy(&bf16, in + 2 * i, sizeof bf16);
        out[i] = bf16_to_f32(bf16);
    }
}

static void convert_to_f32(float *out, const void *in, enum dtype dtype, size_t n)
{
    switch (dtype) {
    case DTYPE_F32:
        if (n > 0)
            memcpy(out, in, n * sizeof *out);
        break;
    case DTYPE_F16:
        f16_to_f32_array(out, in, n);
        break;
    case DTYPE_BF16:
        bf16_to_f32_array(out, in, n);
        break;
    }
}

SIMD_CLONES
static void f16_from_f32_array(unsigned char *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = f16_from_f32(in[i]);
        memcpy(out + 2 * i, &half, sizeof half);
    }
}

SIMD_CLONES
static void bf16_from_f32_array(unsigned char *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t bf16 = bf16_from_f32(in[i]);
        memcpy(out + 2 * i, &bf16, sizeof bf16);
    }
}

static void convert_from_f32(void *out, const float *in, enum dtype dtype, size_t n)
{
    switch (dtype) {
    case DTYPE_F32:
        if (n > 0)
            memcpy(out, in, n * sizeof *in);
        break;
    case DTYPE_F16:
        f16_from_f32_array(out, in, n);
        break;
    case DTYPE_BF16:
        bf16_from_f32_array(out, in, n);
        break;
    }
}

SIMD_CLONES
static void bf16_round_array(float *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(bf16_from_f32(in[i]));
}

void bf16_round(float *out, const float *in, size_t n)
{
    bf16_round_array(out, in, n);
}

SIMD_CLONES
static void f32_from_f64_array(unsigned char *restrict out, const double *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float x = (float)in[i];
        memcpy(out + 4 * i, &x, sizeof x);
    }
}

SIMD_CLONES
static void f16_from_f64_array(unsigned char *restrict out, const double *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = f16_from_f32(f32_round_to_odd(in[i]));
        memcpy(out + 2 * i, &half, sizeof half);
    }
}

enum { CHUNK = 64 };

SIMD_INLINE void bf16_from_f64_chunk(unsigned char *restrict out, const double *restrict in, size_t count)
{
    float odd[CHUNK];
    uint16_t bf16[CHUNK];
    uint32_t least = UINT32_MAX; // magnitude less one: that of 0 is the largest

    // One conversion at a time, which the compiler vectorises better than both at once.
    for (size_t i = 0; i < count; i++)
        odd[i] = f32_round_to_odd_if_normal(in[i]);
    for (size_t i = 0; i < count; i++) {
        const uint32_t magnitude = (float_bits(odd[i]) & 0x7fffffff) - 1;
        least = magnitude < least ? magnitude : least;
    }
    for (size_t i = 0; i < count && least < 0x007fffff; i++) // there is a subnormal
        odd[i] = f32_round_to_odd(in[i]);
    for (size_t i = 0; i < count; i++)
        bf16[i] = bf16_from_f32(odd[i]);
    memcpy(out, bf16, count * sizeof *bf16);
}

SIMD_CLONES
static void bf16_from_f64_array(unsigned char *restrict out, const double *restrict in, size_t n)
{
    size_t start = 0;

    for (; start + CHUNK <= n; start += CHUNK)
        bf16_from_f64_chunk(out + 2 * start, in + start, CHUNK);
    bf16_from_f64_chunk(out + 2 * start, in + start, n - start);
}

static void convert_from_f64(void *out, const double *in, enum dtype dtype, size_t n)
{
    switch (dtype) {
    case DTYPE_F32:
        f32_from_f64_array(out, in, n);
        break;
    case DTYPE_F16:
        f16_from_f64_array(out, in, n);
        break;
    case DTYPE_BF16:
        bf16_from_f64_array(out, in, n);
        break;
    }
}

// ---- in threads -----------------------------------------------------------------------------------------

struct conversion {
    void *out;
    const void *in;
    enum dtype dtype; // the one that is not said by the function's name
};

static void to_f32(const void *context, size_t first, size_t count, size_t thread)
{
    const struct conversion *all = context;

    (void)thread;
    convert_to_f32((float *)all->out + first, (const char *)all->in + first * dtype_size(all->dtype),
                   all->dtype, count);
}

static void from_f32(const void *context, size_t first, size_t count, size_t thread)
{
    const struct conversion *all = context;

    (void)thread;
    convert_from_f32((char *)all->out + first * dtype_size(all->dtype), (const float *)all->in + first,
                     all->dtype, count);
}

static void from_f64(const void *context, size_t first, size_t count, size_t thread)
{
    const struct conversion *all = context;

    (void)thread;
    convert_from_f64((char *)all->out + first * dtype_size(all->dtype), (const double *)all->in + first,
                     all->dtype, count);
}

void dtype_to_f32(float *out, const void *in, enum dtype dtype, size_t n)
{
    threads_share(n, threads_grain(1), to_f32, &(struct conversion){out, in, dtype});
}

void dtype_from_f32(void *out, const float *in, enum dtype dtype, size_t n)
{
    threads_share(n, threads_grain(1), from_f32, &(struct conversion){out, in, dtype});
}

void dtype_from_f64(void *out, const double *in, enum dtype dtype, size_t n)
{
    threads_share(n, threads_grain(1), from_f64, &(struct conversion){out, in, dtype});
}

SIMD_CLONES
static size_t first_non_finite(const float *x, size_t n)
{
    enum { BLOCK = 1024 }; // looked through as a whole first: almost always nothing is found

    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t end = n - start < BLOCK ? n : start + BLOCK;
        uint32_t found = 0;
        for (size_t i = start; i < end; i++)
            found |= (float_bits(x[i]) & 0x7f800000) == 0x7f800000;
        for (size_t i = start; found != 0 && i < end; i++)
            if ((float_bits(x[i]) & 0x7f800000) == 0x7f800000)
                return i;
    }
    return n;
}

SIMD_CLONES
static uint32_t low_bits(const float *x, size_t n)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < n; i++)
        bits |= float_bits(x[i]) & 0xffff;
    return bits;
}

struct low_bits {
    const float *x;
    atomic_bool *found;
};

static void find_low_bits(const void *context, size_t first, size_t count, size_t thread)
{
    const struct low_bits *all = context;

    (void)thread;
    if (low_bits(all->x + first, count) != 0)
        atomic_store(all->found, true);
}

bool floats_are_bf16(const float *x, size_t n)
{
    atomic_bool found = false;

    threads_share(n, threads_grain(1), find_low_bits, &(struct low_bits){x, &found});
    return !found;
}

struct search {
    const float *x;
    size_t n;
    atomic_size_t *found; // the least index so far
};

static void search_part(const void *context, size_t first, size_t count, size_t thread)
{
    const struct search *search = context;
    const size_t found = first_non_finite(search->x + first, count);
    size_t least = atomic_load(search->found);

    (void)thread;
    while (found < count && first + found < least &&
           !atomic_compare_exchange_weak(search->found, &least, first + found))
        ;
}

size_t find_non_finite(const float *x, size_t n)
{
    atomic_size_t found = n;

    threads_share(n, threads_grain(1), search_part, &(struct search){x, n, &found});
    return found;
}

// All bits of the exponent set: infinity or NaN, in both 16-bit formats.
SIMD_CLONES
static size_t first_with_exponent(const unsigned char *in, uint16_t exponent, size_t n)
{
    enum { BLOCK = 1024 };

    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t end = n - start < BLOCK ? n : start + BLOCK;
        uint16_t half, found = 0;
        for (size_t i = start; i < end; i++) {
            memcpy(&half, in + 2 * i, sizeof half);
            found = (uint16_t)(found | ((half & exponent) == exponent));
        }
        for (size_t i = start; found != 0 && i < end; i++) {
            memcpy(&half, in + 2 * i, sizeof half);
            if ((half & exponent) == exponent)
                return i;
        }
    }
    return n;
}

size_t dtype_find_non_finite(const void *in, enum dtype dtype, size_t n)
{
    const unsigned char *bytes = in;

    if (dtype != DTYPE_F32)
        return first_with_exponent(bytes, dtype == DTYPE_F16 ? 0x7c00 : 0x7f80, n);
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, bytes + 4 * i, sizeof x);
        if ((float_bits(x) & 0x7f800000) == 0x7f800000)
            return i;
    }
    return n;
}
