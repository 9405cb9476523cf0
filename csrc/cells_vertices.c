/* Cells in three to six dimensions: vertices, each known by a point and by the d cuts it lies on.

   Why the true cell C, where it has an interior, lies in the hull of the points. Write F_k for the cuts, so
   that F_k >= -e_k in C if e_k is the error of the form, g_k for its gradient, and N(v) for the cone of
   -sum y_k g_k, y >= 0, over the cuts k of a vertex v. It is enough that

   (1) every point lies beyond the cuts of its vertex, F_k(v) <= -e_k, and
   (2) the cones cover all of space.

   For if c is in N(v) and x in C, then c.(x - v) = -sum y_k (F_k(x) - F_k(v)) <= 0: no c separates x from
   all points. Nothing is asked about convexity, flat faces or well-conditioned vertices, which rounding
   spoils.

   (1) A new point lies between two others up to its rounding, so that F_k exceeds the larger of the values
   there by at most CUT_ROUNDING times size_k, for the cuts that the two share. Hence every cut is made as
   far beyond its fold as to last for all that may follow, see `reserve`; the domain is enlarged likewise,
   unless its facets bound one coordinate each, which between equal numbers is not rounded.

   (2) follows from counting mod 2. The cut sets of the vertices are the simplices of a complex. It is a
   cycle: every d - 1 cuts that occur do so an even number of times. Then all c, but for a set of measure 0,
   are in an even number of cones, or all are in an odd number (the degree of a map between spheres; by (1)
   no N(v) has a line in it, or C would have no interior); for the domain that is 1. A cut by F, gradient g,
   keeps the vertices K above, and adds one for each pair of a kept and a dropped vertex that share d - 1
   cuts, on these and the new cut. The shared sets are the boundary of K mod 2, and joined to the new cut
   they make K a cycle again, unless a kept and a dropped vertex have all cuts in common, which is checked.
   Near c = g, count: no new cone is there, and if a dropped one is, F <= F(v) < -e in C, so that nothing of
   C is above, and whatever is said of the part above holds. Otherwise the number is what it was, odd. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "volume.h"
#include "walk.h"

enum { MOST_FACETS = 64, LEAST_DIMENSION = 3, MOST_DIMENSION = 6 };

/* What rounding puts a point between two others off by, in units of reach_k: 5 operations on what is at most
   2 reach_k, and some room. */
#define CUT_ROUNDING (8 * FL_ROUNDOFF)

/* Vertices lie where they were made, and cells have lists of them. */
struct fl_cell {
    const fl_cell *parent;     /* null: this is the domain */
    uint32_t cut, place;       /* the facet that was added: its number, and its place in the sets */
    size_t n;
    fl_vertex **vertices;      /* [n] */
    uint64_t all_facets;       /* those that some vertex lies on */
    uint32_t *numbers;         /* [MOST_FACETS]: of the domain's facets, by place; null for others */
};

/* How far beyond its fold and its slack a cut is made, in units of its size: no path has more cuts. */
static double reserve(const fl_walk *w) { return CUT_ROUNDING * (double)(w->cells->n_neurons + 1); }

static double form_at(const fl_forms *forms, size_t at, size_t d, const double *point)
{
    double z = forms->rows[d * forms->stride + at];
    for (size_t k = 0; k < d; k++) z += forms->rows[k * forms->stride + at] * point[k];
    return z;
}

/* Between points with the same u_k, new ones have it too. */
static int is_bound_of_one_coordinate(const fl_forms *forms, size_t at, size_t d)
{
    size_t n_ones = 0, n_others = 0;
    for (size_t k = 0; k < d; k++) {
        const double m = fabs(forms->rows[k * forms->stride + at]);
        n_ones += m == 1;
        n_others += m != 1 && m != 0;
    }
    return n_ones == 1 && n_others == 0;
}

static int all_beyond_their_cuts(const fl_walk *w, const fl_cell *cell)
{
    const size_t d = w->cells->d;
    const fl_forms *domain = &w->cells->half_spaces;
    for (size_t i = 0; i < cell->n; i++)
        for (uint64_t set = cell->vertices[i]->facets; set; set &= set - 1) {
            const size_t k = cell->numbers[__builtin_ctzll(set)];
            const double z = form_at(domain, k, d, cell->vertices[i]->point);
            const int is_beyond = z <= -(domain->slack[k] + reserve(w) * domain->size[k]);
            if (!is_beyond && !(z == 0 && is_bound_of_one_coordinate(domain, k, d))) return 0;
        }
    return 1;
}

/* Moves the domain's vertices away from their mean until they lie beyond their cuts. */
static int enlarge(const fl_walk *w, fl_cell *cell)
{
    const size_t d = w->cells->d;
    const fl_forms *domain = &w->cells->half_spaces;
    double centre[MOST_DIMENSION], stretch = 0;
    w->cells->kernels->mean(d, cell->vertices, cell->n, centre);
    for (uint64_t set = cell->all_facets; set; set &= set - 1) {
        const size_t k = cell->numbers[__builtin_ctzll(set)];
        const double beyond = 2 * (domain->slack[k] + reserve(w) * domain->size[k]);
        const double inside = form_at(domain, k, d, centre);
        if (!(inside > 1024 * beyond)) return 0;
        stretch = fmax(stretch, beyond / inside);
    }
    for (size_t i = 0; i < cell->n; i++)
        for (size_t k = 0; k < d; k++)
            cell->vertices[i]->point[k] += stretch * (cell->vertices[i]->point[k] - centre[k]);
    return all_beyond_their_cuts(w, cell);
}

