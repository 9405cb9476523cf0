/* Cells in the plane: polygons.

   With P the region that the polygon's edges enclose, rho what its vertices are off by and C the true cell,
   C lies in P + ball(rho). A form's values at the vertices bound it on P. Where it cuts, each part is cut a
   slack beyond the fold: what of C lies above has F >= -slack, so it stays in the part above, and the new
   vertices, which are rounded, only add their rounding to rho. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "walk.h"

struct fl_cell {
    size_t n;
    double rho;
    double *vertices;          /* [n][2], counterclockwise */
    uint32_t *edges;           /* [n]: the cut that made the edge to the next vertex */
};

static fl_cell *new_polygon(fl_walk *w, size_t n, double rho)
{
    const size_t head = (sizeof(fl_cell) + sizeof(double) - 1) / sizeof(double) * sizeof(double);
    char *memory = fl_stack_take(&w->stack, head + n * (2 * sizeof(double) + sizeof(uint32_t)));
    if (!memory) return NULL;
    fl_cell *polygon = (fl_cell *)memory;
    polygon->n = n;
    polygon->rho = rho;
    polygon->vertices = (double *)(memory + head);
    polygon->edges = (uint32_t *)(memory + head + n * 2 * sizeof(double));
    return polygon;
}

static fl_status root(fl_walk *w, const fl_cell **out)
{
    const fl_cells *cells = w->cells;
    const size_t n = cells->n_vertices;
    if (cells->d != 2 || n < 3) return FL_UNDECIDED;
    fl_cell *polygon = new_polygon(w, n, DBL_EPSILON);
    if (!polygon) return FL_NO_MEMORY;
    memcpy(polygon->vertices, cells->vertices, n * 2 * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        const uint32_t *here = cells->facets + 2 * i, *next = cells->facets + 2 * ((i + 1) % n);
        polygon->edges[i] = here[0] == next[0] || here[0] == next[1] ? here[0] : here[1];
    }
    *out = polygon;
    return FL_OK;
}

static fl_status sides(fl_walk *w, const fl_cell *polygon, const fl_forms *forms, const uint64_t *todo,
                       fl_sides *out)
{
    w->cells->kernels->sides(2, forms, polygon->vertices, polygon->n, polygon->rho, todo, out, w->margins);
    return FL_OK;
}

/* The point between a and b where the form, za > 0 at a and zb < 0 at b, has the value z. */
static void crossing(const double *a, const double *b, double za, double zb, double z, double *point)
{
    const double t = (za - z) / (za - zb);
    point[0] = a[0] + t * (b[0] - a[0]);
    point[1] = a[1] + t * (b[1] - a[1]);
}

/* From vertex `first`, the n that are on one side; the edges before and after them are cut. */
static fl_cell *part(fl_walk *w, const fl_cell *polygon, const double *z, size_t first, size_t n, double at)
{
    fl_cell *out = new_polygon(w, n + 2, polygon->rho + FL_CUT_ERROR(2));
    if (!out) return NULL;
    const size_t all = polygon->n, before = (first ? first : all) - 1;
    size_t i = first, last = first;
    for (size_t k = 0; k < n; k++) {
        memcpy(out->vertices + 2 * (k + 1), polygon->vertices + 2 * i, 2 * sizeof(double));
        out->edges[k + 1] = polygon->edges[i];
        last = i;
        i = i + 1 == all ? 0 : i + 1;
    }
    const double *v = polygon->vertices;
    crossing(v + 2 * first, v + 2 * before, z[first], z[before], at, out->vertices);
    crossing(v + 2 * last, v + 2 * i, z[last], z[i], at, out->vertices + 2 * (n + 1));
    out->edges[0] = polygon->edges[before];
    out->edges[n + 1] = (uint32_t)w->cuts.n;
    return out;
}

static fl_status split(fl_walk *w, const fl_cell *polygon, const fl_forms *forms, size_t at, const fl_cell **below,
                       const fl_cell **above)
{
    const size_t n = polygon->n;
    const double mx = forms->rows[at], my = forms->rows[forms->stride + at], c = forms->rows[2 * forms->stride + at];
    const double slack = forms->slack[at] + polygon->rho * forms->size[at];
    double *z = fl_stack_take(&w->stack, n * sizeof(double));
    if (!z) return FL_NO_MEMORY;
    size_t n_above = 0, n_changes = 0, first_above = 0, first_below = 0;
    for (size_t i = 0; i < n; i++) {
        z[i] = mx * polygon->vertices[2 * i] + (my * polygon->vertices[2 * i + 1] + c);
        if (!(fabs(z[i]) > slack)) return FL_UNDECIDED;
        n_above += z[i] > 0;
    }
    for (size_t i = 0, before = n - 1; i < n; before = i++) {
        if ((z[i] > 0) == (z[before] > 0)) continue;
        n_changes++;
        *(z[i] > 0 ? &first_above : &first_below) = i;
    }
    if (n_changes != 2) return FL_UNDECIDED;
    if (below && !(*below = part(w, polygon, z, first_below, n - n_above, slack))) return FL_NO_MEMORY;
    if (above && !(*above = part(w, polygon, z, first_above, n_above, -slack))) return FL_NO_MEMORY;
    return FL_OK;
}

static void point(const fl_walk *w, const fl_cell *polygon, double *mean)
{
    (void)w;
    mean[0] = mean[1] = 0;
    for (size_t i = 0; i < polygon->n; i++) {
        mean[0] += polygon->vertices[2 * i];
        mean[1] += polygon->vertices[2 * i + 1];
    }
    const double share = 1 / (double)polygon->n;
    mean[0] *= share;
    mean[1] *= share;
}

/* By triangles over the first vertex: differences keep the digits of small polygons. */
static double area(const double *v, size_t n)
{
    double twice = 0;
    for (size_t i = 2; i < n; i++) {
        const double *a = v + 2 * (i - 1), *b = v + 2 * i;
        twice += (a[0] - v[0]) * (b[1] - v[1]) - (a[1] - v[1]) * (b[0] - v[0]);
    }
    return twice / 2;
}

static fl_status describe(fl_walk *w, const fl_cell *polygon, fl_cell_facts *facts)
{
    const size_t n = polygon->n;
    double *vertices = fl_stack_take(&w->stack, n * 2 * sizeof(double));
    if (!vertices) return FL_NO_MEMORY;
    memcpy(vertices, polygon->vertices, n * 2 * sizeof(double));
    for (size_t i = 0, before = n - 1; i < n; before = i++) {
        const uint32_t cuts[2] = {polygon->edges[before], polygon->edges[i]};
        fl_move_to_corner(w, cuts, vertices + 2 * i);
    }
    *facts = (fl_cell_facts){n, n, vertices, polygon->edges, area(vertices, n)};
    return FL_OK;
}

const fl_geometry fl_plane_geometry = {.name = "polygons", .root = root, .sides = sides, .split = split,
                                       .point = point, .describe = describe};
