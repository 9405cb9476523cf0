/* A polytope is cut into pyramids over one of its vertices, one for each facet that does not hold it, and
   their bases likewise, down to simplices (Cohen and Hickey, Two algorithms for determining volumes of
   convex polyhedra, J. ACM 26, 1979). */
#include "volume.h"

#include <math.h>
#include <string.h>

enum { MOST_DIMENSIONS = 6 };

typedef struct {
    fl_stack *stack;
    size_t d;
    const double *apexes[MOST_DIMENSIONS + 1];
    double sum;                /* of d! times the simplices' volumes */
    int no_memory;
} cutting;

/* |det| of the differences from the first apex, by elimination with row pivots. */
static double simplex(const cutting *c)
{
    double m[MOST_DIMENSIONS][MOST_DIMENSIONS], product = 1;
    for (size_t i = 0; i < c->d; i++)
        for (size_t k = 0; k < c->d; k++) m[i][k] = c->apexes[i + 1][k] - c->apexes[0][k];
    for (size_t i = 0; i < c->d; i++) {
        size_t pivot = i;
        for (size_t r = i + 1; r < c->d; r++)
            if (fabs(m[r][i]) > fabs(m[pivot][i])) pivot = r;
        if (m[pivot][i] == 0) return 0;
        if (pivot != i) {
            double row[MOST_DIMENSIONS];
            memcpy(row, m[i], sizeof row);
            memcpy(m[i], m[pivot], sizeof row);
            memcpy(m[pivot], row, sizeof row);
        }
        product *= fabs(m[i][i]);
        for (size_t r = i + 1; r < c->d; r++) {
            const double factor = m[r][i] / m[i][i];
            for (size_t k = i + 1; k < c->d; k++) m[r][k] -= factor * m[i][k];
        }
    }
    return product;
}

/* A face of `dimension`: the n vertices that lie on all facets in `held`. */
static void cut_face(cutting *c, size_t dimension, uint64_t held, fl_vertex *const *vertices, size_t n)
{
    if (n == 0) return;
    c->apexes[dimension] = vertices[0]->point;
    if (dimension == 0) {
        c->sum += simplex(c);
        return;
    }
    uint64_t facets = 0;
    for (size_t i = 0; i < n; i++) facets |= vertices[i]->facets;
    const fl_stack_mark mark = fl_stack_here(c->stack);
    fl_vertex **base = fl_stack_take(c->stack, n * sizeof *base);
    if (!base) {
        c->no_memory = 1;
        return;
    }
    for (facets &= ~(held | vertices[0]->facets); facets; facets &= facets - 1) {
        const uint64_t facet = facets & -facets;
        size_t n_base = 0;
        for (size_t i = 0; i < n; i++)
            if (vertices[i]->facets & facet) base[n_base++] = vertices[i];
        cut_face(c, dimension - 1, held | facet, base, n_base);
    }
    fl_stack_back_to(c->stack, mark);
}

fl_status fl_simple_volume(fl_stack *stack, size_t d, fl_vertex *const *vertices, size_t n, double *volume)
{
    cutting c = {.stack = stack, .d = d};
    cut_face(&c, d, 0, vertices, n);
    *volume = c.sum;
    for (size_t k = 2; k <= d; k++) *volume /= (double)k;
    return c.no_memory ? FL_NO_MEMORY : FL_OK;
}
