# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The binding to the C core: addresses of arrays, one C call, one status check.

Arrays arrive checked (evaluation.py): shapes fit, dtypes are the network's, everything is aligned.
"""

import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "foldline.h" nogil:
    ctypedef enum fl_status:
        FL_OK
        FL_NO_MEMORY
        FL_NONFINITE
        FL_UNKNOWN_ISA
        FL_UNDECIDED
        FL_UNKNOWN_ENGINE
        FL_STATUS_COUNT

    ctypedef enum fl_norm:
        FL_NORM_INF
        FL_NORM_1
        FL_NORM_2

    ctypedef struct fl_request:
        const void *points
        ptrdiff_t point_stride
        ptrdiff_t input_stride
        size_t n_points
        int allow_nonfinite
        void *outputs
        ptrdiff_t output_stride
        ptrdiff_t output_column_stride
        uint8_t *patterns
        uint8_t *certain
        void *preactivations
        void *maps
        void *offsets
        void *radii
        fl_norm radius_norm
        int (*interrupted)(void *) noexcept nogil
        void *context

    enum: FL_BLOCK

    size_t fl_isa_available(const char **names, size_t most)
    const char *fl_isa_of(const char *isa)

    ctypedef struct fl_network_f32
    fl_status fl_network_new_f32(size_t, const size_t *, const float **, const float **, const float **,
                                 const char *, fl_network_f32 **)
    void fl_network_free_f32(fl_network_f32 *)
    size_t fl_network_neurons_f32(const fl_network_f32 *)
    const char *fl_network_isa_f32(const fl_network_f32 *)
    fl_status fl_evaluate_f32(const fl_network_f32 *, const fl_request *)
    fl_status fl_patterns_if_exact_f32(const fl_network_f32 *, const fl_request *, uint8_t *)
    fl_status fl_local_maps_f32(const fl_network_f32 *, const uint8_t *, size_t, float *, float *)
    double fl_multiply_add_f32(const fl_network_f32 *, size_t)

    ctypedef struct fl_network_f64
    fl_status fl_network_new_f64(size_t, const size_t *, const double **, const double **, const double **,
                                 const char *, fl_network_f64 **)
    void fl_network_free_f64(fl_network_f64 *)
    size_t fl_network_neurons_f64(const fl_network_f64 *)
    const char *fl_network_isa_f64(const fl_network_f64 *)
    fl_status fl_evaluate_f64(const fl_network_f64 *, const fl_request *)
    fl_status fl_patterns_if_exact_f64(const fl_network_f64 *, const fl_request *, uint8_t *)
    fl_status fl_local_maps_f64(const fl_network_f64 *, const uint8_t *, size_t, double *, double *)
    double fl_multiply_add_f64(const fl_network_f64 *, size_t)
    fl_status fl_radii_of_patterns(const fl_network_f64 *, const double *, const uint8_t *, size_t, fl_norm,
                                   double *, int (*)(void *) noexcept nogil, void *)

    ctypedef struct fl_knots_request:
        const double *starts
        const double *stops
        size_t n_segments
        size_t room
        int64_t *row_counts
        double *first_slope
        double *t
        double *t_error
        int32_t *neuron
        double *slope_after
        uint8_t *is_knot
        uint8_t *tied
        int (*interrupted)(void *) noexcept nogil
        void *context
        size_t n_done
        size_t n_rows
        int undecided

    ctypedef struct fl_sweep_f64
    fl_status fl_sweep_new_f64(size_t, const size_t *, const double **, const double **, const double **,
                               const int64_t *, const double *, const char *, fl_sweep_f64 **)
    void fl_sweep_free_f64(fl_sweep_f64 *)
    fl_status fl_knots_f64(fl_sweep_f64 *, fl_knots_request *)

    ctypedef struct fl_sweep_wide
    fl_status fl_sweep_new_wide(size_t, const size_t *, const double **, const double **, const double **,
                                const int64_t *, const double *, const char *, fl_sweep_wide **)
    void fl_sweep_free_wide(fl_sweep_wide *)
    fl_status fl_knots_wide(fl_sweep_wide *, fl_knots_request *)

    ctypedef struct fl_pattern_set
    ctypedef struct fl_key
    ctypedef struct fl_frequencies:
        uint64_t singletons, doubletons, pairs_low, pairs_high
    fl_pattern_set *fl_pattern_set_new()
    void fl_pattern_set_free(fl_pattern_set *)
    fl_status fl_pattern_set_add(fl_pattern_set *, const uint8_t *, size_t, size_t)
    fl_status fl_pattern_set_add_counted(fl_pattern_set *, const fl_key *, const uint64_t *, size_t)
    fl_status fl_pattern_set_list(fl_pattern_set *, fl_key *, uint64_t *, uint8_t *)
    size_t fl_pattern_set_distinct(const fl_pattern_set *)
    size_t fl_pattern_set_bytes(const fl_pattern_set *)
    fl_status fl_pattern_set_frequencies(fl_pattern_set *, fl_frequencies *)

    size_t FL_SKETCH_REGISTERS
    ctypedef struct fl_pattern_sketch
    fl_pattern_sketch *fl_pattern_sketch_new()
    void fl_pattern_sketch_free(fl_pattern_sketch *)
    fl_status fl_pattern_sketch_add(fl_pattern_sketch *, const uint8_t *, size_t, size_t)
    fl_status fl_pattern_sketch_merge(fl_pattern_sketch *, const uint8_t *, int, const fl_key *, const uint64_t *,
                                      size_t)
    const uint8_t *fl_pattern_sketch_registers(const fl_pattern_sketch *)
    int fl_pattern_sketch_level(const fl_pattern_sketch *)
    fl_pattern_set *fl_pattern_sketch_sample(const fl_pattern_sketch *)

    ctypedef struct fl_cell_domain:
        size_t d
        size_t n_inputs
        const double *inputs
        const double *input_errors
        const double *one
        const double *reach
        size_t n_half_spaces
        const double *half_spaces
        size_t n_vertices
        const double *vertices
        const uint32_t *facets
        int certify

    ctypedef struct fl_cell_limits:
        uint64_t most_cells
        double seconds, longest
        int (*interrupted)(void *) noexcept nogil
        void *context

    ctypedef struct fl_cell_opens:
        size_t n
        size_t n_bytes
        uint8_t *bits
        size_t *lengths
        uint8_t *ties

    ctypedef struct fl_cell_rows:
        int only_patterns
        size_t n
        size_t n_vertices
        size_t n_facets
        uint8_t *patterns
        double *points
        double *volumes
        size_t *vertex_ends
        size_t *facet_ends
        double *vertices
        int64_t *facets

    ctypedef struct fl_cell_stats:
        uint64_t n_cells
        uint64_t n_decisions
        uint64_t n_decided
        double smallest_margin

    ctypedef struct fl_cells
    fl_status fl_cells_new(size_t, const size_t *, const double **, const double **, const double **, const int64_t *,
                           const fl_cell_domain *, const char *, fl_cells **)
    void fl_cells_free(fl_cells *)
    const char *fl_cells_isa(const fl_cells *)
    fl_status fl_cells_walk(const fl_cells *, const char *, const uint8_t *, size_t, const fl_cell_limits *,
                            fl_cell_rows *, fl_cell_opens *, fl_cell_stats *)
    void fl_cell_opens_free(fl_cell_opens *)
    void fl_cell_rows_free(fl_cell_rows *)

    ctypedef struct fl_exact_domain:
        size_t d
        const int64_t *inputs
        const int64_t *one
        size_t n_lines
        size_t n_vertices
        size_t n_facets
        const int64_t *points
        const uint64_t *facets

    ctypedef struct fl_exact_rows:
        int only_patterns
        size_t n
        size_t n_vertices
        size_t n_facets
        size_t n_members
        uint8_t *patterns
        int64_t *forms
        size_t *vertex_ends
        size_t *facet_ends
        int64_t *vertices
        size_t *member_ends
        uint32_t *members

    ctypedef struct fl_exact_cells
    size_t FL_EXACT_MOST_INPUTS
    fl_status fl_exact_cells_new(size_t, const size_t *, const int64_t **, const int64_t **, const int64_t **,
                                 const int64_t *, const fl_exact_domain *, fl_exact_cells **)
    void fl_exact_cells_free(fl_exact_cells *)
    fl_status fl_exact_cells_walk(const fl_exact_cells *, const uint8_t *, size_t, const fl_cell_limits *,
                                  fl_exact_rows *, fl_cell_opens *, uint64_t *)
    void fl_exact_rows_free(fl_exact_rows *)

BLOCK = FL_BLOCK
EXACT_MOST_INPUTS = FL_EXACT_MOST_INPUTS
NORMS = {"inf": FL_NORM_INF, "1": FL_NORM_1, "2": FL_NORM_2}

# The one place where a status becomes an exception; every status from 1 to STATUS_COUNT - 1 is there.
STATUS_ERRORS = {
    FL_NO_MEMORY: (MemoryError, "out of memory"),
    FL_NONFINITE: (FloatingPointError, "points have NaN or infinity"),
    FL_UNKNOWN_ISA: (ValueError, "no such instruction set on this processor"),
    FL_UNDECIDED: (ArithmeticError, "floating point does not decide this; exact arithmetic does"),
    FL_UNKNOWN_ENGINE: (ValueError, "no such engine"),
}
STATUS_COUNT = FL_STATUS_COUNT


cdef check(fl_status status):
    if status != FL_OK:
        kind, message = STATUS_ERRORS[status]
        raise kind(message)


def isa_available():
    """Names of the instruction sets that can be used here, best first."""
    cdef const char *names[16]
    return [(<bytes>names[i]).decode() for i in range(fl_isa_available(names, 16))]


cdef bytes isa_wanted():
    """The instruction set for new networks: FOLDLINE_ISA, or the best."""
    available = isa_available()
    name = os.environ.get("FOLDLINE_ISA") or available[0]
    if name not in available:
        raise ValueError(f"FOLDLINE_ISA is {name!r}; this processor can use {', '.join(available)}")
    return name.encode()


def isa_in_use():
    """The instruction set that the kernels of new networks say they were compiled for."""
    return fl_isa_of(isa_wanted()).decode()


cdef inline char *address(array):
    """Where an ndarray's first element lies; None has no address."""
    return NULL if array is None else <char *><size_t>array.__array_interface__["data"][0]


