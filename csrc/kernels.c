/* The inner loops for one instruction set and one real type: compiled once for each pair. */
#include "kernels.h"

#include "bits.h"
#include "simd.h"
#if FL_REAL_BITS == 64
#include "lines.h"
#endif

/* ReLU apart: 0 * z would be NaN for z = -inf. */
INLINE vec v_fold(vmask positive, vec z, real slope)
{
    return slope == 0 ? v_relu(z) : v_select(positive, z, v_set1(slope) * z);
}

/* One tile: `rows` units by `vecs` vectors of points, all sums in registers.
   sum[j][p] = bias[j] + w[0][j] x[0][p] + w[1][j] x[1][p] + ... in this order. */
INLINE void tile(const int rows, const int vecs, const fl_fold fold, size_t n_in, const real *restrict w,
                 const real *restrict bias, const real *restrict slopes, const uint32_t *restrict mask_rows,
                 const real *restrict x, real *restrict y, fl_mask_row *restrict masks)
{
    vec sum[TILE_ROWS][TILE_VECS];
    UNROLL for (int j = 0; j < rows; j++)
        UNROLL for (int v = 0; v < vecs; v++) sum[j][v] = v_set1(bias[j]);

    for (size_t k = 0; k < n_in; k++) {
        vec xk[TILE_VECS];
        UNROLL for (int v = 0; v < vecs; v++) xk[v] = v_load(x + k * PANEL + v * LANES);
        UNROLL for (int j = 0; j < rows; j++) {
            const vec wj = v_set1(w[k * rows + j]);
            UNROLL for (int v = 0; v < vecs; v++) sum[j][v] = v_fma(wj, xk[v], sum[j][v]);
        }
    }

    UNROLL for (int j = 0; j < rows; j++) {
        vmask positive[TILE_VECS];
        UNROLL for (int v = 0; v < vecs; v++) {
            vec a = sum[j][v];
            positive[v] = v_positive(a);
            if (fold == FL_RELU || fold == FL_RELU_MASKS) a = v_relu(a);
            if (fold == FL_SLOPES_MASKS) a = v_fold(positive[v], a, slopes[j]);
            v_store(y + j * PANEL + v * LANES, a);
        }
        if (fold == FL_RELU_MASKS || fold == FL_SLOPES_MASKS) {
            if (vecs == TILE_VECS)
                v_store_bits(masks[mask_rows[j]], positive);
            else
                v_store_bits_small(masks[mask_rows[j]], positive);
        }
    }
}

INLINE void all_tiles(const int vecs, const fl_fold fold, const FL(fl_affine) *layer, const real *x, real *y,
                      fl_mask_row *masks)
{
    const size_t n_in = layer->n_in;
    size_t n_tiles = fl_tile_count(layer->n_out, TILE_ROWS);
    for (size_t j = 0; n_tiles; n_tiles--) {
        const size_t rows = fl_tile_rows(layer->n_out - j, n_tiles);
        const real *w = layer->weights + j * n_in, *bias = layer->bias + j, *slopes = layer->slopes + j;
        const uint32_t *mask_rows = layer->mask_rows + j;
        real *yj = y + j * PANEL;
        switch (rows) {
#define TILE(rows) case rows: tile(rows, vecs, fold, n_in, w, bias, slopes, mask_rows, x, yj, masks); break;
        TILE(1)
        TILE(2)
#if TILE_ROWS >= 4
        TILE(3)
        TILE(4)
#endif
#if TILE_ROWS >= 6
        TILE(5)
        TILE(6)
#endif
#undef TILE
        }
        j += rows;
    }
}

