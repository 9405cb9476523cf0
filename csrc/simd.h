/* The vocabulary of kernels.c: one vector type of one real type for one instruction set.

   vec, LANES           a vector of LANES reals
   vmask                a truth value for each lane
   TILE_ROWS, TILE_VECS the largest tile of accumulators that stays in registers
   v_load v_store v_set1
   v_fma(a, b, c)       a * b + c: one rounding, except in the baseline, which has two
   v_positive(z)        z > 0, false for NaN
   v_size(z)            |z|
   v_relu(z)            z, but 0 where z < 0; NaN and -0 stay
   v_select(m, a, b)    a where m holds, else b
   v_min v_max          b where a or b is NaN
   v_nearest v_farthest(a, z) the smaller, larger of a and |z|, where a is not below 0
   v_add_where(m, a, b) a + b where m holds, else a
   v_at_most(a, b)      a <= b, false for NaN
   v_bits(m), v_mask(b) a truth value for each lane as bits, first lane lowest, and back
   v_zip_lo, v_zip_hi   the lower, upper half of a0 b0 a1 b1 ...
   SPAN, vpick          which LANES of SPAN neighbours: v_load_pick(u) takes them from the rising numbers u,
                        less the first; where SPAN is LANES, all of them as they are
   v_pick(p, i)         the lanes p[i]
   MAP_ROWS, MAP_VECS   the largest tile of accumulators next to what v_pick needs
   list_bits(u, n, b)   the numbers n + i of the bits i of b that are 1, to u, which has room for 32; how many
   list_window(u, p, n) how many of LANES rising numbers are less than SPAN above the first; n + lane of each to p
   quad, q_load, q_store 4 reals, whatever LANES is
   vset, SETS           a vector of SETS sets of up to 32 things, the bits of a word each
   v_load_sets(p), v_same_sets(a)
   v_lacks_none(a, b), v_lacks_one(a, b) whether b lacks none, at most one, of the members of a, as bits
   v_store_bits(p, m)   TILE_VECS masks as TILE_VECS * LANES bits, first lane lowest
   v_store_bits_small(p, m) SMALL_VECS masks, likewise */
#ifndef FOLDLINE_SIMD_H
#define FOLDLINE_SIMD_H

#include <stdint.h>
#include <string.h>

#include "real.h"

#define INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if FL_REAL_BITS == 80
/* One lane, and of the vocabulary what lines.h needs. */
#define LANES 1
#define TILE_VECS 1
#define MAP_ROWS 1
typedef real vec;
typedef int vmask;
INLINE vec v_load(const real *p) { return *p; }
INLINE void v_store(real *p, vec a) { *p = a; }
INLINE vec v_set1(real a) { return a; }
INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vmask v_positive(vec z) { return z > 0; }
INLINE vec v_size(vec z) { return z < 0 ? -z : z; }
INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }
INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
INLINE vec v_select(vmask m, vec a, vec b) { return m ? a : b; }
INLINE vmask v_at_most(vec a, vec b) { return a <= b; }
INLINE uint32_t v_bits(vmask m) { return (uint32_t)m; }
INLINE vmask v_mask(uint32_t bits) { return bits & 1; }

