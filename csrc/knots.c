/* Where segments cross the folds of a network: a sweep along each, layer by layer, in floating point, proved.

   On start + t (stop - start), 0 <= t <= 1, every unit is a function of t that is affine between the
   crossings of the neurons below it. It is kept as a column of coefficients, one for each vertex k:

       a(t) = A_0 + A_1 t + sum over k of A_(2+k) max(t - t_k, 0),

   so that a vertex costs a unit one number, and the rows of a layer's sums are those of the activations
   below times W. A neuron that crosses at t_k makes a row with one entry, a multiple of a row of W's transpose
   in the next layer. `walk` follows the sums from vertex to vertex, sees the signs there, and folds: at a
   vertex where a unit is inactive, its coefficient is multiplied by its slope.

   The proof. Let a* be a unit in real arithmetic, a the function that its coefficients as stored define,
   S = sum |A_r|, and |a - a*| <= e on all of [0, 1]. With D = |W| S + |b|, and as all t and all pieces are
   at most 1, the function that the computed coefficients of a sum define is within

       E = |W| e + gamma D

   of z*, with gamma for the roundings of one sum (Higham, Accuracy and Stability of Numerical Algorithms, 2nd
   edition, lemma 3.1) of so many terms as were listed at most. `walk` adds up values and slopes on K vertices.
   With M the largest |slope| that it computes, a slope is off by K u M at most, and a value by what these, the
   steps and its own roundings add up to, as the line has length 1: both are within R = gamma (|z| + 2 M), with
   gamma for 4 K + 16 roundings, whichever value z is taken, since no two differ by more than M.
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

   Where this fails the segment is undecided. A crossing is a knot where the slope of an output changes. The
   change is the neuron's jump times the product of all that lies between it and the outputs, so it is
   computed to within gamma times the product of absolute values: more is proof of a knot, and no way at all
   to the outputs is proof of none. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "network.h"
#if FL_REAL_BITS == 80
#include "lines.h"
#endif

typedef struct {
    FL(fl_line_layer) line;
    uint32_t *neurons;         /* [n_out]: the bit of each unit */
    real norm;                 /* what a jump below grows by, at most */
    real doubt;                /* a jump of this layer, times this, is what its way to the outputs may be off by */
    real path_gamma;           /* the roundings on that way */
} sweep_layer;

/* A vertex, by its row. */
typedef struct {
    uint32_t layer, unit;
} vertex;

struct FL(fl_sweep) {
    const FL(fl_line_kernels) *kernels;
    size_t n_layers, n_in, in_stride, widest, bits_size;
    sweep_layer *layers;
    uint32_t *units;           /* [widest + FL_LIST_SLACK]: a list of some */
    real *bounds[2];           /* [2][widest], S and e of activations, and the like of sums */
    real *path[2];             /* [widest] */
    real *total;               /* [widest] */
    size_t longest;            /* the units listed for one sum of the layer, at most */
    size_t work;               /* multiply-adds since the caller was last asked whether to go on */
    void *memory;

    size_t room;               /* for so many vertices */
    vertex *vertices;          /* these three by row */
    real *jumps;               /* by how much the slope of what the neuron passes on changes */
    real *limits;              /* a change of an output's slope above this is sure */
    uint32_t *columns;         /* units, of the crossings of the layer below */
    uint32_t *sorted[2];       /* crossings, along the line */
    uint32_t *order[2];        /* along the line: rows, now and next */
    real *t[2], *spreads[2];   /* along the line: where pieces begin, and how sure it is where they end */
    real *steps;               /* along the line: lengths of pieces */
    uint32_t *folded;          /* along the line: rows that the layer below has folded */
    real *rows[2];             /* [2 + room][widest] */
    uint8_t *bits;             /* layer by layer, [2 + room][bit_stride] */
    FL(fl_crossings) crossings;
    void *scratch;
};

/* So many vertices are copied together. */
#define COPIED 8

/* Few spreads are larger. */
#define COMMON_SPREAD ((real)0x1p22 * REAL_UNIT_ROUNDOFF)