INLINE void layer_with(const fl_fold fold, const FL(fl_affine) *layer, const real *x, real *y,
                       fl_mask_row *masks, size_t n_points)
{
    const size_t n_panels = (n_points + PANEL - 1) / PANEL;
    for (size_t i = 0; i < n_panels; i++) {
        const real *xi = x + i * layer->n_in * PANEL;
        real *yi = y + i * layer->n_out * PANEL;
        fl_mask_row *mi = (fl_mask_row *)((uint8_t *)masks + i * (PANEL / 8));
        const size_t n = n_points - i * PANEL;
        if (n + SMALL_VECS * LANES > PANEL)
            all_tiles(TILE_VECS, fold, layer, xi, yi, mi);
        else
            for (size_t p = 0; p < n; p += SMALL_VECS * LANES)
                all_tiles(SMALL_VECS, fold, layer, xi + p, yi + p, (fl_mask_row *)((uint8_t *)mi + p / 8));
    }
}

static void layer(const FL(fl_affine) *l, fl_fold fold, const real *restrict x, real *restrict y,
                  fl_mask_row *restrict masks, size_t n_points)
{
    switch (fold) {
    case FL_AFFINE: layer_with(FL_AFFINE, l, x, y, masks, n_points); break;
    case FL_RELU: layer_with(FL_RELU, l, x, y, masks, n_points); break;
    case FL_RELU_MASKS: layer_with(FL_RELU_MASKS, l, x, y, masks, n_points); break;
    case FL_SLOPES_MASKS: layer_with(FL_SLOPES_MASKS, l, x, y, masks, n_points); break;
    }
}

/* LANES vectors as the columns of what were rows: log2(LANES) rounds of zipping row i with row
   i + LANES / 2. */
INLINE void transpose(vec a[LANES])
{
    vec b[LANES];
    UNROLL for (int step = 1; step < LANES; step *= 2) {
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = v_zip_lo(a[i], a[i + LANES / 2]);
            b[2 * i + 1] = v_zip_hi(a[i], a[i + LANES / 2]);
        }
        UNROLL for (int i = 0; i < LANES; i++) a[i] = b[i];
    }
}

INLINE real read_real(const char *p)
{
    real a;
    memcpy(&a, p, sizeof a);
    return a;
}

/* Packed rows of few inputs: with n_in a constant, the compiler finds the shuffles. */
INLINE void deinterleave(const size_t n_in, const char *points, real *restrict x)
{
    for (size_t p = 0; p < PANEL; p++)
        for (size_t k = 0; k < n_in; k++) x[k * PANEL + p] = read_real(points + (p * n_in + k) * sizeof(real));
}

/* Any strides, any number of points: the rest of the panel becomes 0. */
static void read_columns(const char *points, ptrdiff_t point_stride, ptrdiff_t input_stride, size_t n_points,
                         size_t first, size_t last, real *restrict x)
{
    for (size_t k = first; k < last; k++) {
        const char *column = points + (ptrdiff_t)k * input_stride;
        for (size_t p = 0; p < n_points; p++)
            x[k * PANEL + p] = read_real(column + (ptrdiff_t)p * point_stride);
        for (size_t p = n_points; p < PANEL; p++) x[k * PANEL + p] = 0;
    }
}

static void read_panel(const char *points, ptrdiff_t point_stride, ptrdiff_t input_stride, size_t n_points,
                       size_t n_in, real *restrict x)
{
    const ptrdiff_t packed = (ptrdiff_t)(n_in * sizeof(real));
    size_t k = 0;
    if (input_stride == sizeof(real) && n_points == PANEL) {
        if (point_stride == packed && n_in <= 4) {
            switch (n_in) {
            case 1: memcpy(x, points, PANEL * sizeof(real)); return;
            case 2: deinterleave(2, points, x); return;
            case 3: deinterleave(3, points, x); return;
            case 4: deinterleave(4, points, x); return;
            }
        }
        for (; k + LANES <= n_in; k += LANES)
            for (size_t p = 0; p < PANEL; p += LANES) {
                vec a[LANES];
                const char *corner = points + (ptrdiff_t)p * point_stride + (ptrdiff_t)(k * sizeof(real));
                UNROLL for (int i = 0; i < LANES; i++) a[i] = v_load((const real *)(corner + i * point_stride));
                transpose(a);
                UNROLL for (int i = 0; i < LANES; i++) v_store(x + (k + i) * PANEL + p, a[i]);
            }
    }
    read_columns(points, point_stride, input_stride, n_points, k, n_in, x);
}

