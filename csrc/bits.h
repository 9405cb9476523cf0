/* Transposition of bits, in blocks of 8 x 8: for kernels.c, once for each instruction set. */
#ifndef FOLDLINE_BITS_H
#define FOLDLINE_BITS_H

#include "simd.h"

#if defined(FL_SIMD_GFNI)

/* The 8 x 8 bytes of a vector, transposed. */
INLINE __m512i transpose_bytes_8x8(__m512i a)
{
    const __m512i index = _mm512_set_epi64(
        0x3f372f271f170f07, 0x3e362e261e160e06, 0x3d352d251d150d05, 0x3c342c241c140c04,
        0x3b332b231b130b03, 0x3a322a221a120a02, 0x3931292119110901, 0x3830282018100800);
    return _mm512_permutexvar_epi8(index, a);
}

/* The same, with each 8-byte row of the result back to front. */
INLINE __m512i reversed_columns(__m512i a)
{
    const __m512i index = _mm512_set_epi64(
        0x070f171f272f373f, 0x060e161e262e363e, 0x050d151d252d353d, 0x040c141c242c343c,
        0x030b131b232b333b, 0x020a121a222a323a, 0x0109111921293139, 0x0008101820283038);
    return _mm512_permutexvar_epi8(index, a);
}

/* The 8 x 8 bits of each 64-bit lane, whose bytes come last first, transposed: the affine map of GF(2)^8
   with matrix a, applied to the unit vectors; bit i of a result is row 7 - i of the matrix times the
   vector. Source: Intel, Galois Field New Instructions technology guide, 2021. */
INLINE __m512i transpose_bits_8x8(__m512i a)
{
    const __m512i unit_vectors = _mm512_set1_epi64((long long)0x8040201008040201);
    return _mm512_gf2p8affine_epi64_epi8(unit_vectors, a, 0);
}

static void transpose_bits(const fl_mask_row *restrict masks, uint64_t *restrict rows)
{
    __m512i group[8], half[8];
    UNROLL for (int g = 0; g < 8; g++)
        group[g] = transpose_bits_8x8(reversed_columns(_mm512_loadu_si512(masks + 8 * g)));
    /* group[g] has 8 bits of 64 points; lanes become points by the three steps of an 8 x 8 transposition */
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    UNROLL for (int step = 0; step < 3; step++) {
        UNROLL for (int i = 0; i < 4; i++) {
            half[2 * i] = _mm512_permutex2var_epi64(group[i], low, group[i + 4]);
            half[2 * i + 1] = _mm512_permutex2var_epi64(group[i], high, group[i + 4]);
        }
        UNROLL for (int i = 0; i < 8; i++) group[i] = half[i];
    }
    UNROLL for (int c = 0; c < 8; c++) _mm512_storeu_si512(rows + 8 * c, transpose_bytes_8x8(group[c]));
}

#else

/* a[i] bits under mask, exchanged with b[i] bits under mask << shift, in 8 words at once. Three rounds
   transpose; source: H. S. Warren, Hacker's Delight, 2nd edition, section 7-3. */
INLINE uint64_t exchange(uint64_t a, int shift, uint64_t mask)
{
    const uint64_t t = (a ^ (a >> shift)) & mask;
    return a ^ t ^ (t << shift);
}

/* out[i], byte j = in[j], byte i */
INLINE void transpose_bytes_8x8(uint64_t a[8])
{
    UNROLL for (int i = 0; i < 4; i++) {
        const uint64_t x = a[i], y = a[i + 4];
        a[i] = (x & 0x00000000ffffffff) | (y << 32);
        a[i + 4] = (x >> 32) | (y & 0xffffffff00000000);
    }
    UNROLL for (int h = 0; h < 8; h += 4)
        UNROLL for (int i = h; i < h + 2; i++) {
            const uint64_t x = a[i], y = a[i + 2];
            a[i] = (x & 0x0000ffff0000ffff) | ((y & 0x0000ffff0000ffff) << 16);
            a[i + 2] = ((x >> 16) & 0x0000ffff0000ffff) | (y & 0xffff0000ffff0000);
        }
    UNROLL for (int i = 0; i < 8; i += 2) {
        const uint64_t x = a[i], y = a[i + 1];
        a[i] = (x & 0x00ff00ff00ff00ff) | ((y & 0x00ff00ff00ff00ff) << 8);
        a[i + 1] = ((x >> 8) & 0x00ff00ff00ff00ff) | (y & 0xff00ff00ff00ff00);
    }
}

static void transpose_bits(const fl_mask_row *restrict masks, uint64_t *restrict rows)
{
    uint64_t by_points[8][8];   /* [8 points][group of 8 units] */
    for (int g = 0; g < 8; g++) {
        uint64_t a[8];
        memcpy(a, masks + 8 * g, sizeof a);
        transpose_bytes_8x8(a);
        UNROLL for (int c = 0; c < 8; c++) {
            a[c] = exchange(a[c], 7, 0x00aa00aa00aa00aa);
            a[c] = exchange(a[c], 14, 0x0000cccc0000cccc);
            a[c] = exchange(a[c], 28, 0x00000000f0f0f0f0);
        }
        UNROLL for (int c = 0; c < 8; c++) by_points[c][g] = a[c];
    }
    for (int c = 0; c < 8; c++) {
        transpose_bytes_8x8(by_points[c]);
        memcpy(rows + 8 * c, by_points[c], sizeof by_points[c]);
    }
}

#endif

#endif
