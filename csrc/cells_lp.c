/* Cells in any dimension: half-spaces, and points inside.

   A cell is the half-spaces of the walk's path. Points at which all of them are certain are kept with it;
   they show, for most forms, that one side is there, and often both. For a side on which no point lies, the
   form is maximised (lp.h): either a bound proves that the side is missing, or a vertex lies there, and a
   point on the way from the middle of the cell to the vertex shows the side and joins the others. The
   corner where a form was largest is where the search begins once further half-spaces have cut the cell:
   most of the time a few steps then suffice. */
#include <math.h>
#include <string.h>

#include "lp.h"
#include "walk.h"

enum {
    MOST_POINTS = 32,          /* that a part takes over from the cell it is cut from */
    LARGEST_KEPT = 32          /* dimensions; beyond, corners are too large to keep */
};

/* Of the way to a half-space's boundary: where describe looks beyond it. */
#define LITTLE_BEYOND (1 + 0x1p-10)

enum { BELOW, ABOVE };

/* What all cells of a walk share. */
typedef struct {
    fl_lp lp;
    double *scales;            /* [cuts->n]: lp.scales */
    double *form, *middle;     /* [d + 1], [d]: room to work in */
    fl_lp_corner corner;
    /* What describe works in: [cuts->n], [d], [d], [cuts->n]. */
    double *scales_left, *low, *high;
    uint32_t *facets;
} workshop;

/* What is known of a cell: it grows while the cell is asked. */
typedef struct {
    size_t n_points;
    double *points;            /* [n_points][d]: inside, proved */
    /* [n][2]: where the forms of a list were largest BELOW and ABOVE 0, in this cell or in one that it is a
       part of; null: not known. */
    const fl_lp_corner **corners;
    const double *list;        /* the rows of the forms that the cell was cut by: the list that is meant */
} findings;

struct fl_cell {
    workshop *shop;
    findings *found;
};

static double value_at(const double *form, const double *point, size_t d)
{
    double z = form[d];
    for (size_t k = 0; k < d; k++) z += form[k] * point[k];
    return z;
}

/* `row` becomes a form of many, turned by a sign. */
static fl_lp_form take_form(const fl_forms *forms, size_t at, double sign, size_t d, double *row)
{
    for (size_t k = 0; k <= d; k++) row[k] = sign * forms->rows[k * forms->stride + at];
    return (fl_lp_form){row, forms->slack[at], forms->size[at]};
}

/* 1 / |gradient| with the reaches for units, or 0 where that is no number. */
static double scale_of(const fl_forms *forms, size_t at, const double *reach, size_t d)
{
    double largest = 0, sum = 0;
    for (size_t k = 0; k < d; k++)
        largest = fmax(largest, fabs(forms->rows[k * forms->stride + at]) * reach[k]);
    if (largest == 0) return 0;
    for (size_t k = 0; k < d; k++) {
        const double m = forms->rows[k * forms->stride + at] * reach[k] / largest;
        sum += m * m;
    }
    const double scale = 1 / largest / sqrt(sum);
    return isfinite(scale) ? scale : 0;
}

static fl_lp_corner *new_corner(fl_walk *w)
{
    const size_t d = w->cells->d;
    fl_lp_corner *corner = fl_stack_take(&w->stack, sizeof *corner);
    void *memory = fl_stack_take(&w->stack, fl_lp_corner_size(d));
    if (!corner || !memory) return NULL;
    *corner = fl_lp_corner_in(memory, d);
    return corner;
}

static fl_cell *new_cell(fl_walk *w, workshop *shop, size_t most_points)
{
    fl_cell *cell = fl_stack_take(&w->stack, sizeof *cell);
    findings *found = fl_stack_take(&w->stack, sizeof *found);
    double *points = fl_stack_take(&w->stack, most_points * w->cells->d * sizeof(double));
    if (!cell || !found || !points) return NULL;
    *found = (findings){.points = points};
    *cell = (fl_cell){shop, found};
    return cell;
}