cdef inline char *row_of(array, size_t i):
    """Where row i of an ndarray begins; None has no address."""
    return NULL if array is None else address(array) + <ptrdiff_t>i * <ptrdiff_t>array.strides[0]


cdef class Layers:
    """A network's layers as the C core takes them: contiguous arrays of one dtype, which are kept."""

    cdef size_t n
    cdef size_t *widths
    cdef void **weights
    cdef void **biases
    cdef void **slopes
    cdef object arrays

    def __cinit__(self, weights, biases, slopes):
        cdef size_t n = len(weights), i
        self.arrays = weights, biases, slopes
        self.n = n
        self.widths = <size_t *>malloc((n + 1) * sizeof(size_t))
        self.weights = <void **>malloc(3 * n * sizeof(void *))
        if not self.widths or not self.weights:
            check(FL_NO_MEMORY)
        self.biases = self.weights + n
        self.slopes = self.biases + n
        self.widths[0] = weights[0].shape[1]
        for i in range(n):
            self.widths[i + 1] = weights[i].shape[0]
            self.weights[i] = address(weights[i])
            self.biases[i] = address(biases[i])
            self.slopes[i] = address(slopes[i]) if i + 1 < n else NULL

    def __dealloc__(self):
        free(self.widths)
        free(self.weights)


