/* The inner loops of the walk through cells for one instruction set. */
#include "cell_kernels.h"

#include <math.h>

#include "simd.h"

INLINE vec value(const size_t d, const vec *form, const double *point)
{
    vec z = form[d];
    for (size_t k = 0; k < d; k++) z = v_fma(form[k], v_set1(point[k]), z);
    return z;
}

INLINE void load_form(const size_t d, const fl_forms *forms, size_t first, vec *form)
{
    for (size_t k = 0; k <= d; k++) form[k] = v_load(forms->rows + k * forms->stride + first);
}

enum { FEW_DIMENSIONS = 6 };

/* Of an array of points, or of the points of vertices. */
INLINE const double *point_at(const size_t d, const double *points, fl_vertex *const *vertices, size_t i)
{
    return vertices ? vertices[i]->point : points + i * d;
}

/* Where the least and the greatest values of LANES forms at some points put them. */
INLINE void add_sides(const fl_forms *forms, size_t first, vec low, vec high, double rho, uint32_t wanted,
                      uint64_t *inactive, uint64_t *active, uint64_t *crossing, double *margins)
{
    const vec slack = v_fma(v_set1(rho), v_load(forms->size + first), v_load(forms->slack + first));
    const vec minus = v_set1(0) - slack;
    const uint32_t below = v_bits(v_at_most(high, minus));
    const uint32_t above = v_bits(v_at_most(slack, low)) & ~below;
    const uint32_t both = v_bits(v_at_most(low, minus)) & v_bits(v_at_most(slack, high)) & ~(below | above);
    *inactive |= (uint64_t)(below & wanted) << first % 64;
    *active |= (uint64_t)(above & wanted) << first % 64;
    *crossing |= (uint64_t)(both & wanted) << first % 64;
    const vec nearest = v_min(v_max(low, v_set1(0) - low), v_max(high, v_set1(0) - high));
    const vec margin = v_load(margins + first % FL_CELL_LANES);
    v_store(margins + first % FL_CELL_LANES, v_min(v_select(v_mask(wanted), nearest, margin), margin));
}

INLINE vec value_in_place(size_t d, const fl_forms *forms, size_t first, const double *point)
{
    vec z = v_load(forms->rows + d * forms->stride + first);
    for (size_t k = 0; k < d; k++)
        z = v_fma(v_load(forms->rows + k * forms->stride + first), v_set1(point[k]), z);
    return z;
}

/* Where few is set, d <= FEW_DIMENSIONS is a constant, so that forms stay in registers. */
INLINE void sides_with(const size_t d, const int few, const fl_forms *forms, const double *points,
                       fl_vertex *const *vertices, size_t n_points, double rho, const uint64_t *todo,
                       fl_sides *sides, double *margins)
{
    for (size_t word = 0; word * 64 < forms->n; word++) {
        uint64_t inactive = 0, active = 0, crossing = 0;
        for (size_t bit = 0; bit < 64 && word * 64 + bit < forms->stride; bit += LANES) {
            const size_t first = word * 64 + bit;
            const uint32_t wanted = (uint32_t)(todo[word] >> bit) & ((1u << LANES) - 1);
            if (!wanted) continue;
            vec form[FEW_DIMENSIONS + 1];
            if (few) load_form(d, forms, first, form);
            const double *point = point_at(d, points, vertices, 0);
            vec low = few ? value(d, form, point) : value_in_place(d, forms, first, point), high = low;
            for (size_t i = 1; i < n_points; i++) {
                point = point_at(d, points, vertices, i);
                const vec z = few ? value(d, form, point) : value_in_place(d, forms, first, point);
                low = v_min(z, low);
                high = v_max(z, high);
            }
            add_sides(forms, first, low, high, rho, wanted, &inactive, &active, &crossing, margins);
        }
        sides->inactive[word] = inactive;
        sides->active[word] = active;
        sides->crossing[word] = crossing;
    }
}