/* The box of |u_k| <= reach_k, and of the half-spaces that are bounds of a coordinate. */
static void bound_coordinates(const fl_cells *cells, double *low, double *high)
{
    const size_t d = cells->d;
    const fl_forms *domain = &cells->half_spaces;
    for (size_t k = 0; k < d; k++) {
        low[k] = -cells->reach[k];
        high[k] = cells->reach[k];
    }
    for (size_t i = 0; i < domain->n; i++) {
        const double c = domain->rows[d * domain->stride + i];
        size_t n = 0, k = 0;
        for (size_t other = 0; other < d; other++)
            if (domain->rows[other * domain->stride + i] != 0) n++, k = other;
        const double m = n == 1 ? domain->rows[k * domain->stride + i] : 0;
        if (m == 1) low[k] = fmax(low[k], -c);
        if (m == -1) high[k] = fmin(high[k], c);
    }
}

static int is_over(void *context)
{
    fl_walk *w = context;
    const fl_cell_limits *limits = w->limits;
    if (!w->is_over)
        w->is_over = fl_seconds_now() > w->end_at || (limits->interrupted && limits->interrupted(limits->context));
    return w->is_over;
}

static workshop *new_workshop(fl_walk *w)
{
    const size_t d = w->cells->d, stride = fl_padded(d);
    workshop *shop = fl_stack_take(&w->stack, sizeof *shop);
    double *scales = fl_stack_take(&w->stack, 2 * w->cuts.stride * sizeof(double));
    double *rates = fl_stack_take(&w->stack, 6 * stride * sizeof(double));
    uint32_t *facets = fl_stack_take(&w->stack, w->cuts.stride * sizeof(uint32_t));
    double *rows = fl_stack_take(&w->stack, 2 * (d + 1) * sizeof(double));
    void *corner = fl_stack_take(&w->stack, fl_lp_corner_size(d));
    if (!shop || !scales || !rates || !facets || !rows || !corner) return NULL;
    *shop = (workshop){.lp = {.kernels = w->cells->kernels, .d = d, .stride = stride, .low = rates + stride,
                              .high = rates + 2 * stride, .cuts = &w->cuts, .scales = scales, .row = rows,
                              .rates = rates, .is_over = is_over, .context = w},
                       .form = rows + d + 1, .middle = rates + 3 * stride,
                       .corner = fl_lp_corner_in(corner, d), .scales = scales,
                       .scales_left = scales + w->cuts.stride, .low = rates + 4 * stride,
                       .high = rates + 5 * stride, .facets = facets};
    for (size_t i = 0; i < w->cuts.stride; i++)
        scales[i] = i < w->cuts.n ? scale_of(&w->cuts, i, w->cells->reach, d) : 0;
    bound_coordinates(w->cells, shop->lp.low, shop->lp.high);
    return shop;
}

static void mean_of(const double *points, size_t n, size_t d, double *mean)
{
    memset(mean, 0, d * sizeof(double));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++) mean[k] += points[i * d + k];
    for (size_t k = 0; k < d; k++) mean[k] /= (double)n;
}

/* The mean of vertices where each half-space is largest, which is inside if anything is. */
static int find_middle(const fl_walk *w, workshop *shop, double *middle)
{
    const size_t d = w->cells->d, n = w->cuts.n;
    memset(middle, 0, d * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        const fl_lp_form form = take_form(&w->cuts, i, 1, d, shop->form);
        double bound;
        fl_lp_start(&shop->lp, &form, &shop->corner);
        if (fl_lp_maximise(&shop->lp, &form, &shop->corner, &bound) != FL_LP_ABOVE) return 0;
        for (size_t k = 0; k < d; k++) middle[k] += shop->corner.point[k] / (double)n;
    }
    return w->cells->kernels->all_positive(d, &w->cuts, middle);
}