/* TOO_COARSE is unsure with a common spread, and perhaps not without. */
typedef enum { SURE, UNSURE, TOO_COARSE, NO_ROOM, INTERRUPTED } outcome;

/* Multiply-adds between two questions whether to go on: milliseconds, and in long double a tenth of a second. */
#define PATIENCE 20000000

static size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }
static real size_of(real a) { return a < 0 ? -a : a; }
static real larger(real a, real b) { return a > b ? a : b; }

/* gamma_n, rounded up; infinite where it is of no use. */
static real gamma_up(size_t n)
{
    const real nu = (real)n * REAL_UNIT_ROUNDOFF;
    return nu < (real)0.01 ? nu / (1 - nu) * (1 + (real)0x1p-20) : (real)INFINITY;
}

/* The arrays of one layer, in the arena; filled when the arena has memory. */
static void build_layer(sweep_layer *layer, fl_arena *arena, size_t n_in, size_t n_out, const double *weights,
                        const double *bias, const double *slopes, uint32_t *next_neuron)
{
    const size_t stride = round_up(n_out, FL_LINE_UNITS), bit_stride = round_up(stride / 8, sizeof(uint32_t));
    real *columns = fl_take(arena, n_in * stride, sizeof(real));
    real *magnitudes = fl_take(arena, n_in * stride, sizeof(real));
    real *all_bias = fl_take(arena, stride, sizeof(real)), *all_slopes = fl_take(arena, stride, sizeof(real));
    real *is_neuron = fl_take(arena, stride, sizeof(real));
    uint32_t *neurons = fl_take(arena, n_out, sizeof(uint32_t));
    uint8_t *passing = fl_take(arena, bit_stride, 1);
    if (!arena->base) return;

    real norm = 1, steepest = 1;
    int all_relu = 1;
    for (size_t j = 0; j < n_out; j++) {
        const real slope = slopes ? (real)slopes[j] : 1;
        real sum = 0;
        for (size_t k = 0; k < n_in; k++) {
            const real w = weights[j * n_in + k], size = size_of(w);
            columns[k * stride + j] = w;
            magnitudes[k * stride + j] = size > 0 ? larger(size, (real)FL_LEAST) : 0;
            sum += size;
        }
        norm = larger(norm, sum);
        steepest = larger(steepest, size_of(slope));
        all_bias[j] = bias[j];
        all_slopes[j] = slope;
        all_relu &= slope == 0;
        neurons[j] = slope == 1 ? 0 : (*next_neuron)++;
        if (slope != 0) passing[j / 8] |= (uint8_t)(1u << j % 8);
        is_neuron[j] = slope != 1;
    }
    layer->line = (FL(fl_line_layer)){n_in, n_out, stride, columns, magnitudes, all_bias, all_slopes, is_neuron,
                                      all_relu, passing, bit_stride};
    layer->neurons = neurons;
    layer->norm = norm * steepest;
}

static void build(struct FL(fl_sweep) *sweep, fl_arena *arena, const size_t *widths, const double *const *weights,
                  const double *const *biases, const double *const *slopes)
{
    uint32_t next_neuron = 0;
    sweep->layers = fl_take(arena, sweep->n_layers, sizeof(sweep_layer));
    sweep->widest = sweep->in_stride = round_up(widths[0], FL_LINE_UNITS);
    for (size_t i = 0; i < sweep->n_layers; i++) {
        build_layer(arena->base ? sweep->layers + i : NULL, arena, widths[i], widths[i + 1], weights[i], biases[i],
                    i + 1 < sweep->n_layers ? slopes[i] : NULL, &next_neuron);
        if (widths[i + 1] > sweep->widest) sweep->widest = round_up(widths[i + 1], FL_LINE_UNITS);
    }
    sweep->units = fl_take(arena, sweep->widest + FL_LIST_SLACK, sizeof(uint32_t));
    sweep->total = fl_take(arena, sweep->widest, sizeof(real));
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
        n_roundings += layer->line.n_in + 2;
        sweep->bits_size += layer->line.bit_stride;
    }
}