static void sides(size_t d, const fl_forms *forms, const double *points, size_t n_points, double rho,
                  const uint64_t *todo, fl_sides *out, double *margins)
{
    switch (d) {
#define SIDES(d) case d: sides_with(d, 1, forms, points, NULL, n_points, rho, todo, out, margins); return;
    SIDES(1) SIDES(2) SIDES(3) SIDES(4) SIDES(5) SIDES(6)
#undef SIDES
    }
    sides_with(d, 0, forms, points, NULL, n_points, rho, todo, out, margins);
}

static void sides_of_vertices(size_t d, const fl_forms *forms, fl_vertex *const *vertices, size_t n,
                              double rho, const uint64_t *todo, fl_sides *out, double *margins)
{
    switch (d) {
#define SIDES(d) case d: sides_with(d, 1, forms, NULL, vertices, n, rho, todo, out, margins); break;
    SIDES(3) SIDES(4) SIDES(5) SIDES(6)
#undef SIDES
    }
}

static int all_positive(size_t d, const fl_forms *forms, const double *point)
{
    uint32_t doubtful = 0;
    for (size_t first = 0; first < forms->n; first += LANES) {
        const vec z = value_in_place(d, forms, first, point);
        const uint32_t sure = v_bits(v_positive(z - v_load(forms->slack + first)));
        const size_t n_here = forms->n - first;
        doubtful |= ~sure & ((1u << (n_here < LANES ? n_here : LANES)) - 1);
    }
    return doubtful == 0;
}

/* d + 1 rows by `vecs` vectors of columns, all sums in registers. */
INLINE void add_tile(const size_t d, const int vecs, size_t stride, const double *start, size_t n_units,
                     const uint32_t *restrict units, const double *restrict factors,
                     const double *restrict columns, double *rows)
{
    vec sum[FEW_DIMENSIONS + 1][4];
    for (size_t k = 0; k <= d; k++)
        UNROLL for (int v = 0; v < vecs; v++) sum[k][v] = v_load(start + k * stride + v * LANES);
    for (size_t i = 0; i < n_units; i++) {
        const double *column = columns + units[i] * stride;
        vec x[4];
        UNROLL for (int v = 0; v < vecs; v++) x[v] = v_load(column + v * LANES);
        for (size_t k = 0; k <= d; k++) {
            const vec factor = v_set1(factors[i * (d + 1) + k]);
            UNROLL for (int v = 0; v < vecs; v++) sum[k][v] = v_fma(factor, x[v], sum[k][v]);
        }
    }
    for (size_t k = 0; k <= d; k++)
        UNROLL for (int v = 0; v < vecs; v++) v_store(rows + k * stride + v * LANES, sum[k][v]);
}

INLINE void add_with(const size_t d, size_t stride, const double *start, size_t n_units, const uint32_t *units,
                     const double *factors, const double *columns, double *rows)
{
    size_t j = 0;
    for (; j + 4 * LANES <= stride; j += 4 * LANES)
        add_tile(d, 4, stride, start + j, n_units, units, factors, columns + j, rows + j);
    for (; j < stride; j += LANES) add_tile(d, 1, stride, start + j, n_units, units, factors, columns + j, rows + j);
}

static void add(size_t d, size_t stride, const double *start, size_t n_units, const uint32_t *units,
                const double *factors, const double *columns, double *rows)
{
    switch (d) {
#define ADD(d) case d: add_with(d, stride, start, n_units, units, factors, columns, rows); return;
    ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6)
#undef ADD
    }
    for (size_t k = 0; k <= d; k++)
        for (size_t j = 0; j < stride; j += LANES) {
            vec sum = v_load(start + k * stride + j);
            for (size_t i = 0; i < n_units; i++)
                sum = v_fma(v_set1(factors[i * (d + 1) + k]), v_load(columns + units[i] * stride + j), sum);
            v_store(rows + k * stride + j, sum);
        }
}

/* A point is a quad, or two that overlap. */
#define SECOND(d) ((d) > 4 ? (d) - 4 : 0)

