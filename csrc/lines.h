/* The inner loops of the sweep along lines, once for each instruction set. knots.c has the meaning and the
   proof. */
#ifndef FOLDLINE_LINES_H
#define FOLDLINE_LINES_H

#include <math.h>

#include "simd.h"

/* The largest tile of `push`, next to a vector for each of its columns. */
#if MAP_ROWS == 10
#define PUSH_VECS 6
#else
#define PUSH_VECS 2
#endif

INLINE void push_tile(const int n_rows, const int vecs, const uint32_t *rows, const real *restrict a, size_t a_stride,
                      const uint32_t *restrict units, size_t n_units, const real *restrict matrix, size_t stride,
                      real *restrict out)
{
    vec sum[FL_PUSH_ROWS][PUSH_VECS];
    const real *from[FL_PUSH_ROWS];
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
    size_t n_tiles = fl_tile_count(n_vecs, PUSH_VECS);
    for (size_t v = 0; n_tiles; n_tiles--) {
        const size_t vecs = fl_tile_rows(n_vecs - v, n_tiles);
        const real *m = matrix + v * LANES;
        real *o = out + v * LANES;
        switch (vecs) {
#define VECS(vecs) case vecs: push_tile(n_rows, vecs, rows, a, a_stride, units, n_units, m, stride, o); break;
        VECS(1)
        VECS(2)
#if PUSH_VECS == 6
        VECS(3)
        VECS(4)
        VECS(5)
        VECS(6)
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

/* The lanes of a vector whose units flip on a piece: values, slopes, errors and roundings. */
static void list_crossings(FL(fl_line) *line, size_t piece, size_t first, uint32_t flips, real lanes[4][LANES])
{
    const FL(fl_crossings) *c = &line->crossings;
    for (; flips; flips &= flips - 1) {
        const size_t i = line->n_crossings++;
        const unsigned lane = (unsigned)__builtin_ctz(flips);
        if (i >= line->room) continue;
        c->pieces[i] = (uint32_t)piece;
        c->units[i] = (uint32_t)first + lane;
        c->begins[i] = line->t[piece];
        c->values[i] = lanes[0][lane];
        c->slopes[i] = lanes[1][lane];
        c->errors[i] = lanes[2][lane];
        c->roundings[i] = lanes[3][lane];
    }
}

/* The units of one vector. `size` is S, and `length` the same of the sums before they fold, which D bounds. */
INLINE int walk_vector(const FL(fl_line_layer) *l, FL(fl_line) *line, size_t first)
{
    const size_t n = line->n_vertices, stride = l->stride, bit_stride = line->bit_stride;
    const uint32_t *order = line->order;
    const real *steps = line->steps, *spreads = line->spreads;
    const uint32_t all = (1u << LANES) - 1;
    const vec zero = v_set1(0), up = v_set1(1 + (real)0x1p-20), walk_gamma = v_set1(line->walk_gamma);
    const vec bias = v_load(l->bias + first), slopes = v_load(l->slopes + first);
    const vec sum = v_load(line->sizes + first), d = (sum + v_size(bias)) * up;
    const vec bound = v_fma(v_load(line->errors + first), up, v_fma(v_set1(line->gamma), d, v_set1((real)0x1p-1022)));
    uint32_t sure = v_bits(v_positive(v_set1((real)0x1p1000) - bound));
    /* Where nothing was added to the bias, the sum is the bias. */
    const vmask moves = v_positive(sum);
    const vec error = v_select(moves, bound, zero);
    const vec guard = v_select(moves, v_load(l->guard + first), v_set1(-(real)INFINITY));
    const vec margin = v_fma(walk_gamma, d, error) + guard;
    const uint32_t has_bit = v_bits(v_positive(guard + v_set1(1)));

    real *rows = line->rows + first;
    uint8_t *bits = line->bits + first / LANES;
    vec z = v_load(rows) + bias, slope = v_load(rows + stride), length = v_size(z) + v_size(slope);
    vmask positive = v_positive(z);
    uint32_t active = v_bits(positive);
    sure &= v_bits(v_positive(v_size(z) - margin));
    bits[0] = bits[bit_stride] = (uint8_t)active;
    const vec a = v_select(positive, z, slopes * z), a_slope = v_select(positive, slope, slopes * slope);
    const vec next_error = v_select(positive, v_set1(1), v_size(slopes)) * error;
    vec size = v_size(a) + v_size(a_slope);
    v_store(rows, a);
    v_store(rows + stride, a_slope);

    for (size_t k = 0;; k++) {
        const vec z_next = v_fma(slope, v_set1(steps[k]), z);
        positive = v_positive(z_next);
        sure &= v_bits(v_positive(v_size(z_next) - v_fma(v_set1(spreads[k]), d, margin)));
        const uint32_t next_active = v_bits(positive), flips = (active ^ next_active) & has_bit;
        if (flips) {
            real lanes[4][LANES];
            v_store(lanes[0], z);
            v_store(lanes[1], slope);
            v_store(lanes[2], error);
            v_store(lanes[3], walk_gamma * length);
            list_crossings(line, k, first, flips, lanes);
        }
        if (k == n) break;
        real *row = rows + order[k] * stride;
        const vec turn = v_load(row), next_turn = v_select(positive, turn, slopes * turn);
        bits[order[k] * bit_stride] = (uint8_t)next_active;
        v_store(row, next_turn);
        slope = slope + turn;
        length = length + v_size(turn);
        size = size + v_size(next_turn);
        active = next_active;
        z = z_next;
    }
    v_store(line->sizes + first, d);
    v_store(line->errors + first, error);
    v_store(line->next_errors + first, next_error);
    v_store(line->next_sizes + first, v_select(v_positive(size + next_error), size + v_set1((real)FL_LEAST), zero));
    return sure == all;
}

static int walk(const FL(fl_line_layer) *l, FL(fl_line) *line)
{
    line->n_crossings = 0;
    for (size_t first = 0; first < l->stride; first += LANES)
        if (!walk_vector(l, line, first)) return 0;
    return 1;
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
        t[i] = begins[i] - values[i] / slopes[i];
        spreads[i] = (errors[i] + roundings[i]) / (steepness - roundings[i]) * (1 + (real)0x1p-20) + 4 * REAL_UNIT_ROUNDOFF;
        sure &= steepness > 2 * roundings[i];
    }
    return sure;
}

static const FL(fl_line_kernels) line_kernels = {
    .lanes = LANES,
    .push = push,
    .scale = scale,
    .walk = walk,
    .place = place,
};

#endif
