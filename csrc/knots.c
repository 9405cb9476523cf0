/* Where segments cross the folds of a network: a sweep along each, layer by layer, in floating point, proved.

   On start + t (stop - start), 0 <= t <= 1, every unit is a function of t that is affine between the
   crossings of the neurons below it. It is kept as a column of coefficients, one for each vertex k:

       a(t) = A_0 + A_1 t + sum over k of A_(2+k) max(t - t_k, 0),

   so that a vertex costs a unit one number, and the rows of a layer's sums are those of the activations
   below times W. A neuron that crosses at t_k makes a row with one entry, a multiple of a row of W's transpose
   in the next layer, which is not stored before it is folded. `walk` follows the sums from vertex to vertex, sees
   the signs there, and folds: at a vertex where a unit is inactive, its coefficient is multiplied by its slope.

   The proof. Let a* be a unit in real arithmetic, a the function that its coefficients as stored define,
   S = sum |A_r|, and |a - a*| <= e on all of [0, 1]. With D = |W| S + |b|, and as all t and all pieces are
   at most 1, the function that the computed coefficients of a sum define is within

       E = |W| e + gamma D

   of z*, with gamma for the roundings of one sum (Higham, Accuracy and Stability of Numerical Algorithms, 2nd
   edition, lemma 3.1) of so many terms as were listed at most, and 8 more: a multiple is followed as it is, and
   rounded when it is folded. `walk` adds up values and slopes on K vertices.
   With M at least the largest |slope| that it computes, a slope is off by K u M at most, and a value by what
   these, the steps and its own roundings add up to, as the line has length 1: both are within
   R = gamma (|z| + 2 M), with gamma for 4 K + 16 roundings, whichever value z is taken, since no two differ by
   more than M. M is D, and where that leaves a sign open the segment is swept again and the slopes are looked at.
   For underflow, 2^52 times the smallest number is added to E. Of a vertex is known that the true one lies within
   its spread delta of t_k. By induction over the layers:

   - All signs at t_k are sure where |z| > E + R + 2 delta m, m the larger slope at its sides, or M: they hold for
     all t within delta.
   - Between two neighbours' spreads z* is affine. Where its signs at both ends are the same, it does not
     cross; where they differ, it crosses once, within (E + R) / (|slope| - R) of where the computed piece
     does. That is the spread of a new vertex.
   - When all spreads are disjoint, the order of the crossings and every sign at each of them are known.
   - The fold is Lipschitz, so e = E times the slope in force, the steepest for a unit that crosses. The place
     of a kink and its size are rounded, which adds 2 R |1 - slope| for each.

   Twins, whose weights are multiples of each other, cross in one place. They are vertices one after the other, of
   which the first is where the first twin was found to cross; the others are moved there, and what that changes,
   their kink times the way, is added to their e. Spreads may overlap between twins, and there only.

   Where this fails the segment is undecided. A crossing is a knot where the slope of an output changes. The
   change is the neuron's jump times the product of all that lies between it and the outputs, so it is
   computed to within gamma times the product of absolute values: more is proof of a knot, and no way at all
   to the outputs is proof of none. Of twins the sum counts, in which their jumps have the ratios of their shares. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "network.h"
#include "twins.h"
#if FL_REAL_BITS == 80
#include "lines.h"
#endif

typedef struct {
    FL(fl_line_layer) line;
    uint32_t *neurons;         /* [n_out]: the bit of each unit */
    int64_t *twins;            /* [n_out]: see fl_sweep_new; null where there are none */
    double *shares;            /* [n_out] */
    real norm;                 /* what a jump below grows by, at most */
    real doubt;                /* a jump of this layer, times this, is what its way to the outputs may be off by */
    real path_gamma;           /* the roundings on that way */
    size_t first_row;          /* of its crossings on the line */
} sweep_layer;

struct FL(fl_sweep) {
    const FL(fl_line_kernels) *kernels;
    size_t n_layers, n_in, in_stride, widest, bits_size;
    sweep_layer *layers;
    uint32_t *units;           /* [widest + FL_LIST_SLACK]: a list of some */
    real *bounds[2];           /* [2][widest], S and e of activations, and the like of sums */
    real *path[2];             /* [widest] */
    real *total, *steepest;    /* [widest] */
    size_t longest;            /* the units listed for one sum of the layer, at most */
    fl_patience patience;
    void *memory;