#elif defined(FL_SIMD_AVX512)
#include <immintrin.h>
#define TILE_ROWS 6
#define TILE_VECS 4
#define MAP_ROWS 10
#define MAP_VECS 2
#define V_NUMBERS _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#if FL_REAL_BITS == 32
#define LANES 16
typedef __m512 vec;
typedef __mmask16 vmask;
#define V(op) _mm512_##op##_ps
#define V_ZIP_LO _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define V_ZIP_HI _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
INLINE vmask v_positive(vec z) { return _mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_GT_OQ); }
INLINE vmask v_at_most(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
INLINE __m512i v_load_pick(const uint32_t *u)
{
    return _mm512_sub_epi32(_mm512_loadu_si512(u), _mm512_set1_epi32((int)u[0]));
}
INLINE size_t list_window(const uint32_t *u, uint32_t *places, uint32_t first)
{
    const __mmask16 inside = _mm512_cmplt_epu32_mask(v_load_pick(u), _mm512_set1_epi32(2 * LANES));
    _mm512_storeu_si512(places, _mm512_add_epi32(V_NUMBERS, _mm512_set1_epi32((int)first)));
    return (size_t)__builtin_popcount(inside);
}
#else
#define LANES 8
typedef __m512d vec;
typedef __mmask8 vmask;
#define V(op) _mm512_##op##_pd
#define V_ZIP_LO _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11)
#define V_ZIP_HI _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15)
INLINE vmask v_positive(vec z) { return _mm512_cmp_pd_mask(z, _mm512_setzero_pd(), _CMP_GT_OQ); }
INLINE vmask v_at_most(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
INLINE __m512i v_load_pick(const uint32_t *u)
{
    const __m256i first = _mm256_set1_epi32((int)u[0]);
    return _mm512_cvtepu32_epi64(_mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)u), first));
}
INLINE size_t list_window(const uint32_t *u, uint32_t *places, uint32_t first)
{
    const __mmask8 inside = _mm512_cmplt_epu64_mask(v_load_pick(u), _mm512_set1_epi64(2 * LANES));
    const __m512i p = _mm512_add_epi32(V_NUMBERS, _mm512_set1_epi32((int)first));
    _mm256_storeu_si256((__m256i *)places, _mm512_castsi512_si256(p));
    return (size_t)__builtin_popcount(inside);
}
#endif
#define SPAN (2 * LANES)
typedef __m512i vpick;
INLINE size_t list_bits(uint32_t *u, size_t first, uint32_t bits)
{
    const __m512i low = _mm512_add_epi32(V_NUMBERS, _mm512_set1_epi32((int)first));
    const size_t n_low = (size_t)__builtin_popcount(bits & 0xffff);
    _mm512_storeu_si512(u, _mm512_maskz_compress_epi32((__mmask16)bits, low));
    _mm512_storeu_si512(u + n_low, _mm512_maskz_compress_epi32((__mmask16)(bits >> 16),
                                                               _mm512_add_epi32(low, _mm512_set1_epi32(16))));
    return n_low + (size_t)__builtin_popcount(bits >> 16);
}
INLINE vec v_load(const real *p) { return V(loadu)(p); }
INLINE void v_store(real *p, vec a) { V(storeu)(p, a); }
INLINE vec v_set1(real a) { return V(set1)(a); }
INLINE vec v_fma(vec a, vec b, vec c) { return V(fmadd)(a, b, c); }
INLINE vec v_size(vec z) { return V(abs)(z); }
INLINE vec v_relu(vec z) { return V(max)(V(setzero)(), z); }
INLINE vec v_select(vmask m, vec a, vec b) { return V(mask_blend)(m, b, a); }
INLINE vec v_min(vec a, vec b) { return V(min)(a, b); }
INLINE vec v_max(vec a, vec b) { return V(max)(a, b); }
INLINE vec v_nearest(vec a, vec z) { return V(range)(a, z, 0xa); }
INLINE vec v_farthest(vec a, vec z) { return V(range)(a, z, 0xb); }
INLINE vec v_add_where(vmask m, vec a, vec b) { return V(mask_add)(a, m, a, b); }
INLINE vmask v_mask(uint32_t bits) { return (vmask)bits; }
INLINE vec v_zip_lo(vec a, vec b) { return V(permutex2var)(a, V_ZIP_LO, b); }
INLINE vec v_zip_hi(vec a, vec b) { return V(permutex2var)(a, V_ZIP_HI, b); }
INLINE vec v_pick(const real *p, vpick i) { return V(permutex2var)(v_load(p), i, v_load(p + LANES)); }
#if FL_REAL_BITS == 32
/* The masks meet in mask registers: four narrow stores cost more than three kunpck. */
INLINE void v_store_bits(uint8_t *p, const vmask *m)
{
    const __mmask32 low = _mm512_kunpackw(m[1], m[0]), high = _mm512_kunpackw(m[3], m[2]);
    const uint64_t bits = _cvtmask64_u64(_mm512_kunpackd(high, low));
    memcpy(p, &bits, 8);
}
#else
INLINE void v_store_bits(uint8_t *p, const vmask *m)
{
    const __mmask16 low = _mm512_kunpackb(m[1], m[0]), high = _mm512_kunpackb(m[3], m[2]);
    const uint32_t bits = _cvtmask32_u32(_mm512_kunpackw(high, low));
    memcpy(p, &bits, 4);
}
#endif
INLINE uint32_t v_bits(vmask m) { return m; }
#define SETS 16
typedef __m512i vset;
INLINE vset v_load_sets(const uint32_t *p) { return _mm512_loadu_si512(p); }
INLINE vset v_same_sets(uint32_t a) { return _mm512_set1_epi32((int)a); }
INLINE uint32_t v_lacks_none(vset a, vset b)
{
    const vset lacks = _mm512_andnot_si512(b, a);
    return _mm512_testn_epi32_mask(lacks, lacks);
}
INLINE uint32_t v_lacks_one(vset a, vset b)
{
    const vset lacks = _mm512_andnot_si512(b, a);
    return _mm512_testn_epi32_mask(lacks, _mm512_add_epi32(lacks, _mm512_set1_epi32(-1)));
}

