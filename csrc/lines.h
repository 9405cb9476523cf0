/* The inner loops of the sweep along lines, once for each instruction set. knots.c has the meaning and the
   proof. */
#ifndef FOLDLINE_LINES_H
#define FOLDLINE_LINES_H

#include <math.h>

#include "simd.h"

/* The largest tile of `push`, next to a vector for each of its columns, and the vectors that `walk` takes
   along a line together: whole bytes of bits, and where there are registers more. */
#if MAP_ROWS == 10
#define PUSH_VECS 7
#else
#define PUSH_VECS (LANES == 1 ? 1 : 3)
#endif
#if defined(FL_SIMD_AVX512)
#define WALK_VECS 8
#else
#define WALK_VECS (FL_LINE_UNITS / LANES)
#endif
#define WALK_UNITS (WALK_VECS * LANES)

static size_t list(const FL(fl_line_layer) *l, const uint8_t *bits, size_t n_rows, const uint32_t *rows,
                   uint32_t *units)
{
    size_t n_units = 0;
    for (size_t first = 0; first * 8 < l->n_out; first += sizeof(uint32_t)) {
        uint32_t any, word;
        memcpy(&any, l->passing + first, sizeof any);
        for (size_t r = 0; r < n_rows; r++) {
            memcpy(&word, bits + rows[r] * l->bit_stride + first, sizeof word);
            any |= word;
        }
        n_units += list_bits(units + n_units, first * 8, any);
    }
    return n_units;
}