    size_t room;               /* for so many rows: of the start, the direction, and the vertices */
    int32_t *neurons;          /* these six by row */
    uint32_t *sources;         /* see fl_line */
    real *factors;
    real *limits;              /* a change of an output's slope above this is sure */
    uint8_t *tied;             /* a twin of the vertex before */
    uint8_t *twins_change;     /* of those and the ones before: whether slopes change there */
    size_t n_ties;
    int has_twins;
    FL(fl_crossings) crossings;
    FL(fl_along) along;
    real *rows[2];             /* [room][widest] */
    uint8_t *bits;             /* layer by layer, [room][bit_stride] */
    void *scratch;
};

typedef enum { SURE, UNSURE, NO_ROOM, INTERRUPTED } outcome;

static real larger(real a, real b) { return a > b ? a : b; }

/* gamma_n, rounded up; infinite where it is of no use. */
static real gamma_up(size_t n)
{
    const real nu = (real)n * REAL_UNIT_ROUNDOFF;
    return nu < (real)0.01 ? nu / (1 - nu) * (1 + (real)0x1p-20) : (real)INFINITY;
}

/* The arrays of one layer, in the arena; filled when the arena has memory. */
static void build_layer(sweep_layer *layer, fl_arena *arena, size_t n_in, size_t n_out, const double *weights,
                        const double *bias, const double *slopes, const int64_t *twins, const double *shares,
                        uint32_t *next_neuron)
{
    const size_t stride = fl_round_up(n_out, FL_LINE_UNITS);
    const size_t bit_stride = fl_round_up(stride / 8 + FL_BITS_SLACK, sizeof(uint64_t));
    real *columns = fl_take(arena, n_in * stride, sizeof(real));
    real *magnitudes = fl_take(arena, n_in * stride, sizeof(real));
    real *all_bias = fl_take(arena, stride, sizeof(real)), *all_slopes = fl_take(arena, stride, sizeof(real));
    real *is_neuron = fl_take(arena, stride, sizeof(real));
    uint32_t *neurons = fl_take(arena, n_out, sizeof(uint32_t));
    uint8_t *passing = fl_take(arena, bit_stride, 1);
    int64_t *own_twins = fl_take(arena, n_out, sizeof(int64_t));
    double *own_shares = fl_take(arena, n_out, sizeof(double));
    if (!arena->base) return;

    real norm = 1, steepest = 1;
    int all_relu = 1, has_tiny = 0;
    for (size_t j = 0; j < n_out; j++) {
        const real slope = slopes ? (real)slopes[j] : 1;
        real sum = 0;
        for (size_t k = 0; k < n_in; k++) {
            const real w = weights[j * n_in + k], size = real_size(w);
            columns[k * stride + j] = w;
            has_tiny |= size > 0 && size < (real)FL_LEAST;
            sum += size;
        }
        norm = larger(norm, sum);
        steepest = larger(steepest, real_size(slope));
        all_bias[j] = bias[j];
        all_slopes[j] = slope;
        all_relu &= slope == 0;
        neurons[j] = slope == 1 ? 0 : (*next_neuron)++;
        if (slope != 0) passing[j / 8] |= (uint8_t)(1u << j % 8);
        is_neuron[j] = slope != 1;
        if (!slopes) continue;
        own_twins[j] = twins[j];
        own_shares[j] = shares[j];
        if (twins[j]) layer->twins = own_twins;
    }
    for (size_t k = 0; has_tiny && k < n_in * stride; k++)
        magnitudes[k] = columns[k] != 0 ? larger(real_size(columns[k]), (real)FL_LEAST) : 0;
    layer->shares = own_shares;
    layer->line = (FL(fl_line_layer)){n_in, n_out, stride, columns, has_tiny ? magnitudes : columns, all_bias,
                                      all_slopes, is_neuron, all_relu, passing, bit_stride};
    layer->neurons = neurons;
    layer->norm = norm * steepest;
}