static fl_status root(fl_walk *w, const fl_cell **out)
{
    const size_t d = w->cells->d;
    workshop *shop = new_workshop(w);
    if (!shop) return FL_NO_MEMORY;
    fl_cell *cell = new_cell(w, shop, 1);
    if (!cell) return FL_NO_MEMORY;
    double *middle = cell->found->points;
    for (size_t k = 0; k < d; k++) middle[k] = shop->lp.low[k] / 2 + shop->lp.high[k] / 2;
    cell->found->n_points = 1;
    *out = cell;
    if (w->cells->kernels->all_positive(d, &w->cuts, middle)) return FL_OK;
    return find_middle(w, shop, middle) ? FL_OK : FL_UNDECIDED;
}

/* A point between the middle of a cell and a vertex where a form is positive, at half its value there. */
static int point_towards(const fl_walk *w, const double *middle, const fl_lp_form *form, const double *vertex,
                         double *point)
{
    const size_t d = w->cells->d;
    const double top = vertex[d], bottom = value_at(form->row, middle, d);
    const double t = fmin(fmax((top / 2 - bottom) / (top - bottom), 0.5), 1);
    for (size_t k = 0; k < d; k++) point[k] = middle[k] + t * (vertex[k] - middle[k]);
    return value_at(form->row, point, d) > form->slack && w->cells->kernels->all_positive(d, &w->cuts, point);
}

/* The middle of the part of a cell that a form cuts off: for parts so small that points on the way to them
   get stuck at their rim. */
static int point_in_part(fl_walk *w, workshop *shop, const fl_forms *forms, size_t at, double sign,
                         double *point)
{
    shop->scales[w->cuts.n] = scale_of(forms, at, w->cells->reach, w->cells->d);
    fl_push_cut(w, forms, at, sign, FL_NO_BIT);
    const int is_found = find_middle(w, shop, point);
    w->cuts.n--;
    return is_found;
}

/* Whether a form comes above 0 in a cell. If it does, `point` is inside and shows it, and the corner is the
   vertex where it is largest; *corner comes as a corner to begin at, or null. */
static fl_status look_above(fl_walk *w, workshop *shop, const fl_forms *forms, size_t at, double sign,
                            const fl_lp_corner **corner, double *point, int *is_there)
{
    const size_t d = w->cells->d;
    const fl_lp_form form = take_form(forms, at, sign, d, shop->form);
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    fl_lp_corner *here = new_corner(w);
    if (!here) return FL_NO_MEMORY;
    if (*corner) fl_lp_copy(*corner, d, here);
    else fl_lp_start(&shop->lp, &form, here);
    double bound = 0;
    const fl_lp_answer answer = fl_lp_maximise(&shop->lp, &form, here, &bound);
    *is_there = answer == FL_LP_ABOVE && (point_towards(w, shop->middle, &form, here->point, point) ||
                                          point_in_part(w, shop, forms, at, sign, point));
    *corner = *is_there && d <= LARGEST_KEPT ? here : NULL;
    if (!*corner) fl_stack_back_to(&w->stack, mark);
    if (answer == FL_LP_NOT_ABOVE) w->margins[0] = fmin(w->margins[0], -bound);
    return *is_there || answer == FL_LP_NOT_ABOVE ? FL_OK : FL_UNDECIDED;
}

/* On which sides of forms a cell was seen to be: bits for the forms. */
typedef struct {
    size_t n_words;
    uint64_t *on[2];
    fl_sides room;
} sightings;

static int new_sightings(fl_walk *w, size_t n_forms, sightings *seen)
{
    const size_t n = seen->n_words = fl_words(n_forms);
    uint64_t *masks = fl_stack_take(&w->stack, 5 * n * sizeof(uint64_t));
    if (!masks) return 0;
    memset(masks, 0, 2 * n * sizeof(uint64_t));
    seen->on[BELOW] = masks;
    seen->on[ABOVE] = masks + n;
    seen->room = (fl_sides){masks + 2 * n, masks + 3 * n, masks + 4 * n};
    return 1;
}

static void see(const fl_walk *w, const fl_forms *forms, const double *points, size_t n_points,
                const uint64_t *todo, sightings *seen)
{
    double margins[FL_CELL_LANES] = {0};
    w->cells->kernels->sides(w->cells->d, forms, points, n_points, 0, todo, &seen->room, margins);
    for (size_t i = 0; i < seen->n_words; i++) {
        seen->on[BELOW][i] |= seen->room.inactive[i] | seen->room.crossing[i];
        seen->on[ABOVE][i] |= seen->room.active[i] | seen->room.crossing[i];
    }
}

