/* foldline: evaluation of continuous piecewise-linear networks. The C core, usable without Python.

   A network is a chain of affine maps z = W a + b. Between two of them every unit folds,
   a = z > 0 ? z : slope * z. A unit whose slope is 1 passes through and has no bit; the others are
   neurons. A pattern has one bit a neuron, layer by layer, little bit order: 1 where z > 0.

   Functions exist for both real types: NAME_f32 for float, NAME_f64 for double. Strides are in
   bytes and may be negative; points need not be aligned. Arguments are the caller's duty; what can
   run out, or be found out only while computing, comes back as a status. Nothing here prints,
   keeps global state or takes locks: one network may serve any number of threads. */
#ifndef FOLDLINE_H
#define FOLDLINE_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    FL_OK = 0,
    FL_NO_MEMORY,
    FL_NONFINITE,   /* a point has NaN or infinity; results of the call are incomplete */
    FL_UNKNOWN_ISA, /* no such instruction set, or this processor lacks it */
    FL_UNDECIDED,   /* doubles do not decide this; exact arithmetic does */
    FL_UNKNOWN_ENGINE,
    FL_STATUS_COUNT
} fl_status;

/* The instruction sets that were compiled in and that this processor has, best first. Returns how many
   names were written, at most `most`. */
size_t fl_isa_available(const char **names, size_t most);

/* The instruction set that the kernels for one of these names, or for NULL, say they were compiled for; NULL:
   there are none. */
const char *fl_isa_of(const char *isa);

/* Points that go through all layers together; work split at its multiples is never done twice. */
#define FL_BLOCK 64

/* Distance is measured in this norm. */
typedef enum { FL_NORM_INF, FL_NORM_1, FL_NORM_2 } fl_norm;

/* What to compute for n_points points, and where to put it. A null pointer means: not wanted. */
typedef struct {
    const void *points;     /* (n_points, n_in) reals */
    ptrdiff_t point_stride, input_stride;
    size_t n_points;
    int allow_nonfinite;    /* rows with NaN or infinity are computed, never certain */
    void *outputs;          /* (n_points, n_out) reals */
    ptrdiff_t output_stride, output_column_stride;
    uint8_t *patterns;      /* (n_points, ceil(n_neurons / 8)), rows contiguous */
    uint8_t *certain;       /* (n_points,): 1 where every bit of the row is proved */
    void *preactivations;   /* (n_points, n_neurons) reals, contiguous */
    void *maps;             /* (n_points, n_out, n_in) reals, contiguous: A of f(x) = A x + b */
    void *offsets;          /* (n_points, n_out) reals, contiguous: b */
    void *radii;            /* (n_points,) reals: distance to the nearest fold, see fl_norm */
    fl_norm radius_norm;
    int (*interrupted)(void *);   /* called with `context` during long work; what is not 0 ends the call, whose */
    void *context;                /* results are then incomplete. Or NULL */
} fl_request;

#define FL_DECLARE(real, T)                                                                            \
    typedef struct fl_network##T fl_network##T;                                                        \
                                                                                                       \
    /* n_layers matrices (n_out, n_in), row by row, and biases; slopes for n_layers - 1 layers.        \
       widths has n_layers + 1 entries: n_in, hidden widths, n_out. Everything is copied.              \
       isa is a name of fl_isa_available(), or NULL for the best. Free with fl_network_free. */        \
    fl_status fl_network_new##T(size_t n_layers, const size_t *widths, const real *const *weights,     \
                                const real *const *biases, const real *const *slopes, const char *isa, \
                                fl_network##T **network);                                              \
    void fl_network_free##T(fl_network##T *network);                                                   \
    size_t fl_network_neurons##T(const fl_network##T *network);                                        \
    /* As fl_isa_of. */                                                                                \
    const char *fl_network_isa##T(const fl_network##T *network);                                       \
                                                                                                       \
    /* Bit-identical however the points are split into calls, and on every instruction set but the     \
       baseline, which rounds a product before it is added. */                                         \
    fl_status fl_evaluate##T(const fl_network##T *network, const fl_request *request);                 \
                                                                                                       \
    /* Patterns of rows for which every operation happens to be exact: those get exact[i] = 1. Slow:   \
       a block for each row. */                                                                        \
    fl_status fl_patterns_if_exact##T(const fl_network##T *network, const fl_request *request,         \
                                      uint8_t *exact);                                                 \
                                                                                                       \
    /* The maps A (n_patterns, n_out, n_in) and b (n_patterns, n_out) of the regions with these patterns,       \
       f(x) = A x + b, contiguous. */                                                                  \
    fl_status fl_local_maps##T(const fl_network##T *network, const uint8_t *patterns, size_t n_patterns, \
                               real *maps, real *offsets);                                             \
                                                                                                       \
    /* Runs n_steps dependent rounds of independent multiply-adds in registers and returns how many    \
       floating-point operations that were: time it for the peak of one thread. */                     \
    double fl_multiply_add##T(const fl_network##T *network, size_t n_steps);