static void build(struct FL(fl_sweep) *sweep, fl_arena *arena, const size_t *widths, const double *const *weights,
                  const double *const *biases, const double *const *slopes, const int64_t *twins,
                  const double *shares)
{
    uint32_t next_neuron = 0;
    sweep->layers = fl_take(arena, sweep->n_layers, sizeof(sweep_layer));
    sweep->widest = sweep->in_stride = fl_round_up(widths[0], FL_LINE_UNITS);
    for (size_t i = 0; i < sweep->n_layers; i++) {
        build_layer(arena->base ? sweep->layers + i : NULL, arena, widths[i], widths[i + 1], weights[i], biases[i],
                    i + 1 < sweep->n_layers ? slopes[i] : NULL, twins, shares, &next_neuron);
        twins += widths[i + 1];
        shares += widths[i + 1];
        if (widths[i + 1] > sweep->widest) sweep->widest = fl_round_up(widths[i + 1], FL_LINE_UNITS);
    }
    sweep->units = fl_take(arena, sweep->widest + FL_LIST_SLACK, sizeof(uint32_t));
    sweep->total = fl_take(arena, sweep->widest, sizeof(real));
    sweep->steepest = fl_take(arena, sweep->widest, sizeof(real));
    for (int i = 0; i < 2; i++) {
        sweep->bounds[i] = fl_take(arena, 2 * sweep->widest, sizeof(real));
        sweep->path[i] = fl_take(arena, sweep->widest, sizeof(real));
    }
    if (!arena->base) return;

    real growth = 1;
    size_t n_roundings = 16;
    sweep->bits_size = 0;
    for (size_t i = sweep->n_layers; i-- > 0;) {
        sweep_layer *layer = sweep->layers + i;
        layer->path_gamma = gamma_up(n_roundings);
        layer->doubt = layer->path_gamma * growth;
        growth *= layer->norm;
        sweep->has_twins |= layer->twins != NULL;
        n_roundings += layer->line.n_in + 2;
        sweep->bits_size += layer->line.bit_stride;
    }
}

/* Storage for so many rows; what was there is lost. */
static fl_status make_room(struct FL(fl_sweep) *sweep, size_t room)
{
    fl_arena arena = {NULL, 0};
    FL(fl_crossings) *c = &sweep->crossings;
    FL(fl_along) *along = &sweep->along;
    free(sweep->scratch);
    for (int pass = 0; pass < 2; pass++) {
        uint32_t **numbers[] = {&c->pieces, &c->units, along->order, along->order + 1, along->sorted,
                                along->sorted + 1, &along->n_before, &sweep->sources};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            *numbers[i] = fl_take(&arena, 2 + room + FL_LINE_SLACK, sizeof(uint32_t));
        real **reals[] = {&c->values, &c->slopes, &c->t, &c->spreads, &c->jumps, along->t, along->t + 1,
                          along->spreads, along->spreads + 1, &along->steps, &sweep->limits, &sweep->factors};
        for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
            *reals[i] = fl_take(&arena, room + FL_LINE_SLACK, sizeof(real));
        sweep->neurons = fl_take(&arena, room, sizeof(int32_t));
        sweep->tied = fl_take(&arena, room, 1);
        sweep->twins_change = fl_take(&arena, room, 1);
        for (int i = 0; i < 2; i++) sweep->rows[i] = fl_take(&arena, room * sweep->widest, sizeof(real));
        sweep->bits = fl_take(&arena, room, sweep->bits_size);
        if (pass == 0 && !(sweep->scratch = fl_arena_allocate(&arena))) return FL_NO_MEMORY;
    }
    for (int i = 0; i < 2; i++) {   /* before the vertices: the rows of the start and the direction */
        along->order[i][0] = 0;
        along->order[i][1] = 1;
        along->order[i] += 2;
    }
    sweep->room = room;
    return FL_OK;
}

static const FL(fl_line_kernels) *kernels_for(const char *isa)
{
#if FL_REAL_BITS == 80
    return (void)isa, &line_kernels;
#else
    const FL(fl_kernels) *kernels = FL(fl_kernels_for)(isa);
    return kernels ? kernels->lines : NULL;
#endif
}

fl_status FL(fl_sweep_new)(size_t n_layers, const size_t *widths, const double *const *weights,
                           const double *const *biases, const double *const *slopes, const int64_t *twins,
                           const double *shares, const char *isa, struct FL(fl_sweep) **out)
{
    const FL(fl_line_kernels) *kernels = kernels_for(isa);
    if (!kernels) return FL_UNKNOWN_ISA;
    struct FL(fl_sweep) *sweep = calloc(1, sizeof *sweep);
    if (!sweep) return FL_NO_MEMORY;
    sweep->kernels = kernels;
    sweep->n_layers = n_layers;
    sweep->n_in = widths[0];
    fl_arena arena = {NULL, 0};
    build(sweep, &arena, widths, weights, biases, slopes, twins, shares);
    sweep->memory = fl_arena_allocate(&arena);
    if (sweep->memory) build(sweep, &arena, widths, weights, biases, slopes, twins, shares);
    if (!sweep->memory || make_room(sweep, 256)) {
        FL(fl_sweep_free)(sweep);
        return FL_NO_MEMORY;
    }
    *out = sweep;
    return FL_OK;
}