/* Whether every d - 1 facets of a vertex are facets of one other. */
static int is_simple(const fl_cell *cell, size_t d)
{
    for (size_t i = 0; i < cell->n; i++) {
        const uint64_t facets = cell->vertices[i]->facets;
        size_t n_neighbours = 0;
        for (size_t j = 0; j < cell->n; j++)
            n_neighbours += fl_popcount(facets & cell->vertices[j]->facets) == d - 1;
        if (n_neighbours != d || fl_popcount(facets) != d) return 0;
    }
    return 1;
}

/* Gives every half-space with a vertex a place in the sets. */
static int place_facets(const fl_cells *cells, fl_cell *cell)
{
    const size_t d = cells->d;
    size_t n = 0;
    for (size_t i = 0; i < cells->n_vertices; i++) {
        cell->vertices[i]->facets = 0;
        for (size_t k = 0; k < d; k++) {
            const uint32_t number = cells->facets[i * d + k];
            size_t place = 0;
            while (place < n && cell->numbers[place] != number) place++;
            if (place == MOST_FACETS) return 0;
            if (place == n) cell->numbers[n++] = number;
            cell->vertices[i]->facets |= UINT64_C(1) << place;
        }
    }
    cell->all_facets = n == MOST_FACETS ? UINT64_MAX : (UINT64_C(1) << n) - 1;
    return 1;
}

static fl_cell *take_root(fl_walk *w, size_t n)
{
    const size_t d = w->cells->d;
    fl_cell *cell = fl_stack_take(&w->stack, sizeof *cell);
    char *vertices = fl_stack_take(&w->stack, n * fl_vertex_size(d));
    fl_vertex **list = fl_stack_take(&w->stack, n * sizeof *list);
    uint32_t *numbers = fl_stack_take(&w->stack, MOST_FACETS * sizeof *numbers);
    if (!cell || !vertices || !list || !numbers) return NULL;
    for (size_t i = 0; i < n; i++) {
        list[i] = (fl_vertex *)(vertices + i * fl_vertex_size(d));
        if (d == 3) list[i]->point[3] = 0;
        memcpy(list[i]->point, w->cells->vertices + i * d, d * sizeof(double));
    }
    *cell = (fl_cell){.n = n, .vertices = list, .numbers = numbers};
    return cell;
}

static fl_status root(fl_walk *w, const fl_cell **out)
{
    const size_t d = w->cells->d, n = w->cells->n_vertices;
    if (d < LEAST_DIMENSION || d > MOST_DIMENSION || n <= d) return FL_UNDECIDED;
    fl_cell *cell = take_root(w, n);
    if (!cell) return FL_NO_MEMORY;
    if (!place_facets(w->cells, cell) || !is_simple(cell, d)) return FL_UNDECIDED;
    if (!all_beyond_their_cuts(w, cell) && !enlarge(w, cell)) return FL_UNDECIDED;
    *out = cell;
    return FL_OK;
}

/* What the cuts lie beyond their folds must not pass for points on the other side: hence twice. */
static fl_status sides(fl_walk *w, const fl_cell *cell, const fl_forms *forms, const uint64_t *todo,
                       fl_sides *out)
{
    const fl_cells *cells = w->cells;
    cells->kernels->sides_of_vertices(cells->d, forms, cell->vertices, cell->n, 2 * reserve(w), todo, out,
                                      w->margins);
    return FL_OK;
}

/* Memory for the division of n vertices. There are at most d edges from every vertex of the smaller side. */
static int take_division(fl_walk *w, size_t n, fl_division *division)
{
    const size_t most_edges = n / 2 * w->cells->d, n_sets = n + FL_SET_LANES;
    for (int side = 0; side < 2; side++) {
        division->vertices[side] = fl_stack_take(&w->stack, (n + most_edges) * sizeof(fl_vertex *));
        division->low[side] = fl_stack_take(&w->stack, (2 * n_sets + most_edges + 2) * sizeof(uint32_t));
        if (!division->vertices[side] || !division->low[side]) return 0;
        division->high[side] = division->low[side] + n_sets;
        division->ends[side] = division->high[side] + n_sets;
    }
    return 1;
}

static fl_cell *take_part(fl_walk *w, const fl_cell *parent, const fl_division *division, int side,
                          uint32_t place)
{
    fl_cell *part = fl_stack_take(&w->stack, sizeof *part);
    if (!part) return NULL;
    *part = (fl_cell){.parent = parent, .cut = (uint32_t)w->cuts.n, .place = place, .n = division->n[side],
                      .vertices = division->vertices[side], .all_facets = division->all_facets[side]};
    return part;
}