INLINE void mean_with(const size_t d, fl_vertex *const *vertices, size_t n, double *mean)
{
    quad first = {0}, second = {0};
    for (size_t i = 0; i < n; i++) {
        first += q_load(vertices[i]->point);
        if (d > 4) second += q_load(vertices[i]->point + SECOND(d));
    }
    double sums[FEW_DIMENSIONS];
    q_store(sums, first);
    if (d > 4) q_store(sums + SECOND(d), second);
    for (size_t k = 0; k < d; k++) mean[k] = sums[k] / (double)n;
}

INLINE double value_of_vertex(const size_t d, const double *form, const double *point)
{
    double z = form[d];
    for (size_t k = 0; k < d; k++) z += form[k] * point[k];
    return z;
}

static uint64_t united(const uint32_t *low, const uint32_t *high, size_t n)
{
    uint32_t all_low = 0, all_high = 0;
    for (size_t i = 0; i < n; i++) all_low |= low[i];
    for (size_t i = 0; high && i < n; i++) all_high |= high[i];
    return (uint64_t)all_high << 32 | all_low;
}

/* Without a branch on the side: it is as good as random. */
INLINE int divide_with(const size_t d, const int wide, const fl_forms *forms, size_t at, double margin,
                       fl_vertex *const *vertices, size_t n, fl_division *division)
{
    double form[FEW_DIMENSIONS + 1];
    for (size_t k = 0; k <= d; k++) form[k] = forms->rows[k * forms->stride + at];
    fl_vertex **below = division->vertices[0], **above = division->vertices[1];
    uint32_t *low_below = division->low[0], *low_above = division->low[1];
    uint32_t *high_below = division->high[0], *high_above = division->high[1];
    size_t n_below = 0, n_above = 0;
    for (size_t i = 0; i < n; i++) {
        fl_vertex *vertex = vertices[i];
        const double z = vertex->value = value_of_vertex(d, form, vertex->point);
        below[n_below] = above[n_above] = vertex;
        low_below[n_below] = low_above[n_above] = (uint32_t)vertex->facets;
        if (wide) high_below[n_below] = high_above[n_above] = (uint32_t)(vertex->facets >> 32);
        n_below += z < -margin;
        n_above += z > margin;
    }
    for (size_t i = 0; i < FL_SET_LANES; i++) {
        low_below[n_below + i] = low_above[n_above + i] = 0;
        if (wide) high_below[n_below + i] = high_above[n_above + i] = 0;
    }
    division->n[0] = n_below;
    division->n[1] = n_above;
    division->all_facets[0] = united(low_below, wide ? high_below : NULL, n_below);
    division->all_facets[1] = united(low_above, wide ? high_above : NULL, n_above);
    return n_below + n_above == n;
}

/* Which of the first 64 other sets, a bit each, lack at most one member of a set. */
INLINE uint64_t neighbours(const int wide, uint32_t low, uint32_t high, const uint32_t *others_low,
                           const uint32_t *others_high, size_t n)
{
    const vset here = v_same_sets(low), here_high = v_same_sets(high);
    uint64_t found = 0;
    for (size_t i = 0; i < 64 && i < n; i += SETS) {
        const vset there = v_load_sets(others_low + i);
        uint64_t bits = v_lacks_one(here, there);
        if (wide) {
            const vset there_high = v_load_sets(others_high + i);
            bits &= v_lacks_none(here_high, there_high);
            bits |= v_lacks_none(here, there) & v_lacks_one(here_high, there_high);
        }
        found |= bits << i;
    }
    return found;
}