cdef class Core:
    """A network in the C core. Immutable; holds its own copy of the weights."""

    cdef fl_network_f32 *f32
    cdef fl_network_f64 *f64
    cdef readonly size_t n_neurons
    cdef readonly str isa  # as its kernels say

    def __init__(self, weights, biases, slopes):
        cdef Layers a = Layers(weights, biases, slopes)
        if weights[0].dtype.itemsize == 4:
            check(fl_network_new_f32(a.n, a.widths, <const float **>a.weights, <const float **>a.biases,
                                     <const float **>a.slopes, isa_wanted(), &self.f32))
            self.n_neurons = fl_network_neurons_f32(self.f32)
            self.isa = fl_network_isa_f32(self.f32).decode()
        else:
            check(fl_network_new_f64(a.n, a.widths, <const double **>a.weights, <const double **>a.biases,
                                     <const double **>a.slopes, isa_wanted(), &self.f64))
            self.n_neurons = fl_network_neurons_f64(self.f64)
            self.isa = fl_network_isa_f64(self.f64).decode()

    def __dealloc__(self):
        fl_network_free_f32(self.f32)
        fl_network_free_f64(self.f64)

    def evaluate(self, points, size_t step, list stop not None, bint allow_nonfinite=False, outputs=None,
                 patterns=None, certain=None, preactivations=None, maps=None, offsets=None, radii=None, norm="inf"):
        """Fill the arrays that are given, `step` rows at a time, until `stop` has an item.

        Between steps, and during long ones, signals are handled, so Ctrl-C ends the call.
        """
        cdef fl_request request
        cdef fl_status status
        cdef size_t start, n = len(points)
        request.point_stride, request.input_stride = points.strides
        request.output_stride, request.output_column_stride = (0, 0) if outputs is None else outputs.strides
        request.allow_nonfinite = allow_nonfinite
        request.radius_norm = NORMS[norm]
        request.interrupted, request.context = interrupted, <void *>stop
        for start in range(0, n, step):
            request.n_points = min(step, n - start)
            request.points = row_of(points, start)
            request.outputs = row_of(outputs, start)
            request.patterns = <uint8_t *>row_of(patterns, start)
            request.certain = <uint8_t *>row_of(certain, start)
            request.preactivations = row_of(preactivations, start)
            request.maps = row_of(maps, start)
            request.offsets = row_of(offsets, start)
            request.radii = row_of(radii, start)
            with nogil:
                if self.f32:
                    status = fl_evaluate_f32(self.f32, &request)
                else:
                    status = fl_evaluate_f64(self.f64, &request)
            check(status)
            PyErr_CheckSignals()
            raise_signal(stop)
            if stop:
                return

    def patterns_if_exact(self, points, patterns, exact):
        """Fill `patterns`, and `exact` with 1 for the rows in whose evaluation nothing was rounded."""
        cdef fl_request request
        cdef fl_status status
        cdef uint8_t *exact_rows = <uint8_t *>address(exact)
        request.points = address(points)
        request.point_stride, request.input_stride = points.strides
        request.n_points = points.shape[0]
        request.patterns = <uint8_t *>address(patterns)
        with nogil:
            if self.f32:
                status = fl_patterns_if_exact_f32(self.f32, &request, exact_rows)
            else:
                status = fl_patterns_if_exact_f64(self.f64, &request, exact_rows)
        check(status)

    def maps_of_patterns(self, patterns, maps, offsets):
        """Fill `maps` and `offsets` for the regions with these patterns, contiguous rows."""
        cdef const uint8_t *rows = <const uint8_t *>address(patterns)
        cdef size_t n_patterns = patterns.shape[0]
        cdef char *a = address(maps)
        cdef char *b = address(offsets)
        cdef fl_status status
        with nogil:
            if self.f32:
                status = fl_local_maps_f32(self.f32, rows, n_patterns, <float *>a, <float *>b)
            else:
                status = fl_local_maps_f64(self.f64, rows, n_patterns, <double *>a, <double *>b)
        check(status)

    def radii_of_patterns(self, points, patterns, radii, norm, list stop not None):
        """Fill `radii` for points in double and their patterns, contiguous rows, until `stop` has an item; a
        network in double only."""
        cdef const double *x = <const double *>address(points)
        cdef const uint8_t *rows = <const uint8_t *>address(patterns)
        cdef size_t n_points = points.shape[0]
        cdef double *r = <double *>address(radii)
        cdef fl_norm norm_number = NORMS[norm]
        cdef fl_status status
        with nogil:
            status = fl_radii_of_patterns(self.f64, x, rows, n_points, norm_number, r, interrupted, <void *>stop)
        check(status)
        raise_signal(stop)

    def multiply_add(self, size_t n_steps):
        """Run multiply-adds in registers; return how many floating-point operations that were."""
        cdef double n_operations
        with nogil:
            if self.f32:
                n_operations = fl_multiply_add_f32(self.f32, n_steps)
            else:
                n_operations = fl_multiply_add_f64(self.f64, n_steps)
        return n_operations