INLINE void push_tile(const int n_rows, const int vecs, const uint32_t *rows, const real *restrict a, size_t a_stride,
                      const uint32_t *restrict units, size_t n_units, const real *restrict matrix, size_t stride,
                      real *restrict out)
{
    vec sum[FL_PUSH_NARROW_ROWS][PUSH_VECS];
    const real *from[FL_PUSH_NARROW_ROWS];
    UNROLL for (int r = 0; r < n_rows; r++) {
        from[r] = a + rows[r] * a_stride;
        UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = v_set1(0);
    }
    for (size_t k = 0; k < n_units; k++) {
        const real *row = matrix + units[k] * stride;
        vec w[PUSH_VECS];
        UNROLL for (int v = 0; v < vecs; v++) w[v] = v_load(row + v * LANES);
        UNROLL for (int r = 0; r < n_rows; r++) {
            const vec ar = v_set1(from[r][units[k]]);
            UNROLL for (int v = 0; v < vecs; v++) sum[r][v] = v_fma(ar, w[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int v = 0; v < vecs; v++) v_store(out + rows[r] * stride + v * LANES, sum[r][v]);
}

INLINE void push_rows(const int n_rows, const uint32_t *rows, const real *a, size_t a_stride, const uint32_t *units,
                      size_t n_units, const real *matrix, size_t stride, real *out)
{
    const size_t n_vecs = stride / LANES;
    const size_t most = n_rows > FL_PUSH_ROWS ? 1 : PUSH_VECS;
    size_t n_tiles = fl_tile_count(n_vecs, most);
    for (size_t v = 0; n_tiles; n_tiles--) {
        const size_t vecs = most == 1 ? 1 : fl_tile_rows(n_vecs - v, n_tiles);
        const real *m = matrix + v * LANES;
        real *o = out + v * LANES;
        switch (vecs) {
#define VECS(vecs) case vecs: push_tile(n_rows, vecs, rows, a, a_stride, units, n_units, m, stride, o); break;
        VECS(1)
        VECS(2)
        VECS(3)
#if PUSH_VECS == 7
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
    switch (n_rows) {
#define ROWS(n_rows) case n_rows: push_rows(n_rows, rows, a, a_stride, units, n_units, matrix, stride, out); break;
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

static void scale(size_t n_rows, const real *restrict factors, const uint32_t *restrict units,
                  const real *restrict matrix, size_t stride, real *restrict out)
{
    for (size_t i = 0; i < n_rows; i++) {
        const real *row = matrix + units[i] * stride;
        const vec factor = v_set1(factors[i]);
        for (size_t j = 0; j < stride; j += LANES) v_store(out + i * stride + j, factor * v_load(row + j));
    }
}

/* The units from `first` on that flip on a piece, and of all there the values, slopes and what these may reach. */
static void list_crossings(FL(fl_line) *line, size_t piece, size_t first, uint64_t flips, real units[3][WALK_UNITS])
{
    const FL(fl_crossings) *c = &line->crossings;
    for (; flips; flips &= flips - 1) {
        const size_t i = line->n_crossings++;
        const unsigned j = (unsigned)__builtin_ctzll(flips);
        if (i >= line->room) continue;
        c->pieces[i] = (uint32_t)piece;
        c->units[i] = (uint32_t)first + j;
        c->begins[i] = line->t[piece];
        c->values[i] = units[0][j];
        c->slopes[i] = units[1][j];
        c->errors[i] = line->errors[first + j];
        c->roundings[i] = line->walk_gamma * units[2][j];
    }
}

/* What becomes of a coefficient at a vertex. */
INLINE vec fold_turn(const int relu, vmask positive, vec turn, vec slopes)
{
    return relu ? v_select(positive, turn, v_set1(0)) : v_select(positive, turn, slopes * turn);
}

/* The sizes of a coefficient so far, after the fold. */
INLINE vec add_size(const int relu, vec sum, vmask positive, vec turn, vec folded)
{
    if (relu) return v_add_where(positive, sum, v_size(turn));
    return sum + v_size(folded);
}

/* The units of some vectors. `steepest` is the largest |slope| so far, `nearest` the least |z|, less what may
   change within a spread that is above the common one. No value is NaN where the bounds are finite, since these are
   above all values. */
INLINE int walk_vectors(const int vecs, const int relu, const FL(fl_line_layer) *l, FL(fl_line) *line, size_t first)
{
    const size_t n = line->n_vertices, stride = l->stride, bit_stride = l->bit_stride;
    const uint32_t *restrict order = line->order;
    const real *restrict steps = line->steps, *restrict spreads = line->spreads;
    const vec zero = v_set1(0), up = v_set1(1 + (real)0x1p-20), walk_gamma = v_set1(line->walk_gamma);
    vec slopes[WALK_VECS], z[WALK_VECS], slope[WALK_VECS];
    vec steepest[WALK_VECS], size[WALK_VECS], nearest[WALK_VECS];
    uint64_t active = 0, has_bit = 0, sure_bits = 0;
    real *rows = line->rows + first;
    uint8_t *bits = line->bits + first / 8;
    const real common_spread = line->common_spread;

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
        active |= (uint64_t)v_bits(positive) << (v * LANES);
    }
    memcpy(bits, &active, (size_t)vecs * LANES / 8);
    memcpy(bits + bit_stride, &active, (size_t)vecs * LANES / 8);

    for (size_t k = 0;; k++) {
        const vec step = v_set1(steps[k]);
        vec z_next[WALK_VECS];
        vmask positive[WALK_VECS];
        uint64_t next_active = 0;
        UNROLL for (int v = 0; v < vecs; v++) {
            z_next[v] = v_fma(slope[v], step, z[v]);
            positive[v] = v_positive(z_next[v]);
            nearest[v] = v_nearest(nearest[v], z_next[v]);
            next_active |= (uint64_t)v_bits(positive[v]) << (v * LANES);
        }
        if (spreads[k] > common_spread) {
            const real *turns = rows + order[k] * stride;
            const vec spread = v_set1(2 * spreads[k]);
            UNROLL for (int v = 0; v < vecs; v++) {
                const vec after = slope[v] + v_load(turns + v * LANES);
                const vec change = spread * v_farthest(v_size(slope[v]), after);
                nearest[v] = v_max(zero, v_min(nearest[v], v_size(z_next[v]) - change));
            }
        }
        const uint64_t flips = (active ^ next_active) & has_bit;
        if (flips) {
            real units[3][WALK_UNITS];
            UNROLL for (int v = 0; v < vecs; v++) {
                v_store(units[0] + v * LANES, z[v]);
                v_store(units[1] + v * LANES, slope[v]);
                v_store(units[2] + v * LANES, v_size(z[v]) + v_set1(2) * steepest[v]);
            }
            list_crossings(line, k, first, flips, units);
        }
        UNROLL for (int v = 0; v < vecs; v++) z[v] = z_next[v];
        if (k == n) break;
        real *row = rows + order[k] * stride;
        memcpy(bits + order[k] * bit_stride, &next_active, (size_t)vecs * LANES / 8);
        UNROLL for (int v = 0; v < vecs; v++) {
            const vec turn = v_load(row + v * LANES), folded = fold_turn(relu, positive[v], turn, slopes[v]);
            v_store(row + v * LANES, folded);
            slope[v] = slope[v] + turn;
            steepest[v] = v_farthest(steepest[v], slope[v]);
            size[v] = add_size(relu, size[v], positive[v], turn, folded);
        }
        active = next_active;
    }
    UNROLL for (int v = 0; v < vecs; v++) {
        const size_t at = first + (size_t)v * LANES;
        const vec error = v_load(line->errors + at), reach = v_size(z[v]) + v_set1(2) * steepest[v];
        const vec common = v_set1(2 * common_spread) * steepest[v];
        const vec margin = v_fma(walk_gamma, reach, error + common);
        sure_bits |= (uint64_t)v_bits(v_positive(nearest[v] - margin)) << (v * LANES);
        const vmask any = v_positive(size[v] + v_load(line->next_errors + at));
        v_store(line->next_sizes + at, v_select(any, size[v] + v_set1((real)FL_LEAST), zero));
    }
    return !(has_bit & ~sure_bits);
}

INLINE int walk_layer(const int relu, const FL(fl_line_layer) *l, FL(fl_line) *line)
{
    const size_t n_vecs = l->stride / LANES;
    size_t n_tiles = fl_tile_count(n_vecs, WALK_VECS);
    for (size_t v = 0; n_tiles; n_tiles--) {
        const size_t vecs = fl_tile_rows(n_vecs - v, n_tiles);
        int sure = 0;
        switch (vecs) {
#define VECS(vecs) case vecs: sure = walk_vectors(vecs, relu, l, line, v * LANES); break;
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
    return l->all_relu ? walk_layer(1, l, line) : walk_layer(0, l, line);
}

static int place(FL(fl_line) *line)
{
    const FL(fl_crossings) *c = &line->crossings;
    const real *restrict begins = c->begins, *restrict values = c->values, *restrict slopes = c->slopes;
    const real *restrict errors = c->errors, *restrict roundings = c->roundings;
    real *restrict t = c->t, *restrict spreads = c->spreads;
    int sure = 1;
    for (size_t i = 0; i < line->n_crossings; i++) {
        const real steepness = slopes[i] < 0 ? -slopes[i] : slopes[i];
        const real spread = (errors[i] + roundings[i]) / (steepness - roundings[i]);
        t[i] = begins[i] - values[i] / slopes[i];
        spreads[i] = spread * (1 + (real)0x1p-20) + 4 * REAL_UNIT_ROUNDOFF;
        sure &= steepness > 2 * roundings[i];
    }
    return sure;
}

/* Equal keys get equal ranks, so that what had theirs remains the block's first. */
static void rank(size_t first, size_t n, const real *restrict keys, uint32_t *restrict sorted)
{
    keys += first;
    for (size_t i = 0; i < n; i++) sorted[first + i] = (uint32_t)first;
    for (size_t i = 0; i < n; i += LANES) {
        const vec mine = v_load(keys + i);
        vec n_before = v_set1(-1);
        real ranks[LANES];
        for (size_t j = 0; j < n; j++) n_before = v_add_where(v_at_most(v_set1(keys[j]), mine), n_before, v_set1(1));
        v_store(ranks, n_before);
        for (size_t j = 0; j < LANES && i + j < n; j++) sorted[first + (size_t)ranks[j]] = (uint32_t)(first + i + j);
    }
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
    for (size_t i = 0; i < n_rows; i++) {
        const real *row = rows + order[i] * stride;
        const vec limit = v_set1(limits[order[i]]);
        /* what a vector has too much goes where the next rows will be, while there are some */
        const int whole = (n_rows - i) * n >= stride;
        uint32_t any = 0;
        for (size_t j = 0; j < stride; j += LANES) {
            const vec turn = v_load(row + j), sum = v_load(total + j) + turn;
            v_store(total + j, sum);
            if (whole) store_doubles(totals + i * n + j, sum);
            any |= v_bits(v_positive(v_size(turn) - limit));
        }
        if (!whole)
            for (size_t j = 0; j < n; j++) totals[i * n + j] = (double)total[j];
        large[i] = any != 0;
    }
}

static const FL(fl_line_kernels) line_kernels = {
    .list = list,
    .push = push,
    .scale = scale,
    .walk = walk,
    .place = place,
    .rank = rank,
    .accumulate = accumulate,
};

#endif
