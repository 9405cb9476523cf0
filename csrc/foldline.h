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
    FL_STATUS_COUNT
} fl_status;

/* The instruction sets that were compiled in and that this processor has, best first. Returns how many
   names were written, at most `most`. */
size_t fl_isa_available(const char **names, size_t most);

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
    /* Runs n_steps dependent rounds of independent multiply-adds in registers and returns how many    \
       floating-point operations that were: time it for the peak of one thread. */                     \
    double fl_multiply_add##T(const fl_network##T *network, size_t n_steps);

FL_DECLARE(float, _f32)
FL_DECLARE(double, _f64)
#undef FL_DECLARE

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
    int (*interrupted)(void *);   /* called with `context` after some time, every now and then; what is not 0 */
    void *context;                /* ends the call */
    size_t n_done, n_rows;        /* set: segments done, and rows */
    int undecided;                /* set: rounding leaves the next segment open; where not, and segments are left,
                                     there is no room for the next, or the call was interrupted */
} fl_knots_request;

/* The sweep in double, and in long double, many times slower, for what that leaves open. A sweep serves
   one thread at a time; its arguments are those of fl_network_new. All that is reported is proved, for real
   arithmetic, but the slopes, which are rounded. */
#define FL_DECLARE(T)                                                                                       \
    typedef struct fl_sweep##T fl_sweep##T;                                                                 \
    fl_status fl_sweep_new##T(size_t n_layers, const size_t *widths, const double *const *weights,          \
                              const double *const *biases, const double *const *slopes, const char *isa,    \
                              fl_sweep##T **sweep);                                                         \
    void fl_sweep_free##T(fl_sweep##T *sweep);                                                              \
    fl_status fl_knots##T(fl_sweep##T *sweep, fl_knots_request *request);

FL_DECLARE(_f64)
FL_DECLARE(_wide)
#undef FL_DECLARE

/* A multiset of patterns: exact for up to 128 neurons; beyond that by a 128-bit hash of the row,
   where two of n patterns collide with probability below n^2 / 2^129. */
typedef struct fl_pattern_set fl_pattern_set;

fl_pattern_set *fl_pattern_set_new(void);   /* NULL: out of memory */
void fl_pattern_set_free(fl_pattern_set *set);
fl_status fl_pattern_set_add(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes);
fl_status fl_pattern_set_merge(fl_pattern_set *set, const fl_pattern_set *other);
size_t fl_pattern_set_distinct(const fl_pattern_set *set);
size_t fl_pattern_set_singletons(const fl_pattern_set *set);  /* patterns seen exactly once */

#endif
