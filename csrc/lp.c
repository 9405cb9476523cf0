#include "lp.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    MOST_PIVOTS = 100,         /* from a given corner, and MOST_PIVOTS_A_DIMENSION more */
    MOST_PIVOTS_A_DIMENSION = 10,
    STALE = 200,               /* pivots after which a corner's rounding errors call for a new start */
    LARGE = 64,                /* dimensions; from there on somebody may lose patience, */
    PIVOTS_A_LOOK = 16         /* and is asked so often */
};

size_t fl_lp_corner_size(size_t d)
{
    return (fl_padded(d + 1) + (d + 1) * fl_padded(d)) * sizeof(double) + fl_padded(d) * sizeof(uint32_t);
}

fl_lp_corner fl_lp_corner_in(void *memory, size_t d)
{
    fl_lp_corner corner = {.point = memory};
    corner.edges = corner.point + fl_padded(d + 1);
    corner.tight = (uint32_t *)(corner.edges + (d + 1) * fl_padded(d));
    return corner;
}

void fl_lp_start(const fl_lp *lp, const fl_lp_form *form, fl_lp_corner *corner)
{
    const size_t d = lp->d, stride = lp->stride;
    memset(corner->edges, 0, (d + 1) * stride * sizeof(double));
    double value = form->row[d];
    for (size_t k = 0; k < d; k++) {
        const double m = form->row[k], width = lp->high[k] - lp->low[k];
        corner->point[k] = m < 0 ? lp->low[k] : lp->high[k];
        corner->edges[k * stride + k] = m < 0 ? width : -width;
        corner->edges[d * stride + k] = -fabs(m) * width;
        corner->tight[k] = FL_LP_BOX;
        value += m * corner->point[k];
    }
    corner->point[d] = value;
    corner->n_pivots = 0;
}

void fl_lp_copy(const fl_lp_corner *from, size_t d, fl_lp_corner *to)
{
    memcpy(to->point, from->point, fl_lp_corner_size(d));
    to->n_pivots = from->n_pivots;
}

/* What a corner proves (Neumaier and Shcherbina, 2004). For any y >= 0, with F the form and G_i the
   half-spaces as computed, and r, h the coefficients of F + sum y_i G_i,

       f <= F + slack + sum y_i (G_i + slack_i)
         <= h + sum max(r_k low_k, r_k high_k) + slack + sum y_i slack_i

   in the true cell. A coefficient takes 2 d operations, so all of them are off by gamma_2d times the sum of
   the sizes; the sum over k by gamma_d+2 times that of its terms. The best y are what the form loses along
   the edges. */
static double proved_bound(const fl_lp *lp, const fl_lp_form *form, const fl_lp_corner *corner)
{
    const size_t d = lp->d;
    const fl_forms *cuts = lp->cuts;
    const double *gains = corner->edges + d * lp->stride;
    double *sums = lp->row;
    double slack = form->slack, size = form->size;
    memcpy(sums, form->row, (d + 1) * sizeof(double));
    for (size_t j = 0; j < d; j++) {
        const size_t i = corner->tight[j];
        if (i == FL_LP_BOX || !(gains[j] < 0)) continue;
        const double y = -gains[j] * lp->scales[i];
        for (size_t k = 0; k <= d; k++) sums[k] += y * cuts->rows[k * cuts->stride + i];
        slack += y * cuts->slack[i];
        size += y * cuts->size[i];
    }
    if (size == 0) return slack;
    double bound = sums[d], terms = fabs(sums[d]), box = 1;
    for (size_t k = 0; k < d; k++) {
        const double term = sums[k] * (sums[k] < 0 ? lp->low[k] : lp->high[k]);
        bound += term;
        terms += fabs(term);
        box += fmax(-lp->low[k], lp->high[k]);
    }
    /* A product that underflows is off by far less than DBL_MIN, here or times a coordinate. */
    const double rounding = (double)(8 * d + 32) * FL_ROUNDOFF * (size + terms) + DBL_MIN * box;
    return bound + (slack + rounding) * (1 + (double)(d + 8) * DBL_EPSILON);
}

static int is_tight(const fl_lp_corner *corner, size_t d, size_t cut)
{
    for (size_t j = 0; j < d; j++)
        if (corner->tight[j] == cut) return 1;
    return 0;
}

static int is_over(const fl_lp *lp, size_t step)
{
    return lp->d >= LARGE && step % PIVOTS_A_LOOK == 0 && lp->is_over(lp->context);
}

static fl_lp_answer descend(const fl_lp *lp, const fl_lp_form *form, fl_lp_corner *corner, double *bound)
{
    const size_t d = lp->d, stride = lp->stride;
    const fl_forms *cuts = lp->cuts;
    /* What an edge costs that the form does not change along: so of several the steepest is taken. */
    const double free_edge = DBL_EPSILON * form->size;
    for (size_t step = 0; step < MOST_PIVOTS + MOST_PIVOTS_A_DIMENSION * d; step++) {
        if (is_over(lp, step)) return FL_LP_UNDECIDED;
        if (corner->point[d] <= -form->slack && (*bound = proved_bound(lp, form, corner)) <= 0)
            return FL_LP_NOT_ABOVE;
        size_t cut;
        /* One that is tight already is off by rounding only, and the others are off by less. */
        if (!(lp->kernels->lowest(d, cuts, lp->scales, corner->point, &cut) < 0) || is_tight(corner, d, cut))
            return corner->point[d] > form->slack ? FL_LP_ABOVE : FL_LP_UNDECIDED;
        const double scale = lp->scales[cut];
        double z = scale * cuts->rows[d * cuts->stride + cut];
        for (size_t k = 0; k < d; k++) {
            lp->row[k] = scale * cuts->rows[k * cuts->stride + cut];
            z += lp->row[k] * corner->point[k];
        }
        const size_t j = lp->kernels->cheapest(d, stride, lp->row, corner->edges, free_edge, lp->rates);
        if (j >= d) return FL_LP_UNDECIDED;
        lp->kernels->pivot(d + 1, stride, corner->edges, corner->point, lp->rates, z, j);
        corner->tight[j] = (uint32_t)cut;
        corner->n_pivots++;
    }
    return FL_LP_UNDECIDED;
}

fl_lp_answer fl_lp_maximise(const fl_lp *lp, const fl_lp_form *form, fl_lp_corner *corner, double *bound)
{
    if (corner->n_pivots > STALE) fl_lp_start(lp, form, corner);
    const int is_new = corner->n_pivots == 0;
    const fl_lp_answer answer = descend(lp, form, corner, bound);
    if (answer != FL_LP_UNDECIDED || is_new) return answer;
    fl_lp_start(lp, form, corner);
    return descend(lp, form, corner, bound);
}