cdef int interrupted(void *stop) noexcept with gil:
    """Whether the list `stop` has an item; it gets the exception of a signal, such as Ctrl-C."""
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<list>stop).append(error)
    return len(<list>stop) > 0


cdef raise_signal(list stop):
    """Raise the exception that `interrupted` has put there, if it has."""
    if stop and isinstance(stop[0], BaseException):
        raise stop[0]


cdef class Sweep:
    """A float64 network in the C core, for lines: in double, or `wide`. For one thread at a time."""

    cdef fl_sweep_f64 *f64
    cdef fl_sweep_wide *wide

    def __init__(self, weights, biases, slopes, twins, shares, bint wide=False):
        cdef Layers a = Layers(weights, biases, slopes)
        cdef const int64_t *of = <const int64_t *>address(twins)
        cdef const double *passed = <const double *>address(shares)
        if wide:
            check(fl_sweep_new_wide(a.n, a.widths, <const double **>a.weights, <const double **>a.biases,
                                    <const double **>a.slopes, of, passed, isa_wanted(), &self.wide))
        else:
            check(fl_sweep_new_f64(a.n, a.widths, <const double **>a.weights, <const double **>a.biases,
                                   <const double **>a.slopes, of, passed, isa_wanted(), &self.f64))

    def __dealloc__(self):
        fl_sweep_free_f64(self.f64)
        fl_sweep_free_wide(self.wide)

    def knots(self, starts, stops, row_counts, first_slope, rows, size_t first_row, list stop not None):
        """Sweep along segments, until `stop` has an item; `rows` is a dict of arrays, filled from `first_row` on.

        Returns how many segments are done, how many rows that made, and whether rounding leaves the next
        segment open. The arrays of segments are contiguous.
        """
        cdef fl_knots_request request
        cdef fl_status status
        request.starts = <const double *>address(starts)
        request.stops = <const double *>address(stops)
        request.n_segments = len(starts)
        request.room = len(rows["t"]) - first_row
        request.row_counts = <int64_t *>address(row_counts)
        request.first_slope = <double *>address(first_slope)
        request.t = <double *>row_of(rows["t"], first_row)
        request.t_error = <double *>row_of(rows["t_error"], first_row)
        request.neuron = <int32_t *>row_of(rows["neuron"], first_row)
        request.slope_after = <double *>row_of(rows["slope_after"], first_row)
        request.is_knot = <uint8_t *>row_of(rows["is_knot"], first_row)
        request.tied = <uint8_t *>row_of(rows["tied"], first_row)
        request.interrupted = interrupted
        request.context = <void *>stop
        with nogil:
            if self.f64:
                status = fl_knots_f64(self.f64, &request)
            else:
                status = fl_knots_wide(self.wide, &request)
        check(status)
        raise_signal(stop)
        return request.n_done, request.n_rows, bool(request.undecided)