void FL(fl_sweep_free)(struct FL(fl_sweep) *sweep)
{
    if (!sweep) return;
    free(sweep->scratch);
    free(sweep->memory);
    free(sweep);
}

/* The inputs on a segment; its direction is rounded. */
static void enter(const struct FL(fl_sweep) *sweep, const double *start, const double *stop)
{
    real *from = sweep->rows[0], *direction = from + sweep->in_stride;
    real *sizes = sweep->bounds[0], *errors = sizes + sweep->in_stride;
    for (size_t i = 0; i < sweep->n_in; i++) {
        from[i] = start[i];
        direction[i] = (real)stop[i] - (real)start[i];
        errors[i] = real_size(direction[i]) * (2 * REAL_UNIT_ROUNDOFF);
        sizes[i] = real_size(from[i]) + real_size(direction[i]);
        if (sizes[i] > 0) sizes[i] += (real)FL_LEAST;
    }
}

/* Moves the crossings of twins to those of the first ones, as many steps behind as others go before. */
static outcome tie(struct FL(fl_sweep) *sweep, const sweep_layer *layer, FL(fl_line) *line)
{
    const FL(fl_crossings) *c = &sweep->crossings;
    const size_t first = 2 + line->n_vertices, end = first + line->n_crossings;
    const real step = 2 * REAL_UNIT_ROUNDOFF;
    for (size_t row = first; layer->twins && row < end; row++) {
        const size_t unit = c->units[row], leader = fl_first_twin(layer->twins, unit);
        size_t to = end, n_before = 0;
        if (leader == unit) continue;
        for (size_t i = first; i < end; i++) {
            if (c->pieces[i] != c->pieces[row] || fl_first_twin(layer->twins, c->units[i]) != leader) continue;
            if (c->units[i] == leader) to = i;
            n_before += c->units[i] < unit;
        }
        if (to == end) return UNSURE;
        const real t = c->t[to] + (real)n_before * step;
        line->next_errors[unit] += real_size(c->jumps[row] * (t - c->t[row])) * (1 + (real)0x1p-20);
        c->t[row] = t;
        c->spreads[row] = c->spreads[to] + (real)(n_before + 1) * step;
        sweep->tied[row] = 1;
        sweep->n_ties++;
    }
    return SURE;
}

/* The crossings of layer `index` become vertices. */
static outcome add_vertices(struct FL(fl_sweep) *sweep, size_t index, FL(fl_line) *line)
{
    sweep_layer *layer = sweep->layers + index;
    const FL(fl_crossings) *c = &sweep->crossings;
    const size_t first = layer->first_row = 2 + line->n_vertices, end = first + line->n_crossings;
    if (end > sweep->room) return NO_ROOM;
    if (!sweep->kernels->place(&layer->line, line)) return UNSURE;
    if (sweep->has_twins) memset(sweep->tied + first, 0, line->n_crossings);
    if (tie(sweep, layer, line) != SURE) return UNSURE;
    const uint32_t *restrict numbers = layer->neurons, *restrict units = c->units;
    const real *restrict jumps = c->jumps, doubt = layer->doubt;
    real *restrict limits = sweep->limits, *restrict factors = sweep->factors;
    uint32_t *restrict sources = sweep->sources;
    int32_t *restrict neurons = sweep->neurons;
    for (size_t row = line->first_fresh; row < first; row++) {
        sources[row] = (uint32_t)row;
        factors[row] = 1;
    }
    for (size_t row = first; row < end; row++) {
        neurons[row] = (int32_t)numbers[units[row]];
        sources[row] = units[row];
        factors[row] = jumps[row];
    }
    for (size_t row = first; row < end; row++) {
        const real jump = real_size(jumps[row]);   /* of a tiny one, what is not 0 may vanish */
        limits[row] = jump > (real)FL_LEAST ? jump * doubt : (real)INFINITY;
    }
    const uint8_t *tied = sweep->n_ties ? sweep->tied : NULL;
    return sweep->kernels->merge(&sweep->along, c, line->n_vertices, line->n_crossings, tied) ? SURE : UNSURE;
}