FL_DECLARE(float, _f32)
FL_DECLARE(double, _f64)
#undef FL_DECLARE

/* Lower bounds for the distances of points (n_points, n_in), rows contiguous, to the nearest fold, 0 where a point
   is not sure to have the pattern it is given with. interrupted, context: as for fl_request. */
fl_status fl_radii_of_patterns(const fl_network_f64 *network, const double *points, const uint8_t *patterns,
                               size_t n_points, fl_norm norm, double *radii, int (*interrupted)(void *),
                               void *context);

/* Where segments cross the folds of a network: what to do, and where to put it. A row is a crossing; rows
   are in order of segment and t. */
typedef struct {
    const double *starts, *stops; /* (n_segments, n_in), contiguous, finite */
    size_t n_segments;
    size_t room;                  /* for so many rows */
    int64_t *row_counts;          /* (n_segments,): of rows */
    double *first_slope;          /* (n_segments, n_out): derivative by t of the outputs on the first piece */
    double *t, *t_error;          /* (room,): the crossing is within t_error of t */
    int32_t *neuron;              /* (room,): the bit that flips */
    double *slope_after;          /* (room, n_out): derivative on the next piece */
    uint8_t *is_knot;             /* (room,): whether the derivative changes */
    uint8_t *tied;                /* (room,): whether it is the same crossing as that of the row before */
    int (*interrupted)(void *);   /* called with `context` after some time, every now and then; what is not 0 */
    void *context;                /* ends the call */
    size_t n_done, n_rows;        /* set: segments done, and rows */
    int undecided;                /* set: rounding leaves the next segment open; where not, and segments are left,
                                     there is no room for the next, or the call was interrupted */
} fl_knots_request;

/* The sweep in double, and in long double, many times slower, for what that leaves open. A sweep serves
   one thread at a time; its arguments are those of fl_network_new, and of fl_cells_new, but for shares: of every
   hidden unit (1 - slope) times its factor's size, and 0 where it is a first one and what the twins pass on, at
   a fold that they share, cancels in all units of the next layer. All that is reported is proved, for real
   arithmetic, but the slopes, which are rounded. */
#define FL_DECLARE(T)                                                                                       \
    typedef struct fl_sweep##T fl_sweep##T;                                                                 \
    fl_status fl_sweep_new##T(size_t n_layers, const size_t *widths, const double *const *weights,          \
                              const double *const *biases, const double *const *slopes,                     \
                              const int64_t *twins, const double *shares, const char *isa,                  \
                              fl_sweep##T **sweep);                                                         \
    void fl_sweep_free##T(fl_sweep##T *sweep);                                                              \
    fl_status fl_knots##T(fl_sweep##T *sweep, fl_knots_request *request);

FL_DECLARE(_f64)
FL_DECLARE(_wide)
#undef FL_DECLARE

/* A multiset of patterns: exact for up to 128 neurons; beyond that by a 128-bit hash of the row,
   where two of n patterns collide with probability below n^2 / 2^129. */
typedef struct fl_pattern_set fl_pattern_set;
typedef struct {
    uint64_t low, high;
} fl_key;
typedef struct {
    uint64_t singletons, doubletons;  /* patterns that came exactly once, twice */
    uint64_t pairs_low, pairs_high;   /* the sum of n (n - 1) over the times n that each came */
} fl_frequencies;

fl_pattern_set *fl_pattern_set_new(void);   /* NULL: out of memory */
void fl_pattern_set_free(fl_pattern_set *set);
fl_status fl_pattern_set_add(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes);
fl_status fl_pattern_set_add_counted(fl_pattern_set *set, const fl_key *keys, const uint64_t *counts, size_t n);
/* All keys, how often each came, and the highest byte of each one's hash: [distinct] of each. */
fl_status fl_pattern_set_list(fl_pattern_set *set, fl_key *keys, uint64_t *counts, uint8_t *parts);
size_t fl_pattern_set_distinct(const fl_pattern_set *set);
size_t fl_pattern_set_bytes(const fl_pattern_set *set);
fl_status fl_pattern_set_frequencies(fl_pattern_set *set, fl_frequencies *found);