/* Most vertices have no edge across, one, or two: two are written always, and only more are a branch. */
INLINE int edges_with(size_t d, const int wide, fl_division *division)
{
    const int few = division->n[0] < division->n[1] ? 0 : 1;
    const uint32_t *low = division->low[few], *others_low = division->low[!few];
    const uint32_t *high = division->high[few], *others_high = division->high[!few];
    uint32_t *ends = division->ends[few], *other_ends = division->ends[!few];
    const size_t n_few = division->n[few], n_others = division->n[!few];
    const uint64_t last = UINT64_C(1) << 63;
    size_t n = 0;
    for (size_t i = 0; i < n_few; i++)
        for (size_t first = 0; first < n_others; first += 64) {
            const uint64_t found = neighbours(wide, low[i], wide ? high[i] : 0, others_low + first,
                                              others_high + first, n_others - first);
            const size_t n_found = (size_t)__builtin_popcountll(found);
            if (n + n_found > (i + 1) * d) return 0;
            uint64_t rest = found & (found - 1);
            ends[n] = ends[n + 1] = (uint32_t)i;
            other_ends[n] = (uint32_t)first + (uint32_t)__builtin_ctzll(found | last);
            other_ends[n + 1] = (uint32_t)first + (uint32_t)__builtin_ctzll(rest | last);
            if (n_found > 2)
                for (size_t k = 2; rest &= rest - 1; k++) {
                    ends[n + k] = (uint32_t)i;
                    other_ends[n + k] = (uint32_t)first + (uint32_t)__builtin_ctzll(rest);
                }
            n += n_found;
        }
    division->n_edges = n;
    return 1;
}

/* The point a + t (b - a). */
INLINE void put_between(const size_t d, const double *a, const double *b, double t, double *to)
{
    const quad times = {t, t, t, t}, first = q_load(a);
    q_store(to, first + times * (q_load(b) - first));
    if (d > 4) {
        const quad second = q_load(a + SECOND(d));
        q_store(to + SECOND(d), second + times * (q_load(b + SECOND(d)) - second));
    }
}

INLINE int cross_with(const size_t d, double level, uint64_t facet, char *const memory[2],
                      fl_division *division)
{
    fl_vertex **below = division->vertices[0], **above = division->vertices[1];
    fl_vertex **new_below = below + division->n[0], **new_above = above + division->n[1];
    const uint32_t *ends_below = division->ends[0], *ends_above = division->ends[1];
    char *to_below = memory[0], *to_above = memory[1];
    const size_t n_edges = division->n_edges;
    int different = 1;
    for (size_t e = 0; e < n_edges; e++) {
        const fl_vertex *a = below[ends_below[e]], *b = above[ends_above[e]];
        const double run = b->value - a->value;
        const uint64_t common = a->facets & b->facets;
        fl_vertex *u = new_below[e] = (fl_vertex *)to_below, *v = new_above[e] = (fl_vertex *)to_above;
        different &= common != a->facets;
        u->facets = v->facets = common | facet;
        put_between(d, a->point, b->point, (level - a->value) / run, u->point);
        put_between(d, b->point, a->point, (b->value + level) / run, v->point);
        to_below += fl_vertex_size(d);
        to_above += fl_vertex_size(d);
    }
    division->n[0] += n_edges;
    division->n[1] += n_edges;
    division->all_facets[0] |= facet;
    division->all_facets[1] |= facet;
    return different;
}

static void mean(size_t d, fl_vertex *const *vertices, size_t n, double *out)
{
    switch (d) {
#define MEAN(d) case d: mean_with(d, vertices, n, out); return;
    MEAN(3) MEAN(4) MEAN(5) MEAN(6)
#undef MEAN
    }
}

static int divide(size_t d, const fl_forms *forms, size_t at, double margin, fl_vertex *const *vertices,
                  size_t n, int wide, fl_division *division)
{
    switch (d) {
#define DIVIDE(d) \
    case d: \
        return wide ? divide_with(d, 1, forms, at, margin, vertices, n, division) \
                    : divide_with(d, 0, forms, at, margin, vertices, n, division);
    DIVIDE(3) DIVIDE(4) DIVIDE(5) DIVIDE(6)
#undef DIVIDE
    }
    return 0;
}

static int edges(size_t d, int wide, fl_division *division)
{
    return wide ? edges_with(d, 1, division) : edges_with(d, 0, division);
}