/* The rows of the sums of layer `index`: of the start, the direction, and the vertices that the layer below
   has folded, `n_folded`, as products. The others are multiples, which are made here for the outputs only. */
static outcome add_up(struct FL(fl_sweep) *sweep, size_t index, size_t n_folded, size_t n, const uint8_t *bits,
                      const real *below, size_t stride_below, real *sums)
{
    const FL(fl_line_kernels) *kernels = sweep->kernels;
    const FL(fl_line_layer) *layer = &sweep->layers[index].line;
    const uint32_t *folded = sweep->along.order[1] - 2;   /* the order before the crossings were merged */
    const size_t n_rows = 2 + n_folded;
    const size_t most_rows = layer->stride == FL_LINE_UNITS ? FL_PUSH_NARROW_ROWS : FL_PUSH_ROWS;
    sweep->longest = 0;
    for (size_t i = 0; i < n_rows; i += most_rows) {
        const size_t n_here = n_rows - i < most_rows ? n_rows - i : most_rows;
        /* neighbours along the line have nearly the same units in force */
        const size_t n_units =
            index ? kernels->list(&sweep->layers[index - 1].line, bits, n_here, folded + i, sweep->units)
                  : kernels->list_sizes(sweep->bounds[0], layer->n_in, sweep->units);
        kernels->push(n_here, folded + i, below, stride_below, sweep->units, n_units, layer->columns, layer->stride,
                      sums);
        if (n_units > sweep->longest) sweep->longest = n_units;
        if (fl_is_over(&sweep->patience, n_here * n_units * layer->stride)) return INTERRUPTED;
    }
    if (index + 1 == sweep->n_layers)
        kernels->scale(n - n_folded, sweep->factors + n_rows, sweep->sources + n_rows, layer->columns, layer->stride,
                       sums + n_rows * layer->stride);
    return SURE;
}

/* From the inputs to the slopes of the outputs, whose rows are in *rows on return. */
static outcome follow(struct FL(fl_sweep) *sweep, const fl_knots_request *r, int close, size_t *n_vertices,
                      real **rows)
{
    size_t n = 0, n_folded = 0, stride_below = sweep->in_stride;
    uint8_t *bits = sweep->bits, *bits_below = NULL;
    int turn = 0;
    enter(sweep, r->starts + r->n_done * sweep->n_in, r->stops + r->n_done * sweep->n_in);
    sweep->along.t[0][0] = sweep->along.spreads[0][0] = 0;
    sweep->along.t[0][1] = sweep->along.steps[0] = 1;
    sweep->n_ties = 0;
    for (size_t i = 0;; i++, turn = !turn) {
        const FL(fl_line_layer) *layer = &sweep->layers[i].line;
        const size_t stride = layer->stride;
        real *sums = sweep->rows[!turn], *activations = sweep->bounds[0], *bounds = sweep->bounds[1];
        outcome found = add_up(sweep, i, n_folded, n, bits_below, sweep->rows[turn], stride_below, sums);
        if (found != SURE) return found;
        *rows = sums;
        *n_vertices = n;
        if (i + 1 == sweep->n_layers) return SURE;

        /* after the sums, which have brought the columns near */
        const size_t n_units = sweep->kernels->list_sizes(activations, layer->n_in, sweep->units);
        sweep->kernels->push_sizes(2, activations, stride_below, sweep->units, n_units, layer->magnitudes, stride,
                                   bounds);
        FL(fl_line) line = {.n_vertices = n, .along = &sweep->along, .close = close,
                            .gamma = gamma_up(sweep->longest + 8), .walk_gamma = gamma_up(4 * n + 16),
                            .rows = sums, .sizes = bounds, .errors = bounds + stride, .steepest = sweep->steepest,
                            .next_sizes = activations, .next_errors = activations + stride, .bits = bits,
                            .is_last = i + 2 == sweep->n_layers, .first_fresh = 2 + n_folded,
                            .sources = sweep->sources, .factors = sweep->factors,
                            .crossings = &sweep->crossings, .room = sweep->room};
        if (!sweep->kernels->walk(layer, &line)) return UNSURE;
        found = add_vertices(sweep, i, &line);
        if (found != SURE) return found;
        n_folded = n;
        n += line.n_crossings;
        stride_below = stride;
        bits_below = bits;
        bits += sweep->room * layer->bit_stride;
    }
}