/* Storage for so many vertices; what was there is lost. */
static fl_status make_room(struct FL(fl_sweep) *sweep, size_t room)
{
    fl_arena arena = {NULL, 0};
    FL(fl_crossings) *c = &sweep->crossings;
    free(sweep->scratch);
    const size_t n = 2 + room + COPIED;
    for (int pass = 0; pass < 2; pass++) {
        sweep->vertices = fl_take(&arena, n, sizeof(vertex));
        uint32_t **numbers[] = {&sweep->columns, sweep->sorted, sweep->sorted + 1, sweep->order, sweep->order + 1,
                                &sweep->folded, &c->pieces, &c->units};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            *numbers[i] = fl_take(&arena, n, sizeof(uint32_t));
        real **reals[] = {&sweep->jumps, &sweep->limits, sweep->t, sweep->t + 1, sweep->spreads, sweep->spreads + 1,
                          &sweep->steps, &c->begins, &c->values, &c->slopes, &c->errors, &c->roundings, &c->t,
                          &c->spreads};
        for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) *reals[i] = fl_take(&arena, n, sizeof(real));
        for (int i = 0; i < 2; i++) sweep->rows[i] = fl_take(&arena, (2 + room) * sweep->widest, sizeof(real));
        sweep->bits = fl_take(&arena, 2 + room, sweep->bits_size);
        if (pass == 0 && !(sweep->scratch = fl_arena_allocate(&arena))) return FL_NO_MEMORY;
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
                           const double *const *biases, const double *const *slopes, const char *isa,
                           struct FL(fl_sweep) **out)
{
    const FL(fl_line_kernels) *kernels = kernels_for(isa);
    if (!kernels) return FL_UNKNOWN_ISA;
    struct FL(fl_sweep) *sweep = calloc(1, sizeof *sweep);
    if (!sweep) return FL_NO_MEMORY;
    sweep->kernels = kernels;
    sweep->n_layers = n_layers;
    sweep->n_in = widths[0];
    fl_arena arena = {NULL, 0};
    build(sweep, &arena, widths, weights, biases, slopes);
    sweep->memory = fl_arena_allocate(&arena);
    if (sweep->memory) build(sweep, &arena, widths, weights, biases, slopes);
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

/* The units that are not 0. */
static size_t list_units(const real *sizes, size_t n, uint32_t *units)
{
    size_t n_units = 0;
    for (size_t j = 0; j < n; j++) {
        units[n_units] = (uint32_t)j;
        n_units += sizes[j] > 0;
    }
    return n_units;
}

/* The inputs on a segment; its direction is rounded. */
static void enter(const struct FL(fl_sweep) *sweep, const double *start, const double *stop)
{
    real *from = sweep->rows[0], *direction = from + sweep->in_stride;
    real *sizes = sweep->bounds[0], *errors = sizes + sweep->in_stride;
    for (size_t i = 0; i < sweep->n_in; i++) {
        from[i] = start[i];
        direction[i] = (real)stop[i] - (real)start[i];
        errors[i] = size_of(direction[i]) * (2 * REAL_UNIT_ROUNDOFF);
        sizes[i] = size_of(from[i]) + size_of(direction[i]);
        if (sizes[i] > 0) sizes[i] += (real)FL_LEAST;
    }
}

/* Lists the crossings along the line: blocks in order, which then are merged. */
static const uint32_t *sort(struct FL(fl_sweep) *sweep, size_t n)
{
    const real *t = sweep->crossings.t;
    uint32_t *sorted = sweep->sorted[0], *next = sweep->sorted[1];
    for (size_t first = 0; first < n; first += FL_RANKED)
        sweep->kernels->rank(first, n - first < FL_RANKED ? n - first : FL_RANKED, t, sorted);
    for (size_t size = FL_RANKED; size < n; size *= 2) {
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

/* Puts the crossings in their places along the line, between the vertices that are there. Returns 0 where spreads
   overlap. */
static int merge(struct FL(fl_sweep) *sweep, size_t n_old, size_t n_crossings)
{
    const FL(fl_crossings) *c = &sweep->crossings;
    const size_t n = n_old + n_crossings;
    const uint32_t *restrict old = sweep->order[0], *restrict sorted = sort(sweep, n_crossings);
    const real *restrict old_t = sweep->t[0], *restrict old_spreads = sweep->spreads[0];
    uint32_t *restrict order = sweep->order[1];
    real *restrict t = sweep->t[1], *restrict spreads = sweep->spreads[1];
    t[0] = 0;
    for (size_t i = 0, k = 0; i <= n_crossings; i++) {
        const size_t end = i < n_crossings ? c->pieces[sorted[i]] : n_old;
        if (end < k) return 0;   /* rounding has put two crossings in each other's pieces, or in one place */
        /* Mostly one copy does, and nothing is to be guessed; what it copies too much is overwritten. */
        for (; k <= end; k += COPIED) {
            memcpy(order + k + i, old + k, COPIED * sizeof *order);
            memcpy(t + k + i + 1, old_t + k + 1, COPIED * sizeof *t);
            memcpy(spreads + k + i, old_spreads + k, COPIED * sizeof *spreads);
        }
        k = end;
        if (i == n_crossings) break;
        order[end + i] = (uint32_t)(2 + n_old) + sorted[i];
        t[end + i + 1] = c->t[sorted[i]];
        spreads[end + i] = c->spreads[sorted[i]];
    }
    t[n + 1] = 1;
    spreads[n] = 0;
    int64_t n_apart = 0 < t[1] - spreads[0];   /* as wide as a double: the loop becomes vectors */
    for (size_t k = 0; k < n; k++) n_apart += t[k + 1] + spreads[k] < t[k + 2] - spreads[k + 1];
    for (size_t k = 0; k <= n; k++) sweep->steps[k] = t[k + 1] - t[k];
    sweep->order[1] = sweep->order[0];
    sweep->t[1] = sweep->t[0];
    sweep->spreads[1] = sweep->spreads[0];
    sweep->order[0] = order;
    sweep->t[0] = t;
    sweep->spreads[0] = spreads;
    return n_apart == (int64_t)n + 1;
}

/* The crossings of layer `index` become vertices. */
static outcome add_vertices(struct FL(fl_sweep) *sweep, size_t index, FL(fl_line) *line)
{
    const sweep_layer *layer = sweep->layers + index;
    const FL(fl_crossings) *c = &line->crossings;
    const size_t n_old = line->n_vertices, n_new = line->n_crossings;
    if (n_old + n_new > sweep->room) return NO_ROOM;
    if (!sweep->kernels->place(line)) return UNSURE;
    for (size_t i = 0; i < n_new; i++) {
        const uint32_t unit = c->units[i];
        const real fold = layer->line.slopes[unit], turn = size_of(1 - fold);
        const real jump = (1 - fold) * size_of(c->slopes[i]);
        const size_t row = 2 + n_old + i;
        sweep->vertices[row] = (vertex){(uint32_t)index, unit};
        sweep->columns[i] = unit;
        sweep->jumps[row] = jump;
        sweep->limits[row] = size_of(jump) * layer->doubt;
        line->next_sizes[unit] += size_of(jump) + (real)FL_LEAST;
        line->next_errors[unit] = larger(line->next_errors[unit], larger(1, size_of(fold)) * c->errors[i])
                                  + 2 * c->roundings[i] * turn;
    }
    return merge(sweep, n_old, n_new) ? SURE : UNSURE;
}

/* The rows of the sums of layer `index`: of the start, the direction, and the vertices that the layer below
   has folded, `n_folded`, as products, the others as multiples. */
static outcome add_up(struct FL(fl_sweep) *sweep, size_t index, size_t n_folded, size_t n, const uint8_t *bits,
                      const real *below, size_t stride_below, size_t n_units, real *sums, const fl_knots_request *r)
{
    const FL(fl_line_kernels) *kernels = sweep->kernels;
    const FL(fl_line_layer) *layer = &sweep->layers[index].line;
    uint32_t *folded = sweep->folded;
    const size_t most_rows = layer->stride == FL_LINE_UNITS ? FL_PUSH_NARROW_ROWS : FL_PUSH_ROWS;
    size_t n_rows = 2;
    folded[0] = 0;
    folded[1] = 1;
    sweep->longest = 0;
    for (size_t k = 0; k < n; k++) {
        const uint32_t row = sweep->order[0][k];
        folded[n_rows] = row;
        n_rows += row < 2 + n_folded;
    }
    for (size_t i = 0; i < n_rows; i += most_rows) {
        const size_t n_here = n_rows - i < most_rows ? n_rows - i : most_rows;
        /* neighbours along the line have nearly the same units in force */
        if (index) n_units = kernels->list(&sweep->layers[index - 1].line, bits, n_here, folded + i, sweep->units);
        kernels->push(n_here, folded + i, below, stride_below, sweep->units, n_units, layer->columns, layer->stride,
                      sums);
        if (n_units > sweep->longest) sweep->longest = n_units;
        sweep->work += n_here * n_units * layer->stride;
        if (sweep->work > PATIENCE) {
            sweep->work = 0;
            if (r->interrupted(r->context)) return INTERRUPTED;
        }
    }
    kernels->scale(n - n_folded, sweep->jumps + 2 + n_folded, sweep->columns, layer->columns, layer->stride,
                   sums + (2 + n_folded) * layer->stride);
    return SURE;
}

/* From the inputs to the slopes of the outputs, whose rows are in *rows on return. */
static outcome follow(struct FL(fl_sweep) *sweep, const fl_knots_request *r, real common_spread, size_t *n_vertices,
                      const real **rows)
{
    static const uint32_t both[2] = {0, 1};
    size_t n = 0, n_folded = 0, stride_below = sweep->in_stride;
    uint8_t *bits = sweep->bits, *bits_below = NULL;
    int turn = 0;
    enter(sweep, r->starts + r->n_done * sweep->n_in, r->stops + r->n_done * sweep->n_in);
    sweep->t[0][0] = sweep->spreads[0][0] = 0;
    sweep->t[0][1] = sweep->steps[0] = 1;
    for (size_t i = 0;; i++, turn = !turn) {
        const FL(fl_line_layer) *layer = &sweep->layers[i].line;
        const size_t stride = layer->stride;
        real *sums = sweep->rows[!turn], *activations = sweep->bounds[0], *bounds = sweep->bounds[1];
        const size_t n_units = list_units(activations, layer->n_in, sweep->units);
        if (i + 1 < sweep->n_layers)
            sweep->kernels->push(2, both, activations, stride_below, sweep->units, n_units, layer->magnitudes, stride,
                                 bounds);
        outcome found = add_up(sweep, i, n_folded, n, bits_below, sweep->rows[turn], stride_below, n_units, sums, r);
        if (found != SURE) return found;
        *rows = sums;
        *n_vertices = n;
        if (i + 1 == sweep->n_layers) return SURE;

        FL(fl_line) line = {.n_vertices = n, .order = sweep->order[0], .t = sweep->t[0], .steps = sweep->steps,
                            .spreads = sweep->spreads[0], .common_spread = common_spread,
                            .gamma = gamma_up(sweep->longest + 8), .walk_gamma = gamma_up(4 * n + 16),
                            .rows = sums, .sizes = bounds, .errors = bounds + stride,
                            .next_sizes = activations, .next_errors = activations + stride, .bits = bits, .crossings = sweep->crossings, .room = sweep->room};
        if (!sweep->kernels->walk(layer, &line)) return common_spread > 0 ? TOO_COARSE : UNSURE;
        found = add_vertices(sweep, i, &line);
        if (found != SURE) return found;
        n_folded = n;
        n += line.n_crossings;
        stride_below = stride;
        bits_below = bits;
        bits += (2 + sweep->room) * layer->bit_stride;
    }
}

/* The product of the absolute values of all that lies between the vertex of a row and each output. */
static const real *sizes_of_paths(const struct FL(fl_sweep) *sweep, size_t row)
{
    static const uint32_t only[1] = {0};
    const vertex *v = sweep->vertices + row;
    const FL(fl_line_layer) *above = &sweep->layers[v->layer + 1].line;
    const uint8_t *bits = sweep->bits;
    real *sizes = sweep->path[0], *next = sweep->path[1];
    memcpy(sizes, above->magnitudes + v->unit * above->stride, above->stride * sizeof(real));
    for (size_t i = 0; i + 1 < sweep->n_layers; i++) {
        const FL(fl_line_layer) *layer = &sweep->layers[i].line;
        const uint8_t *active = bits + row * layer->bit_stride;
        bits += (2 + sweep->room) * layer->bit_stride;
        if (i <= v->layer) continue;
        for (size_t j = 0; j < layer->n_out; j++) {
            const real factor = active[j / 8] >> j % 8 & 1 ? 1 : size_of(layer->slopes[j]);
            if (sizes[j] > 0) sizes[j] = factor > 0 ? larger(sizes[j] * factor, (real)FL_LEAST) : 0;
        }
        above = &sweep->layers[i + 1].line;
        const size_t n_units = list_units(sizes, layer->n_out, sweep->units);
        sweep->kernels->push(1, only, sizes, 0, sweep->units, n_units, above->magnitudes, above->stride, next);
        real *swap = sizes;
        sizes = next;
        next = swap;
    }
    return sizes;
}

/* Whether the outputs' slopes change at the vertex of a row: 1, 0, or -1 for not known. */
static int changes(const struct FL(fl_sweep) *sweep, size_t row, const real *change, size_t n_out)
{
    const real jump = size_of(sweep->jumps[row]);
    if (!(jump > (real)FL_LEAST)) return -1;   /* what is not 0 may vanish */
    const real gamma = sweep->layers[sweep->vertices[row].layer].path_gamma, *sizes = sizes_of_paths(sweep, row);
    int none = 1;
    for (size_t j = 0; j < n_out; j++) {
        if (size_of(change[j]) > jump * gamma * sizes[j]) return 1;
        none &= sizes[j] == 0;
    }
    return none ? 0 : -1;
}

/* The results of one segment, which has room for them; `rows` are the outputs'. */
static outcome report(const struct FL(fl_sweep) *sweep, const real *rows, size_t n, const fl_knots_request *r)
{
    const FL(fl_line_layer) *outputs = &sweep->layers[sweep->n_layers - 1].line;
    const uint32_t *order = sweep->order[0];
    const size_t n_out = outputs->n_out, at = r->n_rows;
    real *total = sweep->total;
    memcpy(total, rows + outputs->stride, outputs->stride * sizeof(real));
    for (size_t j = 0; j < n_out; j++) r->first_slope[r->n_done * n_out + j] = (double)total[j];
    sweep->kernels->accumulate(n, order, rows, outputs->stride, sweep->limits, total, n_out,
                               r->slope_after + at * n_out, r->is_knot + at);
    for (size_t j = 0; j < n_out; j++)   /* what was infinite or NaN remains so */
        if (!((double)total[j] - (double)total[j] == 0)) return UNSURE;
    for (size_t k = 0; k < n; k++) {
        const vertex *v = sweep->vertices + order[k];
        r->t[at + k] = (double)sweep->t[0][k + 1];
        r->t_error[at + k] = (double)sweep->spreads[0][k] + (sizeof(real) > sizeof(double) ? 0x1p-53 : 0);
        r->neuron[at + k] = (int32_t)sweep->layers[v->layer].neurons[v->unit];
        if (r->is_knot[at + k] && size_of(sweep->jumps[order[k]]) > (real)FL_LEAST) continue;
        const int is_knot = changes(sweep, order[k], rows + order[k] * outputs->stride, n_out);
        if (is_knot < 0) return UNSURE;
        r->is_knot[at + k] = (uint8_t)is_knot;
    }
    return SURE;
}

static fl_status run(struct FL(fl_sweep) *sweep, fl_knots_request *r)
{
    r->n_done = r->n_rows = 0;
    r->undecided = 0;
    while (r->n_done < r->n_segments) {
        const real *rows;
        size_t n;
        outcome found = follow(sweep, r, COMMON_SPREAD, &n, &rows);
        if (found == TOO_COARSE) found = follow(sweep, r, 0, &n, &rows);
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