static int read_points(const char *points, ptrdiff_t point_stride, ptrdiff_t input_stride, size_t n_points,
                       size_t n_in, real *restrict x)
{
    vec nonfinite = v_set1(0);
    for (size_t p = 0; p < n_points; p += PANEL, x += n_in * PANEL) {
        const size_t n = n_points - p < PANEL ? n_points - p : PANEL;
        read_panel(points + (ptrdiff_t)p * point_stride, point_stride, input_stride, n, n_in, x);
        /* x * 0 is 0 for every finite x and NaN for the others, and NaN stays */
        for (size_t i = 0; i < n_in * PANEL; i += LANES) nonfinite = v_fma(v_load(x + i), v_set1(0), nonfinite);
    }
    real lanes[LANES];
    v_store(lanes, nonfinite);
    for (int i = 0; i < LANES; i++)
        if (lanes[i] != 0) return 0;
    return 1;
}

static void write_rows(const real *panels, size_t n, char *rows, ptrdiff_t row_stride, ptrdiff_t column_stride,
                       size_t n_points)
{
    for (size_t p0 = 0; p0 < n_points; p0 += PANEL, panels += n * PANEL, rows += (ptrdiff_t)PANEL * row_stride) {
        const size_t n_here = n_points - p0 < PANEL ? n_points - p0 : PANEL;
        size_t k = 0;
        if (column_stride == sizeof(real) && n_here == PANEL)
            for (; k + LANES <= n; k += LANES)
                for (size_t p = 0; p < PANEL; p += LANES) {
                    vec a[LANES];
                    char *corner = rows + (ptrdiff_t)p * row_stride + (ptrdiff_t)(k * sizeof(real));
                    UNROLL for (int i = 0; i < LANES; i++) a[i] = v_load(panels + (k + i) * PANEL + p);
                    transpose(a);
                    UNROLL for (int i = 0; i < LANES; i++) v_store((real *)(corner + i * row_stride), a[i]);
                }
        if (n == 1 && row_stride == sizeof(real)) {
            memcpy(rows, panels, n_here * sizeof(real));
            continue;
        }
        for (; k < n; k++)
            for (size_t p = 0; p < n_here; p++)
                memcpy(rows + (ptrdiff_t)p * row_stride + (ptrdiff_t)k * column_stride, panels + k * PANEL + p,
                       sizeof(real));
    }
}

static void bound(const FL(fl_affine) *l, const FL(fl_rounding) *r, const real *restrict sums,
                  real *restrict errors, uint8_t *restrict certain, size_t n_points)
{
    for (size_t p0 = 0; p0 < n_points; p0 += PANEL, certain += PANEL) {
        real doubt[PANEL] = {0};
        for (size_t j = 0; j < l->n_out; j++, sums += PANEL, errors += PANEL) {
            const real b = r->bias_error[j], s = l->slopes[j] < 0 ? -l->slopes[j] : l->slopes[j];
            const real relative = r->slope_error[j], steepest = s > 1 ? s : 1;
            const real underflow = relative > 0 ? REAL_SMALLEST : 0;
            const int has_bit = l->slopes[j] != 1;
            for (size_t p = 0; p < PANEL; p++) {
                const real z = sums[p], size = z < 0 ? -z : z;
                const real e = (errors[p] > 0 ? errors[p] + b : 0) + (z - z);
                const real active = z > e ? 1 : 0, inactive = z <= -e ? 1 : 0;
                if (has_bit) doubt[p] = active + inactive > 0 ? doubt[p] : 1;
                const real slope = active > 0 ? 1 : inactive > 0 ? s : steepest;
                const real product = z < 0 ? size * relative + underflow : 0;
                errors[p] = slope > 0 ? slope * e + product : 0;
            }
        }
        const size_t n_here = n_points - p0 < PANEL ? n_points - p0 : PANEL;
        for (size_t p = 0; p < n_here; p++) certain[p] &= doubt[p] == 0;
    }
}