/* Of a multiset of patterns too large to keep: HyperLogLog registers (P. Flajolet et al., AofA 2007), and all
   keys whose hash ends in at least `level` zeros, with their counts. The level is the lowest that leaves no
   more than FL_SKETCH_KEYS, so a sketch depends on the multiset only. */
enum { FL_SKETCH_REGISTERS = 1 << 16, FL_SKETCH_KEYS = 1 << 16 };
typedef struct fl_pattern_sketch fl_pattern_sketch;

fl_pattern_sketch *fl_pattern_sketch_new(void);   /* NULL: out of memory */
void fl_pattern_sketch_free(fl_pattern_sketch *sketch);
fl_status fl_pattern_sketch_add(fl_pattern_sketch *sketch, const uint8_t *patterns, size_t n_rows, size_t n_bytes);
/* What another sketch has: its registers, level, keys and counts. */
fl_status fl_pattern_sketch_merge(fl_pattern_sketch *sketch, const uint8_t *registers, int level, const fl_key *keys,
                                  const uint64_t *counts, size_t n);
const uint8_t *fl_pattern_sketch_registers(const fl_pattern_sketch *sketch);
int fl_pattern_sketch_level(const fl_pattern_sketch *sketch);
fl_pattern_set *fl_pattern_sketch_sample(const fl_pattern_sketch *sketch);   /* which stays the sketch's */

/* The activation regions, "cells", of a network on a bounded domain. u are the domain's own coordinates. */
typedef struct {
    size_t d, n_inputs;
    const double *inputs;        /* [n_inputs][d + 1]: the network's inputs are these forms of (u, 1), */
    const double *input_errors;  /* [n_inputs]: off by at most this in the domain */
    const double *one;           /* [d + 1]: the form that biases multiply; (0, ..., 0, 1) as a rule */
    const double *reach;         /* [d]: |u_k| <= reach_k in the domain */
    size_t n_half_spaces;
    const double *half_spaces;   /* [n_half_spaces][d + 1]: forms, exact, positive inside the domain */
    size_t n_vertices;           /* 0: not known, or some vertex lies on more than d half-spaces */
    const double *vertices;      /* [n_vertices][d], rounded; in the plane counterclockwise */
    const uint32_t *facets;      /* [n_vertices][d]: the half-spaces each lies on, rising */
    int certify;                 /* 0: signs are taken as they come, and nothing is proved */
} fl_cell_domain;

typedef struct {
    uint64_t most_cells;
    double seconds;              /* when to stop between two steps, of which one at least is done */
    double longest;              /* when to stop a long step too, with nothing to show for it */
    int (*interrupted)(void *);  /* called with `context` during long steps; what is not 0 stops them. Or NULL */
    void *context;
} fl_cell_limits;

/* Subtrees that were not walked: the cells whose patterns begin with these bits. */
typedef struct {
    size_t n, capacity, n_bytes;
    uint8_t *bits;               /* [n][n_bytes] */
    size_t *lengths;             /* [n] */
    uint8_t *ties;               /* [n]: 1 where exact arithmetic is needed, 0 where a limit was met */
} fl_cell_opens;

/* A row a cell, in the order of their patterns read as words, inactive before active. */
typedef struct {
    int only_patterns;           /* set by the caller: nothing else is wanted */
    size_t n, n_vertices, n_facets, capacity, vertex_capacity, facet_capacity, d, n_bytes;
    uint8_t *patterns;           /* [n][n_bytes] */
    double *points;              /* [n][d]: inside, proved */
    double *volumes;             /* [n]; NaN where there are no vertices */
    size_t *vertex_ends, *facet_ends;   /* [n] */
    double *vertices;            /* [n_vertices][d]: in the plane counterclockwise */
    int64_t *facets;             /* [n_facets]: the neuron, or -1 - i for half-space i of the domain */
} fl_cell_rows;