#elif defined(FL_SIMD_AVX2)
#include <immintrin.h>
#define TILE_ROWS 6
#define TILE_VECS 2
#define MAP_ROWS 5
#define MAP_VECS 2
#if FL_REAL_BITS == 32
#define LANES 8
typedef __m256 vec;
#define V(op) _mm256_##op##_ps
#define V_CAST_LANES(a, b, which) _mm256_permute2f128_ps(a, b, which)
INLINE vec v_mask(uint32_t bits)
{
    const __m256i place = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), place), place));
}
#else
#define LANES 4
typedef __m256d vec;
#define V(op) _mm256_##op##_pd
#define V_CAST_LANES(a, b, which) _mm256_permute2f128_pd(a, b, which)
INLINE vec v_mask(uint32_t bits)
{
    const __m256i place = _mm256_setr_epi64x(1, 2, 4, 8);
    return _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(bits), place), place));
}
#endif
typedef vec vmask;
INLINE vec v_load(const real *p) { return V(loadu)(p); }
INLINE void v_store(real *p, vec a) { V(storeu)(p, a); }
INLINE vec v_set1(real a) { return V(set1)(a); }
INLINE vec v_fma(vec a, vec b, vec c) { return V(fmadd)(a, b, c); }
INLINE vmask v_positive(vec z) { return V(cmp)(z, V(setzero)(), _CMP_GT_OQ); }
INLINE vmask v_at_most(vec a, vec b) { return V(cmp)(a, b, _CMP_LE_OQ); }
INLINE vec v_size(vec z) { return V(andnot)(v_set1(-(real)0), z); }
INLINE vec v_relu(vec z) { return V(max)(V(setzero)(), z); }
INLINE vec v_select(vmask m, vec a, vec b) { return V(blendv)(b, a, m); }
INLINE vec v_min(vec a, vec b) { return V(min)(a, b); }
INLINE vec v_max(vec a, vec b) { return V(max)(a, b); }
INLINE vec v_zip_lo(vec a, vec b) { return V_CAST_LANES(V(unpacklo)(a, b), V(unpackhi)(a, b), 0x20); }
INLINE vec v_zip_hi(vec a, vec b) { return V_CAST_LANES(V(unpacklo)(a, b), V(unpackhi)(a, b), 0x31); }
INLINE uint32_t v_bits(vmask m) { return (uint32_t)V(movemask)(m); }
#define SETS 8
typedef __m256i vset;
INLINE vset v_load_sets(const uint32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vset v_same_sets(uint32_t a) { return _mm256_set1_epi32((int)a); }
INLINE uint32_t v_empty(vset a)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, _mm256_setzero_si256())));
}
INLINE uint32_t v_lacks_none(vset a, vset b) { return v_empty(_mm256_andnot_si256(b, a)); }
INLINE uint32_t v_lacks_one(vset a, vset b)
{
    const vset lacks = _mm256_andnot_si256(b, a);
    return v_empty(_mm256_and_si256(lacks, _mm256_add_epi32(lacks, _mm256_set1_epi32(-1))));
}

