/* Cells on a line: intervals. As in the plane (cells_plane.c), an interval stands for what lies within rho of
   it, and each part is cut a slack beyond the fold. */
#include <float.h>
#include <math.h>

#include "walk.h"

struct fl_cell {
    double rho, ends[2];
    uint32_t cuts[2];          /* what made them */
};

static fl_status root(fl_walk *w, const fl_cell **out)
{
    const fl_cells *cells = w->cells;
    if (cells->d != 1 || cells->n_vertices != 2) return FL_UNDECIDED;
    fl_cell *interval = fl_stack_take(&w->stack, sizeof *interval);
    if (!interval) return FL_NO_MEMORY;
    *interval = (fl_cell){DBL_EPSILON, {cells->vertices[0], cells->vertices[1]}, {cells->facets[0], cells->facets[1]}};
    *out = interval;
    return FL_OK;
}

static fl_status sides(fl_walk *w, const fl_cell *interval, const fl_forms *forms, const uint64_t *todo,
                       fl_sides *out)
{
    w->cells->kernels->sides(1, forms, interval->ends, 2, interval->rho, todo, out, w->margins);
    return FL_OK;
}

/* The part with end `side`, cut where the form, z at the interval's ends, has the value `at`. */
static fl_cell *part(fl_walk *w, const fl_cell *interval, const double *z, int side, double at)
{
    fl_cell *out = fl_stack_take(&w->stack, sizeof *out);
    if (!out) return NULL;
    const double t = (z[side] - at) / (z[side] - z[!side]);
    *out = *interval;
    out->rho += FL_CUT_ERROR(1);
    out->ends[!side] = interval->ends[side] + t * (interval->ends[!side] - interval->ends[side]);
    out->cuts[!side] = (uint32_t)w->cuts.n;
    return out;
}

static fl_status split(fl_walk *w, const fl_cell *interval, const fl_forms *forms, size_t at, const fl_cell **below,
                       const fl_cell **above)
{
    const double slack = forms->slack[at] + interval->rho * forms->size[at];
    double z[2];
    for (int i = 0; i < 2; i++) {
        z[i] = forms->rows[at] * interval->ends[i] + forms->rows[forms->stride + at];
        if (!(fabs(z[i]) > slack)) return FL_UNDECIDED;
    }
    if ((z[0] > 0) == (z[1] > 0)) return FL_UNDECIDED;
    const int upper = z[1] > 0;
    if (below && !(*below = part(w, interval, z, !upper, slack))) return FL_NO_MEMORY;
    if (above && !(*above = part(w, interval, z, upper, -slack))) return FL_NO_MEMORY;
    return FL_OK;
}

static void point(const fl_walk *w, const fl_cell *interval, double *middle)
{
    (void)w;
    *middle = interval->ends[0] / 2 + interval->ends[1] / 2;
}

static fl_status describe(fl_walk *w, const fl_cell *interval, fl_cell_facts *facts)
{
    double *ends = fl_stack_take(&w->stack, 2 * sizeof(double));
    if (!ends) return FL_NO_MEMORY;
    for (int i = 0; i < 2; i++) {
        ends[i] = interval->ends[i];
        fl_move_to_corner(w, interval->cuts + i, ends + i);
    }
    *facts = (fl_cell_facts){2, 2, ends, interval->cuts, fabs(ends[1] - ends[0])};
    return FL_OK;
}

const fl_geometry fl_line_geometry = {.name = "sweep", .root = root, .sides = sides, .split = split,
                                      .point = point, .describe = describe};