static void add_relative(real *restrict errors, const real *restrict activations, real scale, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const real size = activations[i] < 0 ? -activations[i] : activations[i];
        errors[i] = size * scale + errors[i];
    }
}

static void fold(const FL(fl_affine) *l, const real *restrict sums, real *restrict activations,
                 fl_mask_row *restrict masks, size_t n_points)
{
    for (size_t p0 = 0; p0 < n_points; p0 += PANEL)
        for (size_t j = 0; j < l->n_out; j++, sums += PANEL, activations += PANEL) {
            uint8_t *row = masks[l->mask_rows[j]] + p0 / 8;
            for (int p = 0; p < PANEL; p += SMALL_VECS * LANES, row += SMALL_VECS * LANES / 8) {
                vmask positive[SMALL_VECS];
                UNROLL for (int v = 0; v < SMALL_VECS; v++) {
                    const vec z = v_load(sums + p + v * LANES);
                    positive[v] = v_positive(z);
                    v_store(activations + p + v * LANES, v_fold(positive[v], z, l->slopes[j]));
                }
                v_store_bits_small(row, positive);
            }
        }
}

static void list_units(const uint8_t *pattern, size_t first_bit, size_t n_units, FL(fl_in_force) *in_force)
{
    uint32_t *restrict units = in_force->units;
    size_t n = 0;
    for (size_t j = 0; j < n_units; j += 32) {
        uint64_t bits = 0;
        if (in_force->slopes) {
            for (size_t i = 0; i < 32 && j + i < n_units; i++) bits |= (uint64_t)(in_force->slopes[j + i] != 0) << i;
        } else {
            memcpy(&bits, pattern + (first_bit + j) / 8, 8);
            bits >>= (first_bit + j) % 8;
        }
        if (n_units - j < 32) bits &= (UINT64_C(1) << (n_units - j)) - 1;
        n += list_bits(units + n, j, (uint32_t)bits);
    }
    in_force->n_units = n;
    units[n] = (uint32_t)n_units;
    for (int i = 1; i <= LANES; i++) units[n + i] = UINT32_MAX;
}

static void list_windows(FL(fl_in_force) *in_force)
{
    size_t n_windows = 0;
    for (size_t k = 0; k <= in_force->n_units; n_windows++) {
        in_force->windows[n_windows] = (uint32_t)k;
        k += list_window(in_force->units + k, in_force->places + k, (uint32_t)(n_windows * MAP_ROWS * LANES));
    }
    in_force->n_windows = n_windows;
}

/* EACH(n) for n = 1 ... MAP_ROWS. */
#if MAP_ROWS == 10
#define MAP_ROWS_EACH(EACH) EACH(1) EACH(2) EACH(3) EACH(4) EACH(5) EACH(6) EACH(7) EACH(8) EACH(9) EACH(10)
#elif MAP_ROWS == 5
#define MAP_ROWS_EACH(EACH) EACH(1) EACH(2) EACH(3) EACH(4) EACH(5)
#elif MAP_ROWS == 2
#define MAP_ROWS_EACH(EACH) EACH(1) EACH(2)
#endif

/* sum[j][v] = sum over k of coefficient[j][k] * columns v of unit k's row. */
INLINE void combine_tile(const int rows, const int vecs, const int pick, const FL(fl_in_force) *above,
                         const real *restrict coefficients, const real *restrict matrix, size_t stride,
                         const size_t *column, const vpick *picks, vec sum[MAP_ROWS][MAP_VECS])
{
    const uint32_t *restrict units = above->units, *restrict places = above->places;
    const size_t n_units = above->n_units;
    UNROLL for (int j = 0; j < rows; j++)
        UNROLL for (int v = 0; v < vecs; v++) sum[j][v] = v_set1(0);
    for (size_t k = 0; k < n_units; k++) {
        const real *row = matrix + units[k] * stride, *c = coefficients + places[k];
        vec x[MAP_VECS];
        UNROLL for (int v = 0; v < vecs; v++)
            x[v] = pick ? v_pick(row + column[v], picks[v]) : v_load(row + v * LANES);
        UNROLL for (int j = 0; j < rows; j++) {
            const vec cj = v_set1(c[j * LANES]);
            UNROLL for (int v = 0; v < vecs; v++) sum[j][v] = v_fma(cj, x[v], sum[j][v]);
        }
    }
}