#elif defined(FL_SIMD_NEON)
#include <arm_neon.h>
#define TILE_ROWS 6
#define TILE_VECS 4
#define MAP_ROWS 10
#define MAP_VECS 2
#if FL_REAL_BITS == 32
#define LANES 4
typedef float32x4_t vec;
typedef uint32x4_t vmask;
#define V(op) v##op##q_f32
INLINE vec v_set1(real a) { return vdupq_n_f32(a); }
INLINE vec v_relu(vec z) { return vbslq_f32(vcltzq_f32(z), vdupq_n_f32(0), z); }
INLINE uint32_t v_bits(vmask m)
{
    static const uint32_t place[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, vld1q_u32(place)));
}
INLINE vmask v_mask(uint32_t bits)
{
    static const uint32_t place[4] = {1, 2, 4, 8};
    return vtstq_u32(vdupq_n_u32(bits), vld1q_u32(place));
}
#else
#define LANES 2
typedef float64x2_t vec;
typedef uint64x2_t vmask;
#define V(op) v##op##q_f64
INLINE vec v_set1(real a) { return vdupq_n_f64(a); }
INLINE vec v_relu(vec z) { return vbslq_f64(vcltzq_f64(z), vdupq_n_f64(0), z); }
INLINE uint32_t v_bits(vmask m)
{
    return (uint32_t)((vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2));
}
INLINE vmask v_mask(uint32_t bits)
{
    static const uint64_t place[2] = {1, 2};
    return vtstq_u64(vdupq_n_u64(bits), vld1q_u64(place));
}
#endif
INLINE vec v_load(const real *p) { return V(ld1)(p); }
INLINE void v_store(real *p, vec a) { V(st1)(p, a); }
INLINE vec v_fma(vec a, vec b, vec c) { return V(fma)(c, a, b); }
INLINE vmask v_positive(vec z) { return V(cgtz)(z); }
INLINE vmask v_at_most(vec a, vec b) { return V(cle)(a, b); }
INLINE vec v_size(vec z) { return V(abs)(z); }
INLINE vec v_select(vmask m, vec a, vec b) { return V(bsl)(m, a, b); }
INLINE vec v_min(vec a, vec b) { return v_select(V(clt)(a, b), a, b); }
INLINE vec v_max(vec a, vec b) { return v_select(V(cgt)(a, b), a, b); }
INLINE vec v_zip_lo(vec a, vec b) { return V(zip1)(a, b); }
INLINE vec v_zip_hi(vec a, vec b) { return V(zip2)(a, b); }

#else /* the baseline: any processor, by the compiler's own vectors */
#if FL_REAL_BITS == 32
#define LANES 8
#define TILE_ROWS 4
#define TILE_VECS 1
#define MAP_ROWS 5
#define MAP_VECS 1
typedef int32_t lane_bits;
#else
#define LANES 4
#define TILE_ROWS 2
#define TILE_VECS 2
#define MAP_ROWS 5
#define MAP_VECS 1
typedef int64_t lane_bits;
#endif
typedef real vec __attribute__((vector_size(LANES * sizeof(real))));
typedef lane_bits vmask __attribute__((vector_size(LANES * sizeof(real))));
INLINE vec v_load(const real *p) { vec a; memcpy(&a, p, sizeof a); return a; }
INLINE void v_store(real *p, vec a) { memcpy(p, &a, sizeof a); }
INLINE vec v_set1(real a) { return a - (vec){0}; }
INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vmask v_positive(vec z) { return z > (vec){0}; }
INLINE vec v_size(vec z) { return (vec)(~(vmask)v_set1(-(real)0) & (vmask)z); }
INLINE vec v_relu(vec z) { return (vec)(~(z < (vec){0}) & (vmask)z); }
INLINE vec v_select(vmask m, vec a, vec b) { return (vec)((m & (vmask)a) | (~m & (vmask)b)); }
INLINE vec v_min(vec a, vec b) { return v_select(a < b, a, b); }
INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
INLINE vmask v_at_most(vec a, vec b) { return a <= b; }
INLINE vmask v_mask(uint32_t bits)
{
    vmask m;
    UNROLL for (int i = 0; i < LANES; i++) m[i] = -(lane_bits)(bits >> i & 1);
    return m;
}
INLINE uint32_t v_bits(vmask m)
{
    uint32_t bits = 0;
    UNROLL for (int i = 0; i < LANES; i++) bits |= (uint32_t)(m[i] & 1) << i;
    return bits;
}
INLINE vec v_zip_lo(vec a, vec b)
{
    vec c;
    UNROLL for (int i = 0; i < LANES; i++) c[i] = i % 2 ? b[i / 2] : a[i / 2];
    return c;
}
INLINE vec v_zip_hi(vec a, vec b)
{
    vec c;
    UNROLL for (int i = 0; i < LANES; i++) c[i] = i % 2 ? b[(LANES + i) / 2] : a[(LANES + i) / 2];
    return c;
}
#endif