/* Corners for a list of forms: those that were found in the cell this is a part of, or none. */
static const fl_lp_corner **new_corners(fl_walk *w, const findings *found, const fl_forms *forms)
{
    const size_t n = 2 * forms->n;
    const fl_lp_corner **corners = fl_stack_take(&w->stack, n * sizeof *corners);
    if (!corners) return NULL;
    if (found->list == forms->rows) memcpy(corners, found->corners, n * sizeof *corners);
    else for (size_t i = 0; i < n; i++) corners[i] = NULL;
    return corners;
}

/* The forms that cross a cell at a layer's entry become the list that its parts are asked about. */
static void keep_corners_of(const uint64_t *crossing, size_t n_words, const fl_lp_corner **corners)
{
    size_t n = 0;
    for (size_t i = 0; i < n_words; i++)
        for (uint64_t bits = crossing[i]; bits; bits &= bits - 1, n++) {
            const size_t at = i * 64 + (size_t)__builtin_ctzll(bits);
            memmove(corners + 2 * n, corners + 2 * at, 2 * sizeof *corners);
        }
}

static fl_status sides(fl_walk *w, const fl_cell *cell, const fl_forms *forms, const uint64_t *todo,
                       fl_sides *out)
{
    const size_t d = w->cells->d, n_words = fl_words(forms->n);
    findings *found = cell->found;
    size_t n_todo = 0;
    for (size_t i = 0; i < n_words; i++) {
        n_todo += fl_popcount(todo[i]);
        out->inactive[i] = out->active[i] = out->crossing[i] = 0;
    }
    if (n_todo) {
        sightings seen;
        double *points = fl_stack_take(&w->stack, (found->n_points + 2 * n_todo) * d * sizeof(double));
        const fl_lp_corner **corners = new_corners(w, found, forms);
        if (!points || !corners || !new_sightings(w, forms->n, &seen)) return FL_NO_MEMORY;
        memcpy(points, found->points, found->n_points * d * sizeof(double));
        found->points = points;
        mean_of(points, found->n_points, d, cell->shop->middle);
        see(w, forms, points, found->n_points, todo, &seen);
        for (size_t i = 0; i < n_words; i++)
            for (uint64_t bits = todo[i]; bits; bits &= bits - 1) {
                const uint64_t bit = bits & (0 - bits);
                const size_t at = i * 64 + (size_t)__builtin_ctzll(bits);
                for (int side = ABOVE; side >= BELOW; side--) {
                    if (seen.on[side][i] & bit) continue;
                    double *point = points + found->n_points * d;
                    int is_there;
                    const fl_status status = look_above(w, cell->shop, forms, at, side == ABOVE ? 1 : -1,
                                                        corners + 2 * at + side, point, &is_there);
                    if (status) return status;
                    if (!is_there) {
                        (side == ABOVE ? out->inactive : out->active)[i] |= bit;
                        break;
                    }
                    found->n_points++;
                    see(w, forms, point, 1, todo, &seen);
                }
                out->crossing[i] |= bit & ~(out->inactive[i] | out->active[i]);
            }
        if (found->list != forms->rows) keep_corners_of(out->crossing, n_words, corners);
        found->corners = corners;
    }
    return FL_OK;
}

/* The part on one side of a form, with the points there, the latest first. */
static fl_status part(fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at, double sign,
                      const fl_cell **out)
{
    const size_t d = w->cells->d;
    const findings *whole = cell->found;
    const fl_lp_form form = take_form(forms, at, sign, d, cell->shop->form);
    fl_cell *new = new_cell(w, cell->shop, MOST_POINTS);
    if (!new) return FL_NO_MEMORY;
    findings *found = new->found;
    for (size_t i = whole->n_points; i-- > 0 && found->n_points < MOST_POINTS;) {
        const double *point = whole->points + i * d;
        if (!(value_at(form.row, point, d) > form.slack)) continue;
        memcpy(found->points + found->n_points++ * d, point, d * sizeof(double));
    }
    found->corners = whole->corners;
    found->list = forms->rows;
    *out = new;
    return found->n_points ? FL_OK : FL_UNDECIDED;
}

