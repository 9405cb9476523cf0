/* The inner loops of the sweep along lines, once for each instruction set. knots.c has the meaning and the
   proof. */
#ifndef FOLDLINE_LINES_H
#define FOLDLINE_LINES_H

#include <math.h>

#include "simd.h"

/* The largest tile of `push`, next to a vector for each of its columns, and how wide one of few rows may be. The
   vectors that `walk` takes along a line together: whole bytes of bits, and where there are registers more. */
#if defined(FL_SIMD_AVX512)
#define PUSH_ROWS 6
#define PUSH_VECS 4
#define PUSH_FEW_ROWS 3
#define PUSH_WIDE_VECS 7
#define WALK_VECS 8
#else
#define PUSH_ROWS 3
#define PUSH_VECS (LANES == 1 ? 1 : 3)
#define PUSH_FEW_ROWS 1
#define PUSH_WIDE_VECS PUSH_VECS
#define WALK_VECS (FL_LINE_UNITS / LANES)
#endif
#define WALK_UNITS (WALK_VECS * LANES)

static size_t list(const FL(fl_line_layer) *l, const uint8_t *bits, size_t n_rows, const uint32_t *rows,
                   uint32_t *units)
{
    size_t n_units = 0;
    for (size_t first = 0; first * 8 < l->n_out; first += sizeof(uint64_t)) {
        uint64_t any, word;
        memcpy(&any, l->passing + first, sizeof any);
        for (size_t r = 0; r < n_rows; r++) {
            memcpy(&word, bits + rows[r] * l->bit_stride + first, sizeof word);
            any |= word;
        }
        n_units += list_bits(units + n_units, first * 8, (uint32_t)any);
        n_units += list_bits(units + n_units, first * 8 + 32, (uint32_t)(any >> 32));
    }
    return n_units;
}

static size_t list_sizes(const real *sizes, size_t n, uint32_t *units)
{
    size_t n_units = 0;
    for (size_t first = 0; first < n; first += 32) {
        uint32_t any = 0;
        for (size_t j = 0; j < 32 && first + j < n; j += LANES)
            any |= v_bits(v_positive(v_load(sizes + first + j))) << j;
        if (n - first < 32) any &= ((uint32_t)1 << (n - first)) - 1;
        n_units += list_bits(units + n_units, first, any);
    }
    return n_units;
}

/* Of the rows that are pushed: where their coefficients are, and where their sums go. */
typedef struct {
    const real *from[FL_PUSH_NARROW_ROWS];
    real *to[FL_PUSH_NARROW_ROWS];
} push_ends;