static fl_status split(fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at,
                       const fl_cell **below, const fl_cell **above)
{
    const size_t d = w->cells->d;
    const fl_cell_kernels *kernels = w->cells->kernels;
    const double level = forms->slack[at] + reserve(w) * forms->size[at];
    const double margin = level + reserve(w) * forms->size[at];
    if (cell->all_facets == UINT64_MAX) return FL_UNDECIDED;
    const uint32_t place = (uint32_t)__builtin_ctzll(~cell->all_facets);
    const int wide = cell->all_facets >> 32 != 0;
    fl_division division;
    if (!take_division(w, cell->n, &division)) return FL_NO_MEMORY;
    if (!kernels->divide(d, forms, at, margin, cell->vertices, cell->n, wide, &division)) return FL_UNDECIDED;
    if (!kernels->edges(d, wide, &division)) return FL_UNDECIDED;
    const size_t size = division.n_edges * fl_vertex_size(d);
    char *memory[2] = {fl_stack_take(&w->stack, size), fl_stack_take(&w->stack, size)};
    if (!memory[0] || !memory[1]) return FL_NO_MEMORY;
    if (!kernels->cross(d, level, UINT64_C(1) << place, memory, &division)) return FL_UNDECIDED;
    if (below && !(*below = take_part(w, cell, &division, 0, place))) return FL_NO_MEMORY;
    if (above && !(*above = take_part(w, cell, &division, 1, place))) return FL_NO_MEMORY;
    return FL_OK;
}

static void point(const fl_walk *w, const fl_cell *cell, double *mean)
{
    w->cells->kernels->mean(w->cells->d, cell->vertices, cell->n, mean);
}

/* The mean m is in one part. In the other is the middle, by the form, between the fold and a vertex v there,
   on the way from m to v. */
static void points_of_parts(const fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at,
                            double *below, double *above)
{
    const size_t d = w->cells->d;
    double mean[MOST_DIMENSION];
    point(w, cell, mean);
    const double z_mean = form_at(forms, at, d, mean);
    const double *vertex = cell->vertices[0]->point;
    double z = form_at(forms, at, d, vertex);
    for (size_t i = 1; i < cell->n && (z > 0) == (z_mean > 0); i++) {
        vertex = cell->vertices[i]->point;
        z = form_at(forms, at, d, vertex);
    }
    const double t = (z_mean - z / 2) / (z_mean - z);
    double *here = z_mean > 0 ? above : below, *there = z_mean > 0 ? below : above;
    for (size_t k = 0; k < d; k++) {
        here[k] = mean[k];
        there[k] = mean[k] + t * (vertex[k] - mean[k]);
    }
}

/* A place belongs to the last cut that took it. */
static void find_cuts(const fl_cell *cell, uint32_t *by_place)
{
    uint64_t left = cell->all_facets;
    const fl_cell *c = cell;
    for (; c->parent; c = c->parent)
        if (left >> c->place & 1) {
            by_place[c->place] = c->cut;
            left &= ~(UINT64_C(1) << c->place);
        }
    for (; left; left &= left - 1) by_place[__builtin_ctzll(left)] = c->numbers[__builtin_ctzll(left)];
}

static fl_status describe(fl_walk *w, const fl_cell *cell, fl_cell_facts *facts)
{
    const size_t d = w->cells->d;
    uint32_t *by_place = fl_stack_take(&w->stack, MOST_FACETS * sizeof(uint32_t));
    uint32_t *numbers = fl_stack_take(&w->stack, MOST_FACETS * sizeof(uint32_t));
    double *points = fl_stack_take(&w->stack, cell->n * d * sizeof(double));
    fl_vertex **vertices = fl_stack_take(&w->stack, cell->n * sizeof *vertices);
    char *memory = fl_stack_take(&w->stack, cell->n * fl_vertex_size(d));
    if (!by_place || !numbers || !points || !vertices || !memory) return FL_NO_MEMORY;
    find_cuts(cell, by_place);
    for (size_t i = 0; i < cell->n; i++, memory += fl_vertex_size(d)) {
        uint32_t cuts[MOST_DIMENSION];
        size_t n = 0;
        vertices[i] = memcpy(memory, cell->vertices[i], fl_vertex_size(d));
        for (uint64_t set = vertices[i]->facets; set; set &= set - 1) cuts[n++] = by_place[__builtin_ctzll(set)];
        fl_move_to_corner(w, cuts, vertices[i]->point);
        memcpy(points + i * d, vertices[i]->point, d * sizeof(double));
    }
    size_t n = 0;
    for (uint64_t left = cell->all_facets; left; left &= left - 1) numbers[n++] = by_place[__builtin_ctzll(left)];
    *facts = (fl_cell_facts){cell->n, n, points, numbers, 0};
    return fl_simple_volume(&w->stack, d, vertices, cell->n, &facts->volume);
}

const fl_geometry fl_vertices_geometry = {.name = "vertices", .root = root, .sides = sides, .split = split,
                                          .point = point, .points_of_parts = points_of_parts,
                                          .describe = describe};