INLINE void combine_windows(const int rows, const int vecs, const FL(fl_in_force) *above,
                            const real *restrict coefficients, const real *restrict matrix, size_t stride,
                            const FL(fl_in_force) *below, size_t window, real *restrict out)
{
    vec sum[MAP_ROWS][MAP_VECS];
    vpick picks[MAP_VECS];
    size_t column[MAP_VECS];
    UNROLL for (int v = 0; v < vecs; v++) {
        column[v] = below->units[below->windows[window + v]];
        picks[v] = v_load_pick(below->units + below->windows[window + v]);
    }
    combine_tile(rows, vecs, 1, above, coefficients, matrix, stride, column, picks, sum);
    UNROLL for (int v = 0; v < vecs; v++) {
        if (below->slopes) {
            const vec slopes = v_pick(below->slopes + column[v], picks[v]);
            UNROLL for (int j = 0; j < rows; j++) sum[j][v] = slopes * sum[j][v];
        }
        UNROLL for (int j = 0; j < rows; j++) v_store(out + ((window + v) * MAP_ROWS + j) * LANES, sum[j][v]);
    }
}

INLINE void combine_rows(const int rows, const FL(fl_in_force) *above, const real *restrict coefficients,
                         const real *restrict matrix, size_t stride, const FL(fl_in_force) *below,
                         real *restrict out, real *restrict offsets)
{
    size_t w = 0;
    for (; w + MAP_VECS <= below->n_windows; w += MAP_VECS)
        combine_windows(rows, MAP_VECS, above, coefficients, matrix, stride, below, w, out);
    for (; w < below->n_windows; w++)
        combine_windows(rows, 1, above, coefficients, matrix, stride, below, w, out);
    const real *bias = out + below->places[below->n_units];
    UNROLL for (int j = 0; j < rows; j++) offsets[j] += bias[j * LANES];
}

INLINE void combine_panel(const int rows, const int vecs, const FL(fl_in_force) *above,
                          const real *restrict coefficients, const real *restrict panel, size_t first,
                          size_t n_columns, real *restrict map, real *restrict offsets)
{
    vec sum[MAP_ROWS][MAP_VECS];
    combine_tile(rows, vecs, 0, above, coefficients, panel, MAP_VECS * LANES, NULL, NULL, sum);
    UNROLL for (int v = 0; v < vecs; v++, first += LANES) {
        if (first + LANES <= n_columns) {
            UNROLL for (int j = 0; j < rows; j++) v_store(map + j * n_columns + first, sum[j][v]);
            continue;
        }
        for (int j = 0; j < rows; j++) {
            real lanes[LANES];
            v_store(lanes, sum[j][v]);
            size_t i = 0;
            for (; first + i < n_columns; i++) map[j * n_columns + first + i] = lanes[i];
            offsets[j] += lanes[i];
        }
    }
}

static void combine(size_t n_rows, const FL(fl_in_force) *above, const real *restrict coefficients,
                    const real *restrict matrix, size_t stride, const FL(fl_in_force) *below, real *restrict out,
                    real *restrict offsets)
{
    switch (n_rows) {
#define ROWS(rows) case rows: combine_rows(rows, above, coefficients, matrix, stride, below, out, offsets); break;
    MAP_ROWS_EACH(ROWS)
#undef ROWS
    }
}