static fl_status split(fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at,
                       const fl_cell **below, const fl_cell **above)
{
    const fl_cell *lower = NULL, *upper = NULL;
    cell->shop->scales[w->cuts.n] = scale_of(forms, at, w->cells->reach, w->cells->d);
    fl_status status = below ? part(w, cell, forms, at, -1, &lower) : FL_OK;
    if (status == FL_OK && above) status = part(w, cell, forms, at, 1, &upper);
    if (status) return status;
    if (below) *below = lower;
    if (above) *above = upper;
    return FL_OK;
}

static void point(const fl_walk *w, const fl_cell *cell, double *out)
{
    const size_t d = w->cells->d;
    const findings *found = cell->found;
    mean_of(found->points, found->n_points, d, out);
    if (!w->cells->kernels->all_positive(d, &w->cuts, out)) memcpy(out, found->points, d * sizeof(double));
}

/* Whether a cut, which is disregarded, is all that keeps a cell from reaching beyond it: a little beyond
   the nearest point of the cut, or by its largest value there. */
static int makes_facet(const fl_walk *w, const fl_lp *lp, workshop *shop, size_t cut)
{
    const size_t d = lp->d;
    const fl_lp_form beyond = take_form(&w->cuts, cut, -1, d, shop->form);
    const double scale = shop->scales[cut], *reach = w->cells->reach;
    const double step = LITTLE_BEYOND * value_at(beyond.row, shop->middle, d) * scale;
    double *point = shop->corner.point;
    for (size_t k = 0; k < d; k++)
        point[k] = shop->middle[k] - step * (scale * beyond.row[k] * reach[k]) * reach[k];
    size_t which;
    if (lp->kernels->lowest(d, &w->cuts, lp->scales, point, &which) >= 0) return 1;
    double bound;
    fl_lp_start(lp, &beyond, &shop->corner);
    return fl_lp_maximise(lp, &beyond, &shop->corner, &bound) == FL_LP_ABOVE;
}

/* No vertices. A cut makes a facet where, without it, the cell would be larger; a cut that makes none is not
   looked at any more, so that of two that say the same one remains. For a half-space of the domain the box
   is made wider, so that none of its faces stands in for the half-space. */
static fl_status describe(fl_walk *w, const fl_cell *cell, fl_cell_facts *facts)
{
    workshop *shop = cell->shop;
    const size_t d = w->cells->d;
    fl_lp lp = shop->lp;
    lp.low = shop->low;
    lp.high = shop->high;
    lp.scales = shop->scales_left;
    memcpy(lp.scales, shop->scales, w->cuts.n * sizeof(double));
    mean_of(cell->found->points, cell->found->n_points, d, shop->middle);
    *facts = (fl_cell_facts){.facets = shop->facets, .volume = NAN};
    for (size_t i = 0; i < w->cuts.n && !w->is_over; i++) {
        for (size_t k = 0; k < d; k++) {
            const double low = shop->lp.low[k], high = shop->lp.high[k];
            const int is_bound = i < w->cells->half_spaces.n && w->cuts.rows[k * w->cuts.stride + i] != 0;
            lp.low[k] = is_bound ? low - (high - low) : low;
            lp.high[k] = is_bound ? high + (high - low) : high;
        }
        lp.scales[i] = 0;
        if (shop->scales[i] == 0 || !makes_facet(w, &lp, shop, i)) continue;
        lp.scales[i] = shop->scales[i];
        shop->facets[facts->n_facets++] = (uint32_t)i;
    }
    return w->is_over ? FL_UNDECIDED : FL_OK;
}

const fl_geometry fl_lp_geometry = {.name = "lp", .root = root, .sides = sides, .split = split,
                                    .point = point, .describe = describe};