cdef class PatternSet:
    """A multiset of packed patterns."""

    cdef fl_pattern_set *set
    cdef object owner  # what frees it, if this does not

    def __cinit__(self, owner=None):
        self.owner = owner
        if owner is None:
            self.set = fl_pattern_set_new()
            if not self.set:
                check(FL_NO_MEMORY)

    def __dealloc__(self):
        if self.set and self.owner is None:
            fl_pattern_set_free(self.set)

    def add(self, patterns):
        """Add the rows of a C-contiguous uint8 array (n_rows, n_bytes)."""
        cdef const uint8_t *rows = <const uint8_t *>address(patterns)
        cdef size_t n_rows = patterns.shape[0], n_bytes = patterns.shape[1]
        cdef fl_status status
        with nogil:
            status = fl_pattern_set_add(self.set, rows, n_rows, n_bytes)
        check(status)

    def add_counted(self, keys, counts):
        """Add keys (n, 2) that came so many times (n,), at least once each: contiguous arrays of uint64."""
        cdef const fl_key *k = <const fl_key *>address(keys)
        cdef const uint64_t *c = <const uint64_t *>address(counts)
        cdef size_t n = counts.shape[0]
        cdef fl_status status
        with nogil:
            status = fl_pattern_set_add_counted(self.set, k, c, n)
        check(status)

    def list(self, keys, counts, parts):
        """Fill contiguous arrays with the keys, uint64 (distinct, 2), how often each came, uint64 (distinct,),
        and a byte of each one's hash, (distinct,)."""
        check(fl_pattern_set_list(self.set, <fl_key *>address(keys), <uint64_t *>address(counts),
                                  <uint8_t *>address(parts)))

    @property
    def distinct(self):
        return fl_pattern_set_distinct(self.set)

    @property
    def n_bytes(self):
        """Of memory."""
        return fl_pattern_set_bytes(self.set)

    @property
    def frequencies(self):
        """How many patterns came once, how many twice, and the sum of n (n - 1) over the times n of each."""
        cdef fl_frequencies found
        check(fl_pattern_set_frequencies(self.set, &found))
        return found.singletons, found.doubletons, (<object>found.pairs_high << 64) + found.pairs_low