/* The product of the absolute values of all that lies between the vertex of a row, of layer `index`, and each
   output. */
static const real *sizes_of_paths(const struct FL(fl_sweep) *sweep, size_t row, size_t index)
{
    static const uint32_t only[1] = {0};
    const FL(fl_line_layer) *above = &sweep->layers[index + 1].line;
    const uint8_t *bits = sweep->bits;
    real *sizes = sweep->path[0], *next = sweep->path[1];
    const real *first = above->magnitudes + sweep->crossings.units[row] * above->stride;
    for (size_t j = 0; j < above->stride; j++) sizes[j] = real_size(first[j]);
    for (size_t i = 0; i + 1 < sweep->n_layers; i++) {
        const FL(fl_line_layer) *layer = &sweep->layers[i].line;
        const uint8_t *active = bits + row * layer->bit_stride;
        bits += sweep->room * layer->bit_stride;
        if (i <= index) continue;
        for (size_t j = 0; !layer->all_relu && j < layer->n_out; j++) {
            const real factor = fl_bit_of(active, j) ? 1 : real_size(layer->slopes[j]);
            if (sizes[j] > 0) sizes[j] = factor > 0 ? larger(sizes[j] * factor, (real)FL_LEAST) : 0;
        }
        above = &sweep->layers[i + 1].line;
        const size_t n_units = sweep->kernels->list(layer, active, 1, only, sweep->units);
        sweep->kernels->push_sizes(1, sizes, 0, sweep->units, n_units, above->magnitudes, above->stride, next);
        real *swap = sizes;
        sizes = next;
        next = swap;
    }
    return sizes;
}

/* The layer whose crossing made a row. */
static size_t layer_of(const struct FL(fl_sweep) *sweep, size_t row)
{
    size_t index = sweep->n_layers - 2;
    while (sweep->layers[index].first_row > row) index--;
    return index;
}

/* Whether the outputs' slopes change at the vertex of a row: 1, 0, or -1 for not known. */
static int changes(const struct FL(fl_sweep) *sweep, size_t row, const real *change, size_t n_out)
{
    if (sweep->limits[row] == (real)INFINITY) return -1;
    const size_t index = layer_of(sweep, row);
    const real gamma = sweep->layers[index].path_gamma, jump = real_size(sweep->crossings.jumps[row]);
    const real *sizes = sizes_of_paths(sweep, row, index);
    int none = 1;
    for (size_t j = 0; j < n_out; j++) {
        if (real_size(change[j]) > jump * gamma * sizes[j]) return 1;
        none &= sizes[j] == 0;
    }
    return none ? 0 : -1;
}

/* Likewise where n twins cross, whose rows these are, the first one's first. */
static int twins_change(const struct FL(fl_sweep) *sweep, const uint32_t *order, size_t n, const real *rows,
                        size_t stride, size_t n_out)
{
    const sweep_layer *layer = sweep->layers + layer_of(sweep, order[0]);
    const uint32_t *units = sweep->crossings.units;
    if (layer->shares[units[order[0]]] == 0) return 0;
    int none = 1;
    for (size_t i = 0; i < n; i++) {
        if (sweep->limits[order[i]] == (real)INFINITY) return -1;
        none &= changes(sweep, order[i], rows + order[i] * stride, n_out) == 0;
    }
    if (none) return 0;
    for (size_t j = 0; j < n_out; j++) {
        real sum = 0, size = 0, doubt = 0;
        for (size_t i = 0; i < n; i++) {
            const real share = (real)layer->shares[units[order[i]]];
            if (real_size(share) < (real)0x1p-1022) return -1;
            const real part = share * (rows[order[i] * stride + j] / sweep->crossings.jumps[order[i]]);
            sum += part;
            size += real_size(part);
            doubt += real_size(share) * layer->doubt;
        }
        /* shares are rounded to doubles, whatever a real is */
        if (real_size(sum) > (doubt + (real)(n + 8) * (real)0x1p-53 * size) * (1 + (real)0x1p-20)) return 1;
    }
    return -1;
}

/* What twins change becomes their first one's row, since slopes are asked for beyond all of them. Returns 0 where
   it is not known whether slopes change there. */
