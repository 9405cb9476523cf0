/* The inner loops, one table for each instruction set and real type.

   Points lie across SIMD lanes. A block of up to FL_BLOCK points is cut into panels; activations of
   n units are panel after panel, each [n][panel]. Masks have one row of FL_BLOCK bits a unit. */
#ifndef FOLDLINE_KERNELS_H
#define FOLDLINE_KERNELS_H

#include "foldline.h"
#include "real.h"

typedef uint8_t fl_mask_row[FL_BLOCK / 8];

/* What happens to a sum: nothing, ReLU, ReLU and its mask, any slopes and their masks. */
typedef enum { FL_AFFINE, FL_RELU, FL_RELU_MASKS, FL_SLOPES_MASKS } fl_fold;

typedef struct {
    size_t n_in, n_out;
    const real *weights;       /* tile after tile of rows, each [n_in][rows]: see fl_tile_rows */
    const real *bias;          /* [n_out] */
    const real *slopes;        /* [n_out] */
    const uint32_t *mask_rows; /* [n_out]: where a unit's mask goes */
} FL(fl_affine);

/* The units of a layer whose slope in force is not 0, at one point. A window is what one vector takes of
   their columns: the next units, at most `lanes`, less than `span` from the first. */
typedef struct {
    size_t n_units, n_windows;
    uint32_t *units;           /* [n_units + 1], rising; the last is the column of the bias */
    uint32_t *windows;         /* [n_windows]: where in `units` each begins */
    uint32_t *places;          /* [n_units + 1]: of the coefficients, [window][map_rows][lane], for row 0 */
    real *slopes;              /* in force, of all units, and 1 for the bias; null where they are 0 and 1 */
} FL(fl_in_force);
enum { FL_LIST_SLACK = 32 };   /* what the lists, and a pattern's bytes, have behind their ends */

/* What the arithmetic of one layer can be off by, for certain.c. */
typedef struct {
    const real *bias_error;    /* [n_out] */
    const real *slope_error;   /* [n_out]: of slope * z, relative to |z| */
    real relative_error;       /* gamma_(n_in + 1) */
} FL(fl_rounding);

/* A layer as lines meet it: units lie across lanes, arrays are padded to FL_LINE_UNITS. */
#define FL_LINE_UNITS 8
typedef struct {
    size_t n_in, n_out, stride;
    const real *columns;       /* W transposed, [n_in][stride] */
    const real *magnitudes;    /* |W| transposed, likewise; entries that are not 0 are at least FL_LEAST */
    const real *bias;          /* [stride] */
    const real *slopes;        /* [stride] */
    const real *is_neuron;     /* [stride]: 1 for units that have a bit, 0 for the others */
    int all_relu;
    const uint8_t *passing;    /* a row of bits: units that pass on what is not positive */
    size_t bit_stride;         /* bytes in a row of bits: whole words */
} FL(fl_line_layer);

/* What stands for a size that is not 0 is no smaller, so that products of two of them do not vanish. */
#define FL_LEAST 0x1p-400

/* Spreads up to this are taken to be as large as this where the look is not close; few are larger. */
#define FL_COMMON_SPREAD ((real)0x1p22 * REAL_UNIT_ROUNDOFF)

/* Crossings, by the row that each has as a vertex: `walk` lists the first four, `place` fills in the rest. */
typedef struct {
    uint32_t *pieces, *units;
    real *values, *slopes;     /* the unit's sum where the piece ends, of the first where it begins, and its slope */
    real *t, *spreads;         /* the crossing is within its spread of t */
    real *jumps;               /* by how much the slope of what the unit passes on changes */
} FL(fl_crossings);

/* Vertices along a line, before and after `merge`, which turns the pairs. */
typedef struct {
    uint32_t *order[2];        /* [n]: their rows */
    real *t[2];                /* [n + 2]: where each piece begins, and 1 */
    real *spreads[2];          /* [n + 1]: how far the vertex where each ends may be from its place */
    real *steps;               /* [n + 1]: the lengths of the pieces */
    uint32_t *n_before;        /* [n]: crossings that `walk` found before each vertex */
    uint32_t *sorted[2];       /* room for what is merged */
} FL(fl_along);

