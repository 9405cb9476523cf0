/* Cells: the activation regions of a network on a bounded domain, found depth first and proved.

   cells.c packs a network and bounds what its forms are off by; walk.c is the walk: layers, forms, prefixes,
   limits. A geometry is a way to keep one cell; it tells on which sides of a fold a cell has points, and cuts
   it. cells_line.c keeps intervals, cells_plane.c polygons, cells_vertices.c vertices, cells_lp.c
   half-spaces and a point inside.

   Geometry is not trusted. A cell stands for a superset of the true one, so that a sign found on it is
   proved; that a leaf exists is proved by the signs, at one point, of all that cut on its path. What is
   proved neither way becomes an open prefix, for exact arithmetic. */
#ifndef FOLDLINE_CELLS_H
#define FOLDLINE_CELLS_H

#include "cell_kernels.h"
#include "foldline.h"
#include "stack.h"

enum { FL_NO_BIT = -1 };

typedef struct {
    size_t n_in, n_units, stride;
    const double *columns;     /* [n_in][stride]: W, column by column */
    const double *start;       /* forms, rows [d + 1][stride], of no unit below: the bias; padding -1 */
    const double *slopes;      /* [n_units]; 1: passes through, no bit */
    const double *slack, *size;/* [stride]: of the forms, see fl_forms */
    const double *error;       /* [stride]: the part of slack that is not from evaluating */
    const uint64_t *folding;   /* the units with a bit, */
    const uint64_t *leading;   /* and those of them that are looked at: not the twins of others */
    const int64_t *twins;      /* [n_units]: see fl_cells_new; null where there are none */
    const uint64_t *leaking;   /* the units whose slope is not 0 */
    const int64_t *bits;       /* [n_units]: which, or FL_NO_BIT */
    size_t first_bit, n_bits;
} fl_cell_layer;

struct fl_cells {
    const fl_cell_kernels *kernels;
    size_t d, n_hidden, n_neurons, n_bytes, widest;
    fl_cell_layer *layers;     /* [n_hidden] */
    size_t n_inputs;
    const double *inputs;      /* [n_inputs][d + 1]: forms of the network's inputs */
    const double *input_errors;/* [n_inputs] */
    const double *reach;       /* [d]: |u_k| <= reach_k in the domain */
    fl_forms half_spaces;      /* of the domain, positive inside */
    int certify;
    size_t n_vertices;
    const double *vertices;    /* [n_vertices][d] */
    const uint32_t *facets;    /* [n_vertices][d] */
    void *memory;
};

typedef struct fl_walk fl_walk;
typedef struct fl_cell fl_cell;   /* a geometry's own, on the walk's stack */

typedef struct {
    size_t n_vertices, n_facets;
    const double *vertices;    /* [n_vertices][d]; none where the geometry has none */
    const uint32_t *facets;    /* [n_facets]: numbers of cuts */
    double volume;             /* NaN where the geometry has no vertices */
} fl_cell_facts;

/* All return FL_UNDECIDED where doubles do not suffice. */
typedef struct {
    const char *name;
    /* The domain as a cell. */
    fl_status (*root)(fl_walk *walk, const fl_cell **cell);
    /* Sides of the forms whose bit is set in `todo`, as far as doubles suffice; the masks' other bits come
       back 0. The walk's cuts are those of the cell. While a part is asked, forms at the address of those it
       was split by are the same. */
    fl_status (*sides)(fl_walk *walk, const fl_cell *cell, const fl_forms *forms, const uint64_t *todo,
                       fl_sides *sides);
    /* The parts of a cell below and above a form that crosses it; a part whose address is null is not
       wanted. The form is the walk's next cut: facets made by it have the number walk->cuts.n. */
    fl_status (*split)(fl_walk *walk, const fl_cell *cell, const fl_forms *forms, size_t at,
                       const fl_cell **below, const fl_cell **above);
    /* A point, [d], as far inside as is easily had. */
    void (*point)(const fl_walk *walk, const fl_cell *cell, double *point);
    /* Points, [d], in the parts below and above a form that crosses, had with less work than by splitting;
       null where there is no such way. */
    void (*points_of_parts)(const fl_walk *walk, const fl_cell *cell, const fl_forms *forms, size_t at,
                            double *below, double *above);
    /* The cell in numbers; they last until the walk goes on. */
    fl_status (*describe)(fl_walk *walk, const fl_cell *cell, fl_cell_facts *facts);
} fl_geometry;

/* Cutting rounds: what a cut may put a new vertex off by, in units of reach_k. */
#define FL_CUT_ERROR(d) (16 * (double)(d) * FL_ROUNDOFF)

extern const fl_geometry fl_line_geometry, fl_plane_geometry, fl_vertices_geometry, fl_lp_geometry;

/* A layer's forms on the path that is walked, and what they were computed from. */
typedef struct {
    fl_forms forms;
    uint64_t *active;          /* of this layer's units: bits, and 1 for those that pass through */
    uint64_t *is_zero;         /* those whose form is 0 on the cell, of a layer with twins */
    uint64_t *active_above;    /* the layer above's `active` that `forms` is of */
    uint64_t version, version_above;
    size_t n_updates;          /* since `forms` was computed from nothing */
} fl_walk_layer;

struct fl_walk {
    const fl_cells *cells;
    const fl_geometry *geometry;
    fl_walk_layer *layers;
    /* Half-spaces whose intersection is the cell: the domain's, and the forms that cut, turned so that the
       cell is where they are positive. */
    fl_forms cuts;
    int64_t *cut_bits;         /* [n]: the bit that made it; -1 - i for half-space i of the domain */
    double margins[FL_CELL_LANES];
    fl_stack stack;
    const uint8_t *prefix;     /* the walk stays below these bits */
    size_t n_prefix;
    const fl_cell_limits *limits;
    double stop_at, end_at;    /* seconds: of the walk, and of whatever is under way */
    size_t n_nodes;
    fl_cell_rows *rows;        /* null: leaves are only counted */
    fl_cell_opens *opens;
    fl_cell_stats *stats;
    int stopped, is_over;      /* after a step; and without the end of one, which is then undecided */
};

#endif