typedef struct {
    uint64_t n_cells;
    uint64_t n_decisions;        /* how often a neuron's sign was asked for on a cell, */
    uint64_t n_decided;          /* and found: the others left the cell open, as a tie */
    double smallest_margin;      /* the nearest to zero that the extreme of a neuron on a cell came */
} fl_cell_stats;

typedef struct fl_cells fl_cells;

/* As fl_network_new_f64. twins: of every unit of the hidden layers 1 + an earlier unit of its layer, with a bit and
   no twin, of whose form its own is a multiple, negative where the factor is; or 0. Everything is copied.
   FL_UNDECIDED: numbers too large. */
fl_status fl_cells_new(size_t n_layers, const size_t *widths, const double *const *weights,
                       const double *const *biases, const double *const *slopes, const int64_t *twins,
                       const fl_cell_domain *domain, const char *isa, fl_cells **cells);
void fl_cells_free(fl_cells *cells);
const char *fl_cells_isa(const fl_cells *cells);   /* as fl_isa_of */

/* Walks below the first n_prefix bits of `prefix`, in the order of the patterns. engine: "sweep",
   "polygons", "vertices" or "lp". Every cell that is counted exists, and every cell below the prefix is counted or
   lies below one of the `opens`, which are appended. rows may be NULL. After FL_NO_MEMORY nothing of it
   holds. FL_UNDECIDED: the engine cannot keep this domain. */
fl_status fl_cells_walk(const fl_cells *cells, const char *engine, const uint8_t *prefix, size_t n_prefix,
                        const fl_cell_limits *limits, fl_cell_rows *rows, fl_cell_opens *opens,
                        fl_cell_stats *stats);
void fl_cell_opens_free(fl_cell_opens *opens);
void fl_cell_rows_free(fl_cell_rows *rows);

/* The same in integers: ties are ordinary, and what outgrows the integers is left open. */
#define FL_EXACT_MOST_INPUTS 16   /* coordinates of a domain */

typedef struct {
    size_t d;                    /* at most FL_EXACT_MOST_INPUTS */
    const int64_t *inputs;       /* [widths[0]][d + 1]: the network's inputs are these forms of (u, 1) */
    const int64_t *one;          /* [d + 1]: the form that biases multiply, of coefficients -1, 0 and 1 */
    size_t n_lines, n_vertices, n_facets;
    const int64_t *points;       /* [n_lines + n_vertices][d + 1]: homogeneous coordinates in lowest terms,
                                    lines first, w = 0; the lines of all of space are the axes */
    const uint64_t *facets;      /* [n_vertices][ceil(n_facets / 64)]: bit sets, the facets each lies on */
} fl_exact_domain;

/* A row a cell, in the order of the walk. */
typedef struct {
    int only_patterns;           /* set by the caller: nothing but `patterns` is wanted */
    size_t n, n_vertices, n_facets, n_members, d, n_out, n_bytes;
    size_t capacity, vertex_capacity, facet_capacity, member_capacity;
    uint8_t *patterns;           /* [n][n_bytes] */
    int64_t *forms;              /* [n][n_out][d + 1]: of the outputs */
    size_t *vertex_ends, *facet_ends;   /* [n] */
    int64_t *vertices;           /* [n_vertices][d + 1] */
    size_t *member_ends;         /* [n_facets] */
    uint32_t *members;           /* [n_members]: the vertices on each facet, as numbers within the cell */
} fl_exact_rows;

typedef struct fl_exact_cells fl_exact_cells;

/* Layers as in fl_network_new, scaled to integers: units pass on ones[l] * z where active and
   slopes[l][j] * z where not; slopes and ones are of the hidden layers. No magnitude is above 2^62.
   Everything is copied. */
fl_status fl_exact_cells_new(size_t n_layers, const size_t *widths, const int64_t *const *weights,
                             const int64_t *const *biases, const int64_t *const *slopes, const int64_t *ones,
                             const fl_exact_domain *domain, fl_exact_cells **cells);
void fl_exact_cells_free(fl_exact_cells *cells);

/* As fl_cells_walk; the cells found are added to n_cells. Below a prefix that no cell has, nothing is found.
   Time ends no walk that has neither a cell nor an open prefix to show. */
fl_status fl_exact_cells_walk(const fl_exact_cells *cells, const uint8_t *prefix, size_t n_prefix,
                              const fl_cell_limits *limits, fl_exact_rows *rows, fl_cell_opens *opens,
                              uint64_t *n_cells);
void fl_exact_rows_free(fl_exact_rows *rows);

#endif