/* The sums of a layer along a line, and what `walk` makes of them; knots.c has the meaning. */
typedef struct {
    size_t n_vertices;
    const FL(fl_along) *along;
    int close;                 /* look closely: at each spread, and at each slope for the steepest */
    real gamma, walk_gamma;    /* for a sum of the layer, and for a walk along the line */
    int is_last;               /* no sums follow but the outputs': S and e of the activations are not wanted */
    real *rows;                /* [2 + n_vertices][stride]: sums without the bias; on return, activations */
    size_t first_fresh;        /* rows from here on are still to be made: factor * columns[source] */
    const uint32_t *sources;   /* by row: a unit below, or for older rows the row itself */
    const real *factors;       /* by row: 1 for older rows */
    real *sizes, *errors;      /* [stride]: the bound's two sums */
    real *steepest;            /* [stride]: on return, the largest |slope|; if not close, what bounds it */
    real *next_sizes, *next_errors; /* [stride]: on return, S and e of the activations */
    uint8_t *bits;             /* [2 + n_vertices][bit_stride]: on return, who is active */
    const FL(fl_crossings) *crossings;
    size_t room, n_crossings;  /* the rows there are; no more are listed, but all are counted */
} FL(fl_line);

/* Forms g.x + c of neurons on the regions of some patterns, which lie across lanes: arrays [neuron][lanes]. */
typedef struct {
    real *forms;               /* of each column of g, then of c: for `keep_forms`, of one column */
    real *lengths;             /* of g; for norm 2 their squares */
    real *e, *f;               /* what c, and what all of g, may be off by */
} FL(fl_kept);

/* The steps of radii.c. */
typedef struct {
    /* keep_forms takes a panel of a neuron's values and errors to what it passes on, and
       keeps them `at` a place of their column; wants rounding upward. divide_forms: a panel of one neuron, all
       columns, `row` apart. turn_tile: `lanes` rows to as many columns. */
    void (*keep_forms)(const FL(fl_kept) *, fl_norm, int constant, real rest, real slope, real relative,
                       const real *restrict active, real *restrict values, real *restrict errors, size_t at);
    void (*divide_forms)(const FL(fl_kept) *, size_t n_in, size_t row, const real *restrict active, size_t at);
    void (*turn_tile)(const real *restrict from, size_t from_stride, real *restrict to, size_t to_stride);
    /* For up to `lanes` points, rows of x and max |x[k]|: the least over j < stride of max(0, q_j), with q_j =
       c[j] - (f[j] max |x[k]| + e[j]) + sum over k of t[k][j] x[k]; a NaN counts as 0. The table has rows c, e,
       f, t[0], t[1], ..., `stride` apart. */
    void (*least)(size_t n_in, size_t stride, const real *restrict table, size_t n_points,
                  const real *restrict points, real *restrict found);
} FL(fl_form_kernels);

/* The arrays along a line, and the bytes of a row of bits, have so much behind their ends. */
#define FL_LINE_SLACK 32
#define FL_BITS_SLACK 7

/* Rows with the same units in force, for `list` and `push`: as many on all instruction sets, since bounds follow from
   the lists' lengths. Of FL_LINE_UNITS more go together: these are too few sums to wait for. */
#define FL_PUSH_ROWS 6
#define FL_PUSH_NARROW_ROWS 8

typedef struct {
    /* Lists the units of a layer that are not 0 in some of the rows; the list has FL_LIST_SLACK behind its end. */
    size_t (*list)(const FL(fl_line_layer) *, const uint8_t *bits, size_t n_rows, const uint32_t *rows,
                   uint32_t *units);
    /* Lists those of n whose size is not 0; reads a vector beyond. */
    size_t (*list_sizes)(const real *sizes, size_t n, uint32_t *units);
    /* For n_rows of the rows a and out: out[row] = sum over the listed units, in order, of a[row][unit] *
       matrix[unit]; those of matrix and out are `stride` apart. */
    void (*push)(size_t n_rows, const uint32_t *rows, const real *restrict a, size_t a_stride,
                 const uint32_t *restrict units, size_t n_units, const real *restrict matrix, size_t stride,
                 real *restrict out);
    /* Likewise with |matrix|, for 1 or 2 rows. */
    void (*push_sizes)(size_t n_rows, const real *restrict a, size_t a_stride, const uint32_t *restrict units,
                       size_t n_units, const real *restrict matrix, size_t stride, real *restrict out);
    /* out[i] = factors[i] * matrix[units[i]]. */
    void (*scale)(size_t n_rows, const real *restrict factors, const uint32_t *restrict units,
                  const real *restrict matrix, size_t stride, real *restrict out);
    /* Follows the sums of a layer along a line: lists the crossings, and folds. Returns 0 where a sign at a
       vertex is not sure; what is on the line is then of no use. A close look may tell. */
    int (*walk)(const FL(fl_line_layer) *, FL(fl_line) *);
    /* Places the crossings, and adds what they become to the sizes and errors. Returns 0 where a slope is not
       sure not to be 0. */
    int (*place)(const FL(fl_line_layer) *, FL(fl_line) *);
    /* Puts the crossings in their places between n_vertices vertices. Returns 0 where spreads overlap, but for those of
       vertices whose rows are `tied` to the ones before; null where there are none. */
    int (*merge)(FL(fl_along) *, const FL(fl_crossings) *, size_t n_vertices, size_t n_crossings, const uint8_t *tied);
    /* totals[i] = totals[i - 1] + rows[order[i]], of the first `n` columns; large[i] tells whether a size in
       rows[order[i]] is above limits[order[i]]. */
    void (*accumulate)(size_t n_rows, const uint32_t *order, const real *restrict rows, size_t stride,
                       const real *restrict limits, real *restrict total, size_t n, double *restrict totals,
                       uint8_t *restrict large);
} FL(fl_line_kernels);