static int join_twins(struct FL(fl_sweep) *sweep, real *rows, size_t n, size_t n_out, size_t stride)
{
    const uint32_t *order = sweep->along.order[0];
    for (size_t k = 0, end; k < n; k = end) {
        for (end = k + 1; end < n && sweep->tied[order[end]]; end++) {}
        if (end == k + 1) continue;
        const int change = twins_change(sweep, order + k, end - k, rows, stride, n_out);
        if (change < 0) return 0;
        for (size_t i = k; i < end; i++) sweep->twins_change[order[i]] = (uint8_t)change;
        real *whole = rows + order[k] * stride;
        for (size_t i = k + 1; i < end; i++) {
            real *row = rows + order[i] * stride;
            for (size_t j = 0; j < stride; j++) whole[j] += row[j];
            memset(row, 0, stride * sizeof(real));
        }
    }
    return 1;
}

/* The results of one segment, which has room for them; `rows` are the outputs'. */
static outcome report(struct FL(fl_sweep) *sweep, real *rows, size_t n, const fl_knots_request *r)
{
    const FL(fl_line_layer) *outputs = &sweep->layers[sweep->n_layers - 1].line;
    const uint32_t *order = sweep->along.order[0];
    const size_t n_out = outputs->n_out, at = r->n_rows;
    real *total = sweep->total;
    uint8_t *tied = r->tied + at;
    if (sweep->n_ties && !join_twins(sweep, rows, n, n_out, outputs->stride)) return UNSURE;
    for (size_t j = 0; j < outputs->stride; j++) total[j] = rows[outputs->stride + j] + 0;   /* not -0 */
    for (size_t j = 0; j < n_out; j++) r->first_slope[r->n_done * n_out + j] = (double)total[j];
    sweep->kernels->accumulate(n, order, rows, outputs->stride, sweep->limits, total, n_out,
                               r->slope_after + at * n_out, r->is_knot + at);
    for (size_t j = 0; j < n_out; j++)   /* what was infinite or NaN remains so */
        if (!((double)total[j] - (double)total[j] == 0)) return UNSURE;
    for (size_t k = 0; k < n; k++) r->t[at + k] = (double)sweep->along.t[0][k + 1];
    for (size_t k = 0; k < n; k++)
        r->t_error[at + k] = (double)sweep->along.spreads[0][k] + (sizeof(real) > sizeof(double) ? 0x1p-53 : 0);
    for (size_t k = 0; k < n; k++) r->neuron[at + k] = sweep->neurons[order[k]];
    memset(tied, 0, n);
    for (size_t k = 0; sweep->n_ties && k < n; k++) {
        if (!(tied[k] = sweep->tied[order[k]])) continue;
        r->t[at + k] = r->t[at + k - 1];
        r->t_error[at + k] = r->t_error[at + k - 1];
    }
    for (size_t k = 0; k < n; k++) {
        uint8_t *is_knot = r->is_knot + at + k;
        const int is_twin = sweep->n_ties && (tied[k] || (k + 1 < n && tied[k + 1]));
        if (*is_knot && !is_twin) continue;
        const int change = is_twin ? sweep->twins_change[order[k]]
                                   : changes(sweep, order[k], rows + order[k] * outputs->stride, n_out);
        if (change < 0) return UNSURE;
        *is_knot = (uint8_t)change;
    }
    return SURE;
}

static fl_status run(struct FL(fl_sweep) *sweep, fl_knots_request *r)
{
    r->n_done = r->n_rows = 0;
    sweep->patience = (fl_patience){r->interrupted, r->context, sweep->patience.work, 0};
    r->undecided = 0;
    while (r->n_done < r->n_segments) {
        real *rows;
        size_t n;
        outcome found = follow(sweep, r, 0, &n, &rows);
        if (found == UNSURE) found = follow(sweep, r, 1, &n, &rows);
        if (found == NO_ROOM) {
            if (make_room(sweep, 2 * sweep->room)) return FL_NO_MEMORY;
            continue;
        }
        if (found == INTERRUPTED || (found == SURE && r->n_rows + n > r->room)) return FL_OK;
        if (found == SURE) found = report(sweep, rows, n, r);
        if (found != SURE) {
            r->undecided = 1;
            return FL_OK;
        }
        r->row_counts[r->n_done++] = (int64_t)n;
        r->n_rows += n;
    }
    return FL_OK;
}

fl_status FL(fl_knots)(struct FL(fl_sweep) *sweep, fl_knots_request *request)
{
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    const fl_status status = run(sweep, request);
    fesetenv(&callers);
    return status;
}