cdef class PatternSketch:
    """What is kept of a multiset of packed patterns that is too large to keep."""

    cdef fl_pattern_sketch *sketch

    def __cinit__(self):
        self.sketch = fl_pattern_sketch_new()
        if not self.sketch:
            check(FL_NO_MEMORY)

    def __dealloc__(self):
        fl_pattern_sketch_free(self.sketch)

    def add(self, patterns):
        """Add the rows of a C-contiguous uint8 array (n_rows, n_bytes)."""
        cdef const uint8_t *rows = <const uint8_t *>address(patterns)
        cdef size_t n_rows = patterns.shape[0], n_bytes = patterns.shape[1]
        cdef fl_status status
        with nogil:
            status = fl_pattern_sketch_add(self.sketch, rows, n_rows, n_bytes)
        check(status)

    def merge(self, registers, int level, keys, counts):
        """Add another sketch: its registers, level, and the keys and counts of its sample."""
        if len(registers) != FL_SKETCH_REGISTERS:
            raise ValueError(f"{len(registers)} registers; wanted {FL_SKETCH_REGISTERS}")
        check(fl_pattern_sketch_merge(self.sketch, <const uint8_t *>address(registers), level,
                                      <const fl_key *>address(keys), <const uint64_t *>address(counts),
                                      counts.shape[0]))

    @property
    def registers(self):
        return copied(fl_pattern_sketch_registers(self.sketch), FL_SKETCH_REGISTERS, 1)

    @property
    def level(self):
        """The sample has one key of 2**level."""
        return fl_pattern_sketch_level(self.sketch)

    @property
    def sample(self):
        """The sampled keys with their counts, until the sketch changes."""
        cdef PatternSet sample = PatternSet(self)
        sample.set = fl_pattern_sketch_sample(self.sketch)
        return sample


cdef bytes copied(const void *memory, size_t n_items, size_t item_size):
    return PyBytes_FromStringAndSize(<const char *>memory, n_items * item_size)


cdef class Cells:
    """A network on a domain, ready for walks through its cells. Arrays are float64, twins int64, facets uint32."""

    cdef fl_cells *cells
    cdef readonly size_t d
    cdef readonly str isa

    def __init__(self, weights, biases, slopes, twins, *, inputs, input_errors, one, reach, half_spaces, vertices,
                 facets, bint certify=True):
        cdef Layers a = Layers(weights, biases, slopes)
        cdef fl_cell_domain domain
        self.d = domain.d = len(reach)
        domain.n_inputs = len(inputs)
        domain.inputs = <double *>address(inputs)
        domain.input_errors = <double *>address(input_errors)
        domain.one = <double *>address(one)
        domain.reach = <double *>address(reach)
        domain.n_half_spaces = len(half_spaces)
        domain.half_spaces = <double *>address(half_spaces)
        domain.n_vertices = len(vertices)
        domain.vertices = <double *>address(vertices)
        domain.facets = <uint32_t *>address(facets)
        domain.certify = certify
        check(fl_cells_new(a.n, a.widths, <const double **>a.weights, <const double **>a.biases,
                           <const double **>a.slopes, <const int64_t *>address(twins), &domain, isa_wanted(),
                           &self.cells))
        self.isa = fl_cells_isa(self.cells).decode()

    def __dealloc__(self):
        fl_cells_free(self.cells)

    def walk(self, str engine, bytes prefix, size_t n_prefix, uint64_t most_cells, double seconds, double longest,
             str want, list stop not None):
        """Walk below a prefix, until `stop` has an item. Returns the numbers of cells, of signs asked for and of
        signs found, the smallest margin, the opens (bits, lengths, ties) and, where wanted, the rows (patterns,
        points, volumes, vertex ends, vertices, facet ends, facets): arrays' bytes."""
        cdef fl_cell_limits limits
        cdef fl_cell_opens opens
        cdef fl_cell_rows rows
        cdef fl_cell_stats stats
        cdef fl_status status
        cdef bint want_rows
        cdef bytes name = engine.encode()
        cdef const char *c_name = name
        cdef const uint8_t *bits = prefix
        limits.most_cells, limits.seconds, limits.longest = most_cells, seconds, longest
        limits.interrupted, limits.context = interrupted, <void *>stop
        memset(&opens, 0, sizeof(opens))
        memset(&rows, 0, sizeof(rows))
        memset(&stats, 0, sizeof(stats))
        rows.only_patterns = want == "patterns"
        want_rows = want != "count"
        stats.smallest_margin = INFINITY
        try:
            with nogil:
                status = fl_cells_walk(self.cells, c_name, bits, n_prefix, &limits, &rows if want_rows else NULL,
                                       &opens, &stats)
            check(status)
            raise_signal(stop)
            found = None if not want_rows else (
                copied(rows.patterns, rows.n, opens.n_bytes),
                copied(rows.points, rows.n * self.d, sizeof(double)),
                copied(rows.volumes, rows.n, sizeof(double)),
                copied(rows.vertex_ends, rows.n, sizeof(size_t)),
                copied(rows.vertices, rows.n_vertices * self.d, sizeof(double)),
                copied(rows.facet_ends, rows.n, sizeof(size_t)),
                copied(rows.facets, rows.n_facets, sizeof(int64_t)),
            )
            return (
                stats.n_cells,
                stats.n_decisions,
                stats.n_decided,
                stats.smallest_margin,
                (copied(opens.bits, opens.n, opens.n_bytes), copied(opens.lengths, opens.n, sizeof(size_t)),
                 copied(opens.ties, opens.n, 1)),
                found,
            )
        finally:
            fl_cell_opens_free(&opens)
            fl_cell_rows_free(&rows)