static int cross(size_t d, double level, uint64_t facet, char *const memory[2], fl_division *division)
{
    switch (d) {
#define CROSS(d) case d: return cross_with(d, level, facet, memory, division);
    CROSS(3) CROSS(4) CROSS(5) CROSS(6)
#undef CROSS
    }
    return 0;
}

/* The least of the lanes, and the first that has it. */
INLINE double least_lane(vec v, size_t *lane)
{
    double value[LANES];
    v_store(value, v);
    for (size_t n = LANES / 2; n; n /= 2)
        for (size_t i = 0; i < n; i++) value[i] = value[i + n] < value[i] ? value[i + n] : value[i];
    const uint32_t is_least = v_bits(v_at_most(v, v_set1(value[0])));
    *lane = is_least ? (size_t)__builtin_ctz(is_least) : 0;
    return value[0];
}

static double lowest(size_t d, const fl_forms *forms, const double *scales, const double *point,
                     size_t *which)
{
    vec least = v_set1(INFINITY), where = v_set1(0);
    for (size_t first = 0; first < forms->n; first += LANES) {
        const vec z = value_in_place(d, forms, first, point) + v_load(forms->slack + first);
        const size_t n_here = forms->n - first;
        const vmask here = v_mask(n_here < LANES ? (1u << n_here) - 1 : (1u << LANES) - 1);
        const vec scaled = v_select(here, z * v_load(scales + first), v_set1(INFINITY));
        where = v_select(v_positive(least - scaled), v_set1((double)first), where);
        least = v_min(scaled, least);
    }
    double block[LANES];
    size_t lane;
    const double value = least_lane(least, &lane);
    v_store(block, where);
    *which = (size_t)block[lane] + lane;
    return value;
}

/* Rates below this part of the steepest are not told from 0. */
#define LEAST_RATE 1e-9

static size_t cheapest(size_t n, size_t stride, const double *restrict row, const double *restrict edges,
                       double least_price, double *restrict rates)
{
    vec steepest = v_set1(0);
    for (size_t j = 0; j < stride; j += LANES) {
        vec rate = v_set1(0);
        for (size_t i = 0; i < n; i++) rate = v_fma(v_set1(row[i]), v_load(edges + i * stride + j), rate);
        v_store(rates + j, rate);
        steepest = v_max(rate, steepest);
    }
    size_t lane;
    const vec threshold = v_set1(-LEAST_RATE * least_lane(v_set1(0) - steepest, &lane));
    vec least = v_set1(INFINITY), where = v_set1(0);
    for (size_t j = 0; j < stride; j += LANES) {
        const vec rate = v_load(rates + j);
        const vec price = (v_set1(least_price) - v_load(edges + n * stride + j)) / rate;
        const vec cost = v_select(v_positive(rate - threshold), price, v_set1(INFINITY));
        where = v_select(v_positive(least - cost), v_set1((double)j), where);
        least = v_min(cost, least);
    }
    double block[LANES];
    if (!(least_lane(least, &lane) < INFINITY)) return stride;
    v_store(block, where);
    return (size_t)block[lane] + lane;
}

static void pivot(size_t n, size_t stride, double *restrict edges, double *restrict point,
                  const double *restrict rates, double z, size_t k)
{
    const double one_over = 1 / rates[k];
    for (size_t i = 0; i < n; i++) {
        const double change = edges[i * stride + k] * one_over;
        for (size_t j = 0; j < stride; j += LANES) {
            double *edge = edges + i * stride + j;
            v_store(edge, v_fma(v_set1(-change), v_load(rates + j), v_load(edge)));
        }
        edges[i * stride + k] = change;
        point[i] -= z * change;
    }
}

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

const fl_cell_kernels FL_CELL_TABLE(FL_ISA_NAME) = {
    .isa = TEXT(FL_ISA_NAME),
    .sides = sides,
    .sides_of_vertices = sides_of_vertices,
    .all_positive = all_positive,
    .add = add,
    .mean = mean,
    .divide = divide,
    .edges = edges,
    .cross = cross,
    .lowest = lowest,
    .cheapest = cheapest,
    .pivot = pivot,
};
