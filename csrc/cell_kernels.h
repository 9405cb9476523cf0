/* The inner loops of the walk through cells, in doubles; one table for each instruction set. */
#ifndef FOLDLINE_CELL_KERNELS_H
#define FOLDLINE_CELL_KERNELS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

/* u, of doubles. */
#define FL_ROUNDOFF (DBL_EPSILON / 2)

/* Forms come in multiples of this many. */
enum { FL_CELL_LANES = 8 };
static inline size_t fl_padded(size_t n) { return fl_round_up(n, FL_CELL_LANES); }

/* n forms, one a column: row k < d has the coefficients of u_k, row d the constants. Columns up to the
   stride, a multiple of FL_CELL_LANES, are filled with the constant -1.

   For a true form f and the computed F, at a computed point v:
       |f(u) - F(v)| <= slack + rho * size   where |u_k - v_k| <= rho * reach_k.
   `size` bounds sum_k |m_k| reach_k + |c|; `slack` has the rounding of F, of evaluating F, and of where a
   hull is cut. */
typedef struct {
    size_t n, stride;
    double *rows;              /* [d + 1][stride] */
    double *slack, *size;      /* [stride] */
} fl_forms;

/* What is proved of the sides of some forms on a cell: bit i is for form i. */
typedef struct {
    uint64_t *inactive;        /* z <= 0 on the whole cell */
    uint64_t *active;          /* z > 0 inside the whole cell */
    uint64_t *crossing;        /* neither, and points beyond the slack lie on both sides */
} fl_sides;

/* A vertex of a cell in 2 < d <= 6 dimensions: the set of facets it lies on, and where it is. */
typedef struct {
    uint64_t facets;
    double value;              /* of the form that divides */
    double point[];            /* [d], and a 0 where that is 3 */
} fl_vertex;

static inline size_t fl_vertex_size(size_t d)
{
    return sizeof(fl_vertex) + (d == 3 ? 4 : d) * sizeof(double);
}

/* A form between vertices: those below it, [0], and above, [1]. Sets of facets are in two halves. */
typedef struct {
    size_t n[2];
    fl_vertex **vertices[2];   /* [n + n_edges]: at first without those on the edges across */
    uint32_t *low[2], *high[2];/* [n + FL_SET_LANES]: facets; empty sets behind the last */
    uint64_t all_facets[2];    /* those that some vertex lies on */
    size_t n_edges;            /* from below to above */
    uint32_t *ends[2];         /* [n_edges + 2]: places in `vertices` */
} fl_division;

/* Sets are compared up to this many at a time. */
enum { FL_SET_LANES = 16 };

typedef struct {
    const char *isa;

    /* Sides of the forms whose bit is set in `todo`, on the hull of n_points points [n_points][d]. Bits of
       other forms come back 0. margins[FL_CELL_LANES] are lowered to the nearest to zero that an extreme
       value came. */
    void (*sides)(size_t d, const fl_forms *forms, const double *points, size_t n_points, double rho,
                  const uint64_t *todo, fl_sides *sides, double *margins);

    /* The same on the hull of n vertices, 2 < d <= 6. */
    void (*sides_of_vertices)(size_t d, const fl_forms *forms, fl_vertex *const *vertices, size_t n,
                              double rho, const uint64_t *todo, fl_sides *sides, double *margins);

    /* Whether all forms are above their slack at a point. */
    int (*all_positive)(size_t d, const fl_forms *forms, const double *point);

    /* rows[k][j] = start[k][j] + sum over i of factors[i][k] * columns[units[i]][j], for k <= d and
       j < stride. */
    void (*add)(size_t d, size_t stride, const double *start, size_t n_units, const uint32_t *units,
                const double *factors, const double *columns, double *rows);

    /* The mean of n vertices. */
    void (*mean)(size_t d, fl_vertex *const *vertices, size_t n, double *mean);

    /* Which vertices are on which side of form `at`. High halves are only written where `wide`. Returns 0
       where a vertex is within the margin. */
    int (*divide)(size_t d, const fl_forms *forms, size_t at, double margin, fl_vertex *const *vertices,
                  size_t n, int wide, fl_division *division);

    /* The edges across: pairs whose facets are the same but for one each. Returns 0 where a vertex has
       more than d. */
    int (*edges)(size_t d, int wide, fl_division *division);

    /* Adds vertices on the edges across to both sides, to each where the form is `level` beyond 0; they lie
       on `facet` as well. memory[2] has room for them, n_edges each. Returns 0 where the ends of an edge
       have the same facets. */
    int (*cross)(size_t d, double level, uint64_t facet, char *const memory[2], fl_division *division);

    /* The form for which (value at the point + slack) * scale is least; returns that. n > 0. */
    double (*lowest)(size_t d, const fl_forms *forms, const double *scales, const double *point,
                     size_t *which);

    /* rates[j] = sum over i < n of row[i] * edges[i][j]. Returns the j < stride for which
       (least - edges[n][j]) / rates[j] is least among rates that are positive, beyond what rounding
       makes of zero; stride: there are none. */
    size_t (*cheapest)(size_t n, size_t stride, const double *row, const double *edges, double least,
                       double *rates);

    /* Moves along edge k until z, which changes by rates[j] along edge j, is 0; the other edges keep it
       there: edges[i][k] /= rates[k], then point[i] -= z * edges[i][k] and, for j != k,
       edges[i][j] -= rates[j] * edges[i][k]. */
    void (*pivot)(size_t n, size_t stride, double *edges, double *point, const double *rates, double z,
                  size_t k);
} fl_cell_kernels;

/* The kernels for a name of fl_isa_available(), or the best for NULL; NULL when there are none. */
const fl_cell_kernels *fl_cell_kernels_for(const char *isa);

#endif