INLINE void push_tile(const int n_rows, const int vecs, const int sizes, const push_ends *ends, size_t column,
                      const uint32_t *restrict units, size_t n_units, const real *restrict matrix, size_t stride)
{
    vec sum[FL_PUSH_NARROW_ROWS][PUSH_WIDE_VECS];
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = v_set1(0);
    for (size_t k = 0; k < n_units; k++) {
        const real *row = matrix + units[k] * stride + column;
        vec w[PUSH_WIDE_VECS];
        UNROLL for (int v = 0; v < vecs; v++) w[v] = sizes ? v_size(v_load(row + v * LANES)) : v_load(row + v * LANES);
        UNROLL for (int r = 0; r < n_rows; r++) {
            const vec ar = v_set1(ends->from[r][units[k]]);
            UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = v_fma(ar, w[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int v = 0; v < vecs; v++) v_store(ends->to[r] + column + v * LANES, sum[r][v]);
}

INLINE void push_rows(const int n_rows, const int sizes, const uint32_t *rows, const real *a, size_t a_stride,
                      const uint32_t *units, size_t n_units, const real *matrix, size_t stride, real *out)
{
    const size_t n_vecs = stride / LANES;
    const size_t most = n_rows > PUSH_ROWS ? 1 : n_rows > PUSH_FEW_ROWS ? PUSH_VECS : PUSH_WIDE_VECS;
    size_t n_tiles = fl_tile_count(n_vecs, most);
    push_ends ends;
    UNROLL for (int r = 0; r < n_rows; r++) {
        ends.from[r] = a + rows[r] * a_stride;
        ends.to[r] = out + rows[r] * stride;
    }
    for (size_t v = 0; n_tiles; n_tiles--) {
        const size_t vecs = most == 1 ? 1 : fl_tile_rows(n_vecs - v, n_tiles);
        switch (vecs) {
#define VECS(vecs) case vecs: \
            if (vecs <= most) push_tile(n_rows, vecs, sizes, &ends, v * LANES, units, n_units, matrix, stride); \
            break;
        VECS(1)
        VECS(2)
        VECS(3)
#if defined(FL_SIMD_AVX512)
        VECS(4)
        VECS(5)
        VECS(6)
        VECS(7)
#endif
#undef VECS
        }
        v += vecs;
    }
}

static void push(size_t n_rows, const uint32_t *rows, const real *restrict a, size_t a_stride,
                 const uint32_t *restrict units, size_t n_units, const real *restrict matrix, size_t stride,
                 real *restrict out)
{
    const size_t most = stride == FL_LINE_UNITS ? FL_PUSH_NARROW_ROWS : PUSH_ROWS;
    for (; n_rows; n_rows -= n_rows < most ? n_rows : most, rows += most)
        switch (n_rows < most ? n_rows : most) {
#define ROWS(n_rows) case n_rows: push_rows(n_rows, 0, rows, a, a_stride, units, n_units, matrix, stride, out); break;
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
        ROWS(7)
        ROWS(8)
#undef ROWS
        }
}

static void push_sizes(size_t n_rows, const real *restrict a, size_t a_stride, const uint32_t *restrict units,
                       size_t n_units, const real *restrict matrix, size_t stride, real *restrict out)
{
    static const uint32_t both[2] = {0, 1};
    if (n_rows == 2)
        push_rows(2, 1, both, a, a_stride, units, n_units, matrix, stride, out);
    else
        push_rows(1, 1, both, a, a_stride, units, n_units, matrix, stride, out);
}

static void scale(size_t n_rows, const real *restrict factors, const uint32_t *restrict units,
                  const real *restrict matrix, size_t stride, real *restrict out)
{
    for (size_t i = 0; i < n_rows; i++) {
        const real *row = matrix + units[i] * stride;
        const vec factor = v_set1(factors[i]);
        for (size_t j = 0; j < stride; j += LANES) v_store(out + i * stride + j, factor * v_load(row + j));
    }
}

/* The units from `first` on that flip on a piece, and of all there values and slopes. */
INLINE void list_crossings(FL(fl_line) *line, size_t piece, size_t first, uint64_t flips, const real *values,
                           const real *slopes)
{
    const FL(fl_crossings) *c = line->crossings;
    for (; flips; flips &= flips - 1) {
        const size_t row = 2 + line->n_vertices + line->n_crossings++;
        const unsigned j = (unsigned)__builtin_ctzll(flips);
        if (row >= line->room) continue;
        c->pieces[row] = (uint32_t)piece;
        c->units[row] = (uint32_t)first + j;
        c->values[row] = values[j];
        c->slopes[row] = slopes[j];
    }
}

/* What becomes of a coefficient at a vertex. */
INLINE vec fold_turn(const int relu, vmask positive, vec turn, vec slopes)
{
    return relu ? v_select(positive, turn, v_set1(0)) : v_select(positive, turn, slopes * turn);
}

/* The units of some vectors. `nearest` is the least |z|, less what may change within a spread that is above the common
   one. No value is NaN where the bounds are finite, since these are above all values. Every copy of a vector counts:
   z moves in place, and what crosses is found from where its piece ends. */
INLINE int walk_vectors(const int vecs, const int relu, const int close, const int last, const FL(fl_line_layer) *l,
                        FL(fl_line) *line, size_t first)
{
    const size_t n = line->n_vertices, stride = l->stride, bit_stride = l->bit_stride;
    const uint32_t *restrict order = line->along->order[0];
    const real *restrict steps = line->along->steps, *restrict spreads = line->along->spreads[0];
    uint32_t *restrict n_before = line->along->n_before;
    const size_t n_others = line->n_crossings;
    const vec zero = v_set1(0), up = v_set1(1 + (real)0x1p-20), walk_gamma = v_set1(line->walk_gamma);
    vec slopes[WALK_VECS], z[WALK_VECS], slope[WALK_VECS];
    vec steepest[WALK_VECS], size[WALK_VECS], nearest[WALK_VECS];
    uint64_t active = 0, has_bit = 0, sure_bits = 0;
    real *rows = line->rows + first;
    const real *bases[2] = {rows, l->columns + first};
    uint8_t *bits = line->bits + first / 8;
    const real common_spread = close ? 0 : FL_COMMON_SPREAD;
    real starts[WALK_UNITS];

    UNROLL for (int v = 0; v < vecs; v++) {
        const size_t at = first + (size_t)v * LANES;
        const vec sum = v_load(line->sizes + at), bias = v_load(l->bias + at), d = (sum + v_size(bias)) * up;
        slopes[v] = v_load(l->slopes + at);
        const vec bound = v_fma(v_load(line->errors + at), up,
                                v_fma(v_set1(line->gamma), d, v_set1((real)0x1p-1022)));
        if (v_bits(v_positive(v_set1((real)0x1p1000) - bound)) != (1u << LANES) - 1) return 0;
        /* Where nothing was added to the bias, the sum is the bias. */
        const vmask moves = v_positive(sum);
        const vec error = v_select(moves, bound, zero);
        const vmask folds = v_positive(v_select(moves, v_load(l->is_neuron + at), zero));
        has_bit |= (uint64_t)v_bits(folds) << (v * LANES);

        z[v] = v_load(rows + v * LANES) + bias;
        slope[v] = v_load(rows + stride + v * LANES);
        steepest[v] = v_size(slope[v]);
        nearest[v] = v_size(z[v]);
        const vmask positive = v_positive(z[v]);
        const vec a = fold_turn(relu, positive, z[v], slopes[v]), turn = fold_turn(relu, positive, slope[v], slopes[v]);
        v_store(line->errors + at, error);
        v_store(line->next_errors + at, v_select(positive, v_set1(1), v_size(slopes[v])) * error);
        size[v] = v_size(a) + v_size(turn);
        v_store(rows + v * LANES, a);
        v_store(rows + stride + v * LANES, turn);
        v_store(starts + v * LANES, z[v]);
        if (!close) v_store(line->steepest + at, d);
        active |= (uint64_t)v_bits(positive) << (v * LANES);
    }
    memcpy(bits, &active, sizeof active);
    memcpy(bits + bit_stride, &active, sizeof active);

    for (size_t k = 0;; k++) {
        const vec step = v_set1(steps[k]);
        vmask positive[WALK_VECS];
        uint64_t next_active = 0;
        UNROLL for (int v = 0; v < vecs; v++) {
            z[v] = v_fma(slope[v], step, z[v]);
            positive[v] = v_positive(z[v]);
            nearest[v] = v_nearest(nearest[v], z[v]);
            next_active |= (uint64_t)v_bits(positive[v]) << (v * LANES);
        }
        if (spreads[k] > common_spread) {
            const size_t r = order[k];
            const real *turns = bases[r >= line->first_fresh] + line->sources[r] * stride;
            const vec factor = v_set1(line->factors[r]), spread = v_set1(2 * spreads[k]);
            UNROLL for (int v = 0; v < vecs; v++) {
                const vec after = v_fma(factor, v_load(turns + v * LANES), slope[v]);
                const vec change = spread * v_farthest(v_size(slope[v]), after);
                nearest[v] = v_max(zero, v_min(nearest[v], v_size(z[v]) - change));
            }
        }
        const uint64_t flips = (active ^ next_active) & has_bit;
        if (flips) {
            real values[WALK_UNITS], before[WALK_UNITS];
            UNROLL for (int v = 0; v < vecs; v++) {
                v_store(values + v * LANES, z[v]);
                v_store(before + v * LANES, slope[v]);
            }
            list_crossings(line, k, first, flips, k ? values : starts, before);
        }
        if (k == n) break;
        n_before[k] = (uint32_t)(line->n_crossings - n_others) + (first ? n_before[k] : 0);
        const size_t r = order[k];
        const real *from = bases[r >= line->first_fresh] + line->sources[r] * stride;
        real *row = rows + r * stride;
        const vec factor = v_set1(line->factors[r]);
        memcpy(bits + r * bit_stride, &next_active, sizeof next_active);
        UNROLL for (int v = 0; v < vecs; v++) {
            const vec w = v_load(from + v * LANES), folded = fold_turn(relu, positive[v], factor * w, slopes[v]);
            v_store(row + v * LANES, folded);
            slope[v] = v_fma(factor, w, slope[v]);
            if (close) steepest[v] = v_farthest(steepest[v], slope[v]);
            if (!last) size[v] = size[v] + v_size(folded);
        }
        active = next_active;
    }
    UNROLL for (int v = 0; v < vecs; v++) {
        const size_t at = first + (size_t)v * LANES;
        if (!close) steepest[v] = v_load(line->steepest + at);
        const vec error = v_load(line->errors + at), reach = v_size(z[v]) + v_set1(2) * steepest[v];
        const vec common = v_set1(2 * common_spread) * steepest[v];
        const vec margin = v_fma(walk_gamma, reach, error + common);
        sure_bits |= (uint64_t)v_bits(v_positive(nearest[v] - margin)) << (v * LANES);
        if (close) v_store(line->steepest + at, steepest[v]);
        const vmask any = v_positive(size[v] + v_load(line->next_errors + at));
        v_store(line->next_sizes + at, v_select(any, size[v] + v_set1((real)FL_LEAST), zero));
    }
    return !(has_bit & ~sure_bits);
}

INLINE int walk_layer(const int relu, const int close, const int last, const FL(fl_line_layer) *l, FL(fl_line) *line)
{
    const size_t n_vecs = l->stride / LANES;
    size_t n_tiles = fl_tile_count(n_vecs, WALK_VECS);
    for (size_t v = 0; n_tiles; n_tiles--) {
        const size_t vecs = fl_tile_rows(n_vecs - v, n_tiles);
        int sure = 0;
        switch (vecs) {
#define VECS(vecs) case vecs: sure = walk_vectors(vecs, relu, close, last, l, line, v * LANES); break;
#if defined(FL_SIMD_AVX512)
        VECS(1)
        VECS(2)
        VECS(3)
        VECS(4)
        VECS(5)
        VECS(6)
        VECS(7)
#endif
        VECS(WALK_VECS)
#undef VECS
        }
        if (!sure) return 0;
        v += vecs;
    }
    return 1;
}

static int walk(const FL(fl_line_layer) *l, FL(fl_line) *line)
{
    line->n_crossings = 0;
    if (line->close) return l->all_relu ? walk_layer(1, 1, 0, l, line) : walk_layer(0, 1, 0, l, line);
    if (line->is_last && l->all_relu) return walk_layer(1, 0, 1, l, line);
    return l->all_relu ? walk_layer(1, 0, 0, l, line) : walk_layer(0, 0, 0, l, line);
}

static int place(const FL(fl_line_layer) *l, FL(fl_line) *line)
{
    const FL(fl_crossings) *c = line->crossings;
    const size_t first = 2 + line->n_vertices, end = first + line->n_crossings;
    const uint32_t *restrict units = c->units, *restrict pieces = c->pieces;
    const real *restrict values = c->values, *restrict slopes = c->slopes, *restrict along = line->along->t[0];
    const real *restrict steepest = line->steepest, *restrict errors = line->errors, *restrict folds = l->slopes;
    real *restrict t = c->t, *restrict spreads = c->spreads, *restrict jumps = c->jumps;
    real *restrict next_sizes = line->next_sizes, *restrict next_errors = line->next_errors;
    const real gamma = line->walk_gamma;
    int sure = 1;
    for (size_t i = first; i < end; i++) {
        const uint32_t unit = units[i];
        const real steepness = real_size(slopes[i]), fold = real_size(folds[unit]), error = errors[unit];
        const real rounding = gamma * (real_size(values[i]) + 2 * steepest[unit]);
        const real spread = (error + rounding) / (steepness - rounding), most = (fold > 1 ? fold : 1) * error;
        t[i] = along[pieces[i] + (pieces[i] != 0)] - values[i] / slopes[i];
        spreads[i] = spread * (1 + (real)0x1p-20) + 4 * REAL_UNIT_ROUNDOFF;
        jumps[i] = (1 - folds[unit]) * steepness;
        sure &= steepness > 2 * rounding;
        next_sizes[unit] += real_size(jumps[i]) + (real)FL_LEAST;
        next_errors[unit] = (next_errors[unit] > most ? next_errors[unit] : most)
                            + 2 * rounding * real_size(1 - folds[unit]);
    }
    return sure;
}

#define RANKED 128
#define RANKED_VECS 4

/* The ranks of some vectors of keys among all n. */
INLINE void rank_vectors(const int vecs, size_t n, const real *restrict keys, const real *restrict mine, real *ranks)
{
    vec key[RANKED_VECS], n_before[RANKED_VECS];
    UNROLL for (int v = 0; v < vecs; v++) {
        key[v] = v_load(mine + v * LANES);
        n_before[v] = v_set1(-1);
    }
    for (size_t j = 0; j < n; j++)
        UNROLL for (int v = 0; v < vecs; v++)
            n_before[v] = v_add_where(v_at_most(v_set1(keys[j]), key[v]), n_before[v], v_set1(1));
    UNROLL for (int v = 0; v < vecs; v++) v_store(ranks + v * LANES, n_before[v]);
}

/* Lists n <= RANKED numbers, from `first` on, in sorted[first ..] by rising keys. Equal keys get equal ranks, and
   some are listed for others: what had theirs is the block's first. Reads a vector beyond. */
INLINE void rank(size_t first, size_t n, const real *restrict keys, uint32_t *restrict sorted)
{
    const size_t n_vecs = (n + LANES - 1) / LANES;
    size_t n_tiles = fl_tile_count(n_vecs, RANKED_VECS);
    real ranks[RANKED + RANKED_VECS * LANES];
    keys += first;
    for (size_t v = 0, vecs; v < n_vecs; v += vecs, n_tiles--) {
        const real *mine = keys + v * LANES;
        real *out = ranks + v * LANES;
        vecs = fl_tile_rows(n_vecs - v, n_tiles);
        switch (vecs) {
        case 1: rank_vectors(1, n, keys, mine, out); break;
        case 2: rank_vectors(2, n, keys, mine, out); break;
        case 3: rank_vectors(3, n, keys, mine, out); break;
        case 4: rank_vectors(4, n, keys, mine, out); break;
        }
    }
    for (size_t i = 0; i < n; i++) sorted[first + i] = (uint32_t)first;
    for (size_t i = 0; i < n; i++) sorted[first + (size_t)ranks[i]] = (uint32_t)(first + i);
}

/* Lists the crossings along the line: blocks in order, which then are merged. */
INLINE const uint32_t *sort(FL(fl_along) *along, const real *t, size_t n)
{
    uint32_t *sorted = along->sorted[0], *next = along->sorted[1];
    for (size_t first = 0; first < n; first += RANKED) rank(first, n - first < RANKED ? n - first : RANKED, t, sorted);
    for (size_t size = RANKED; size < n; size *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * size) {
            const size_t middle = n - begin < size ? n : begin + size, end = n - middle < size ? n : middle + size;
            for (size_t i = begin, j = middle, at = begin; at < end; at++)
                next[at] = j == end || (i < middle && t[sorted[i]] <= t[sorted[j]]) ? sorted[i++] : sorted[j++];
        }
        uint32_t *swap = sorted;
        sorted = next;
        next = swap;
    }
    return sorted;
}

static int merge(FL(fl_along) *along, const FL(fl_crossings) *c, size_t n_vertices, size_t n_crossings,
                 const uint8_t *tied)
{
    const size_t n = n_vertices + n_crossings, first = 2 + n_vertices;
    const uint32_t *restrict old = along->order[0], *restrict sorted = sort(along, c->t + first, n_crossings);
    const real *restrict old_t = along->t[0], *restrict old_spreads = along->spreads[0];
    const uint32_t *restrict n_before = along->n_before;
    uint32_t *restrict order = along->order[1];
    real *restrict t = along->t[1], *restrict spreads = along->spreads[1];
    t[0] = 0;
    for (size_t k = 0; k < n_vertices; k++) {
        const size_t at = k + n_before[k];
        order[at] = old[k];
        t[at + 1] = old_t[k + 1];
        spreads[at] = old_spreads[k];
    }
    int out_of_place = 0;   /* rounding has put two crossings in each other's pieces */
    for (size_t i = 0, last = 0; i < n_crossings; i++) {
        const size_t row = first + sorted[i], piece = c->pieces[row], at = piece + i;
        order[at] = (uint32_t)row;
        t[at + 1] = c->t[row];
        spreads[at] = c->spreads[row];
        out_of_place |= piece < last;
        last = piece;
    }
    if (out_of_place) return 0;
    t[n + 1] = 1;
    spreads[n] = 0;
    int64_t n_apart = 0 < t[1] - spreads[0];   /* as wide as a double: the loop becomes vectors */
    for (size_t k = 0; k < n; k++) n_apart += t[k + 1] + spreads[k] < t[k + 2] - spreads[k + 1];
    for (size_t k = 0; k <= n; k++) along->steps[k] = t[k + 1] - t[k];
    along->order[1] = along->order[0];
    along->t[1] = along->t[0];
    along->spreads[1] = along->spreads[0];
    along->order[0] = order;
    along->t[0] = t;
    along->spreads[0] = spreads;
    for (size_t k = 1; tied && k < n; k++)
        if (tied[order[k]]) n_apart += t[k] < t[k + 1] && !(t[k] + spreads[k - 1] < t[k + 1] - spreads[k]);
    return n_apart == (int64_t)n + 1;
}

#if FL_REAL_BITS == 80
INLINE void store_doubles(double *p, vec a) { *p = (double)a; }
#else
INLINE void store_doubles(double *p, vec a) { v_store(p, a); }
#endif

static void accumulate(size_t n_rows, const uint32_t *order, const real *restrict rows, size_t stride,
                       const real *restrict limits, real *restrict total, size_t n, double *restrict totals,
                       uint8_t *restrict large)
{
    /* What a vector has too much goes where the next rows will be, while there are some: the last columns go first. */
    for (size_t j = stride - LANES, is_first = 1; j + LANES > 0; j -= LANES, is_first = 0) {
        vec sum = v_load(total + j);
        for (size_t i = 0; i < n_rows; i++) {
            const vec turn = v_load(rows + order[i] * stride + j);
            sum = sum + turn;
            if ((n_rows - i) * n >= stride) {
                store_doubles(totals + i * n + j, sum);
            } else {
                real some[LANES];
                v_store(some, sum);
                for (size_t m = 0; m < LANES && j + m < n; m++) totals[i * n + j + m] = (double)some[m];
            }
            const uint8_t above = v_bits(v_positive(v_size(turn) - v_set1(limits[order[i]]))) != 0;
            large[i] = is_first ? above : large[i] | above;
        }
        v_store(total + j, sum);
    }
}

static const FL(fl_line_kernels) line_kernels = {
    .list = list,
    .list_sizes = list_sizes,
    .push = push,
    .push_sizes = push_sizes,
    .scale = scale,
    .walk = walk,
    .place = place,
    .merge = merge,
    .accumulate = accumulate,
};

#endif