cdef class ExactCells:
    """Like Cells, in integers. Arrays are int64; facets uint64, a row of words for each vertex."""

    cdef fl_exact_cells *cells
    cdef size_t d, n_out

    def __init__(self, weights, biases, slopes, ones, *, inputs, one, n_lines, points, n_facets, facets):
        cdef Layers a = Layers(weights, biases, slopes)
        cdef fl_exact_domain domain
        self.d = domain.d = points.shape[1] - 1
        self.n_out = a.widths[a.n]
        domain.inputs = <int64_t *>address(inputs)
        domain.one = <int64_t *>address(one)
        domain.n_lines = n_lines
        domain.n_vertices = len(facets)
        domain.n_facets = n_facets
        domain.points = <int64_t *>address(points)
        domain.facets = <uint64_t *>address(facets)
        check(fl_exact_cells_new(a.n, a.widths, <const int64_t **>a.weights, <const int64_t **>a.biases,
                                 <const int64_t **>a.slopes, <int64_t *>address(ones), &domain, &self.cells))

    def __dealloc__(self):
        fl_exact_cells_free(self.cells)

    def walk(self, bytes prefix, size_t n_prefix, uint64_t most_cells, double seconds, str want, list stop not None):
        """Walk below a prefix, until `stop` has an item. Returns the number of cells, the opens (bits, lengths,
        ties), arrays' bytes, and likewise, where `want` is not "count", the patterns, and where it is "rows"
        (forms, vertex ends, vertices, facet ends, member ends, members)."""
        cdef fl_cell_limits limits
        cdef fl_cell_opens opens
        cdef fl_exact_rows rows
        cdef uint64_t n_cells = 0
        cdef fl_status status
        cdef bint want_patterns = want != "count"
        cdef const uint8_t *bits = prefix
        memset(&limits, 0, sizeof(limits))
        limits.most_cells, limits.seconds = most_cells, seconds
        limits.interrupted, limits.context = interrupted, <void *>stop
        memset(&opens, 0, sizeof(opens))
        memset(&rows, 0, sizeof(rows))
        rows.only_patterns = want != "rows"
        try:
            with nogil:
                status = fl_exact_cells_walk(self.cells, bits, n_prefix, &limits, &rows if want_patterns else NULL,
                                             &opens, &n_cells)
            check(status)
            raise_signal(stop)
            found = None if rows.only_patterns else (
                copied(rows.forms, rows.n * self.n_out * (self.d + 1), sizeof(int64_t)),
                copied(rows.vertex_ends, rows.n, sizeof(size_t)),
                copied(rows.vertices, rows.n_vertices * (self.d + 1), sizeof(int64_t)),
                copied(rows.facet_ends, rows.n, sizeof(size_t)),
                copied(rows.member_ends, rows.n_facets, sizeof(size_t)),
                copied(rows.members, rows.n_members, sizeof(uint32_t)),
            )
            return (
                n_cells,
                (copied(opens.bits, opens.n, opens.n_bytes), copied(opens.lengths, opens.n, sizeof(size_t)),
                 copied(opens.ties, opens.n, 1)),
                copied(rows.patterns, rows.n, opens.n_bytes) if want_patterns else None,
                found,
            )
        finally:
            fl_cell_opens_free(&opens)
            fl_exact_rows_free(&rows)