#if !defined(SPAN)
#define SPAN LANES
typedef int vpick;
INLINE vpick v_load_pick(const uint32_t *u) { return (void)u, 0; }
INLINE vec v_pick(const real *p, vpick i) { return (void)i, v_load(p); }
INLINE size_t list_window(const uint32_t *u, uint32_t *places, uint32_t first)
{
    size_t n = 0;
    for (; n < LANES && u[n] - u[0] < SPAN; n++) places[n] = first + u[n] - u[0];
    return n;
}
INLINE size_t list_bits(uint32_t *u, size_t first, uint32_t bits)
{
    size_t n = 0;
    for (; bits; bits &= bits - 1) u[n++] = (uint32_t)first + (uint32_t)__builtin_ctz(bits);
    return n;
}
#endif

#if !defined(SETS)
#define SETS 4
typedef uint32_t vset __attribute__((vector_size(SETS * sizeof(uint32_t))));
INLINE vset v_load_sets(const uint32_t *p) { vset a; memcpy(&a, p, sizeof a); return a; }
INLINE vset v_same_sets(uint32_t a) { return a - (vset){0}; }
INLINE uint32_t v_empty(vset a)
{
    uint32_t bits = 0;
    UNROLL for (int i = 0; i < SETS; i++) bits |= (uint32_t)(a[i] == 0) << i;
    return bits;
}
INLINE uint32_t v_lacks_none(vset a, vset b) { return v_empty(a & ~b); }
INLINE uint32_t v_lacks_one(vset a, vset b)
{
    const vset lacks = a & ~b;
    return v_empty(lacks & (lacks - 1));
}
#endif

#if !defined(FL_SIMD_AVX512) || FL_REAL_BITS == 80
INLINE vec v_nearest(vec a, vec z) { return v_min(a, v_size(z)); }
INLINE vec v_farthest(vec a, vec z) { return v_max(a, v_size(z)); }
INLINE vec v_add_where(vmask m, vec a, vec b) { return v_select(m, a + b, a); }
#endif

typedef real quad __attribute__((vector_size(4 * sizeof(real))));
INLINE quad q_load(const real *p) { quad a; memcpy(&a, p, sizeof a); return a; }
INLINE void q_store(real *p, quad a) { memcpy(p, &a, sizeof a); }

/* Points in a panel, the unit in which activations lie in memory: panel[unit][PANEL]. */
#define PANEL (TILE_VECS * LANES)
/* The fewest vectors whose mask is a whole number of bytes. */
#define SMALL_VECS (LANES < 8 ? 8 / LANES : 1)

INLINE void v_store_bits_small(uint8_t *p, const vmask *m)
{
    uint32_t bits = 0;
    UNROLL for (int v = 0; v < SMALL_VECS; v++) bits |= v_bits(m[v]) << (v * LANES);
    memcpy(p, &bits, SMALL_VECS * LANES / 8);
}

#if !defined(FL_SIMD_AVX512)
INLINE void v_store_bits(uint8_t *p, const vmask *m)
{
    uint32_t bits = 0;
    UNROLL for (int v = 0; v < TILE_VECS; v++) bits |= v_bits(m[v]) << (v * LANES);
    memcpy(p, &bits, PANEL / 8);
}
#endif

#endif