static void combine_all(size_t n_rows, const FL(fl_in_force) *above, const real *restrict coefficients,
                        const real *restrict panel, size_t first, size_t n_columns, real *restrict map,
                        real *restrict offsets)
{
    const int narrow = n_columns < first + LANES;
    switch (n_rows) {
#define ROWS(rows) \
    case rows: \
        if (narrow) combine_panel(rows, 1, above, coefficients, panel, first, n_columns, map, offsets); \
        else combine_panel(rows, MAP_VECS, above, coefficients, panel, first, n_columns, map, offsets); \
        break;
    MAP_ROWS_EACH(ROWS)
#undef ROWS
    }
}

static double multiply_add(size_t n_steps)
{
    vec sum[TILE_ROWS][TILE_VECS];
    UNROLL for (int j = 0; j < TILE_ROWS; j++)
        UNROLL for (int v = 0; v < TILE_VECS; v++) sum[j][v] = v_set1((real)(j * TILE_VECS + v));
    volatile real source[2] = {(real)0.5, (real)0.25};
    const vec a = v_set1(source[0]), b = v_set1(source[1]);
    for (size_t i = 0; i < n_steps; i++)
        UNROLL for (int j = 0; j < TILE_ROWS; j++)
            UNROLL for (int v = 0; v < TILE_VECS; v++) sum[j][v] = v_fma(a, sum[j][v], b);
    vec total = v_set1(0);
    UNROLL for (int j = 0; j < TILE_ROWS; j++)
        UNROLL for (int v = 0; v < TILE_VECS; v++) total = total + sum[j][v];
    real lanes[LANES];
    v_store(lanes, total);
    volatile real sink = lanes[0];
    (void)sink;
    return 2.0 * (double)n_steps * TILE_ROWS * TILE_VECS * LANES;
}

#if FL_REAL_BITS == 64
static void keep_forms(const FL(fl_kept) *kept, fl_norm norm, int constant, real rest, real slope, real relative,
                       const real *restrict active, real *restrict values, real *restrict errors, size_t at)
{
    const vec zero = v_set1(0), factor = v_set1(slope), size = v_size(factor);
    const vec ulp = v_set1(relative), smallest = v_set1(relative > 0 ? DBL_MIN : 0);
    for (size_t i = 0; i < PANEL; i += LANES) {
        const vec value = v_load(values + i), more = v_load(errors + i);
        const vec error = more + v_select(v_positive(more), v_set1(rest), zero);
        v_store(kept->forms + at + i, value);
        if (constant) v_store(kept->e + at + i, error);
        else {
            const vec side = v_size(value) + error;
            vec length = v_load(kept->lengths + at + i);
            if (norm == FL_NORM_INF) length = length + side;
            else if (norm == FL_NORM_2) length = v_fma(side, side, length);
            else length = v_max(length, side);
            v_store(kept->f + at + i, v_load(kept->f + at + i) + error);
            v_store(kept->lengths + at + i, length);
        }
        const vmask on = v_positive(v_load(active + i));
        vec off = zero, off_error = zero;
        if (slope != 0) {
            off = factor * value;
            off_error = v_fma(v_size(value), ulp, size * error);
            off_error = off_error + v_select(v_positive(v_size(value)), smallest, zero);
        }
        v_store(values + i, v_select(on, value, off));
        v_store(errors + i, v_select(on, error, off_error));
    }
}