typedef struct {
    const char *isa;
    size_t panel, tile_rows, lanes;
    size_t map_rows, map_columns, span;

    /* outputs = fold(W inputs + b). Each sum starts at the bias and runs through the inputs in order,
       in its own lane: no result depends on the number of points or on the vector's width. */
    void (*layer)(const FL(fl_affine) *, fl_fold, const real *restrict inputs, real *restrict outputs,
                  fl_mask_row *restrict masks, size_t n_points);

    /* Rows to panels. Lanes without a point become 0. Returns 0 where a value is NaN or infinite. */
    int (*read_points)(const char *points, ptrdiff_t point_stride, ptrdiff_t input_stride, size_t n_points,
                       size_t n_in, real *restrict panels);
    /* Panels to rows. */
    void (*write_rows)(const real *panels, size_t n, char *rows, ptrdiff_t row_stride,
                       ptrdiff_t column_stride, size_t n_points);

    /* 64 mask rows to the same bits point by point, for all FL_BLOCK points. */
    void (*transpose_bits)(const fl_mask_row *restrict masks, uint64_t *restrict rows);

    /* On entry `errors` has the sums of |W| times the errors carried in; on return, the errors of the
       activations. Points with a sign that is not sure lose their `certain`. Wants rounding upward;
       certain.c has the derivation. */
    void (*bound)(const FL(fl_affine) *, const FL(fl_rounding) *, const real *restrict sums,
                  real *restrict errors, uint8_t *restrict certain, size_t n_points);
    /* errors += scale * |activations|. Wants rounding upward. */
    void (*add_relative)(real *restrict errors, const real *restrict activations, real scale, size_t n);

    /* a = fold(z) for sums that were computed with FL_AFFINE. */
    void (*fold)(const FL(fl_affine) *, const real *restrict sums, real *restrict activations,
                 fl_mask_row *restrict masks, size_t n_points);

    /* Lists what is in force: the units of the bits that are 1, from first_bit on, or those whose entry in
       `slopes` is not 0. */
    void (*list_units)(const uint8_t *pattern, size_t first_bit, size_t n_units, FL(fl_in_force) *in_force);
    /* And how they are cut into windows: apart, because numbers just stored are slow to load in other vectors. */
    void (*list_windows)(FL(fl_in_force) *in_force);

    /* A step of a map from a layer's units down to the ones below it, for n_rows <= map_rows of its rows:
       for every column, the sum over the units above, in order, of coefficient * [W | b][unit][column].

       combine: the columns of the units below that are in force, each times its slope, and the bias, which is
       added to the offsets.
       combine_all: of the panel that starts at column `first`, [unit][map_columns], all n_columns of the
       map, whose rows are contiguous; the bias is column n_columns. */
    void (*combine)(size_t n_rows, const FL(fl_in_force) *above, const real *restrict coefficients,
                    const real *restrict matrix, size_t stride, const FL(fl_in_force) *below,
                    real *restrict below_coefficients, real *restrict offsets);
    void (*combine_all)(size_t n_rows, const FL(fl_in_force) *above, const real *restrict coefficients,
                        const real *restrict panel, size_t first, size_t n_columns, real *restrict map,
                        real *restrict offsets);

    const FL(fl_line_kernels) *lines; /* in double; null in float */
    const FL(fl_form_kernels) *forms; /* likewise */

    /* n_steps rounds of independent multiply-adds in registers; returns the operations done. */
    double (*multiply_add)(size_t n_steps);
} FL(fl_kernels);

/* Rows are cut into tiles of nearly equal height, so that no tile is a thin rest: of n rows left in
   n_tiles tiles, the next one takes this many. */
static inline size_t fl_tile_rows(size_t n_rows, size_t n_tiles) { return (n_rows + n_tiles - 1) / n_tiles; }
static inline size_t fl_tile_count(size_t n_rows, size_t most) { return (n_rows + most - 1) / most; }

/* The kernels for a name of fl_isa_available(), or the best for NULL; NULL when there are none. */
const FL(fl_kernels) *FL(fl_kernels_for)(const char *isa);

#endif