static void divide_forms(const FL(fl_kept) *kept, size_t n_in, size_t row, const real *restrict active, size_t at)
{
    const vec zero = v_set1(0), one = v_set1(1), infinite = v_set1(HUGE_VAL);
    const vec gamma = v_set1(2 * (real)(n_in + 8) * REAL_UNIT_ROUNDOFF), up = v_set1(1 + 16 * REAL_UNIT_ROUNDOFF);
    const vec tiny = v_set1((real)(2 * n_in + 8) * DBL_MIN);
    for (size_t i = at; i < at + PANEL; i += LANES) {
        real *c = kept->forms + n_in * row + i;
        const vec length = v_load(kept->lengths + i), on = v_load(active + i), sign = on + on - one;
        const vmask has = v_positive(length);
        const vec inverse = v_select(has, one / length, zero), side = sign * inverse;
        const vec value = sign * v_load(c), scaled = value * inverse, margin = value - v_load(kept->e + i);
        const vec of_zero = v_select(v_positive(on), zero, infinite);
        const vec without = v_select(v_positive(margin), infinite, v_select(v_at_most(zero, margin), of_zero, zero));
        const vec error = (v_load(kept->e + i) * inverse + gamma * v_size(scaled)) * up + tiny;
        vec sum = zero;
        for (size_t k = 0; k < n_in; k++) {
            const vec t = v_load(kept->forms + k * row + i) * side;
            v_store(kept->forms + k * row + i, t);
            sum = sum + v_size(t);
        }
        const vec slack = (v_load(kept->f + i) * inverse + gamma * sum) * (up + gamma) + tiny;
        v_store(c, v_select(has, scaled, without));
        v_store(kept->e + i, v_select(has, error, zero));
        v_store(kept->f + i, v_select(has, slack, zero));
    }
}

static void turn_tile(const real *restrict from, size_t from_stride, real *restrict to, size_t to_stride)
{
    vec tile[LANES];
    UNROLL for (int i = 0; i < LANES; i++) tile[i] = v_load(from + (size_t)i * from_stride);
    transpose(tile);
    UNROLL for (int i = 0; i < LANES; i++) v_store(to + (size_t)i * to_stride, tile[i]);
}

#define LEAST_POINTS (LANES < 4 ? LANES : 4)

static void least(size_t n_in, size_t stride, const real *restrict table, size_t n_points,
                  const real *restrict points, real *restrict found)
{
    const vec zero = v_set1(0);
    vec nearest[LANES];
    UNROLL for (size_t i = 0; i < LANES; i++) nearest[i] = v_set1(HUGE_VAL);
    for (size_t p = 0; p < n_points; p += LEAST_POINTS) {
        const real *x = points + p * (n_in + 1);
        for (size_t j = 0; j < stride; j += LANES) {
            const real *row = table + j;
            const vec c = v_load(row), e = v_load(row + stride), f = v_load(row + 2 * stride);
            vec q[LEAST_POINTS];
            UNROLL for (size_t i = 0; i < LEAST_POINTS; i++) q[i] = c - v_fma(f, v_set1(x[i * (n_in + 1) + n_in]), e);
            for (size_t k = 0; k < n_in; k++) {
                const vec t = v_load(row + (3 + k) * stride);
                UNROLL for (size_t i = 0; i < LEAST_POINTS; i++) q[i] = v_fma(t, v_set1(x[i * (n_in + 1) + k]), q[i]);
            }
            UNROLL for (size_t i = 0; i < LEAST_POINTS; i++)
                nearest[p + i] = v_min(nearest[p + i], v_max(q[i], zero));
        }
    }
    transpose(nearest);
    for (size_t i = 1; i < LANES; i++) nearest[0] = v_min(nearest[0], nearest[i]);
    v_store(found, nearest[0]);
}

static const FL(fl_form_kernels) form_kernels = {keep_forms, divide_forms, turn_tile, least};
#endif

#define TABLE(isa) FL_TABLE(isa)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

const FL(fl_kernels) TABLE(FL_ISA_NAME) = {
    .isa = TEXT(FL_ISA_NAME),
    .panel = PANEL,
    .tile_rows = TILE_ROWS,
    .lanes = LANES,
    .map_rows = MAP_ROWS,
    .map_columns = MAP_VECS * LANES,
    .span = SPAN,
    .layer = layer,
    .read_points = read_points,
    .write_rows = write_rows,
    .transpose_bits = transpose_bits,
    .bound = bound,
    .add_relative = add_relative,
    .fold = fold,
    .list_units = list_units,
    .list_windows = list_windows,
    .combine = combine,
    .combine_all = combine_all,
#if FL_REAL_BITS == 64
    .lines = &line_kernels,
    .forms = &form_kernels,
#endif
    .multiply_add = multiply_add,
};
