/* Cells in integers. In homogeneous coordinates (u, w), w >= 0, a cell is a cone, cut by forms; nothing is
   rounded, so ties are ordinary. src/foldline/cells.py does the same in integers of any size.

   What is kept, coordinates and forms, has at most FL_KEPT_BITS; what is computed, a form's value at a
   vertex and what a cut makes of these, fits an __int128. Sizes in bits say beforehand whether sums fit;
   where they might not, the answer is FL_UNDECIDED. */
#ifndef FOLDLINE_CONES_H
#define FOLDLINE_CONES_H

#include <stddef.h>
#include <stdint.h>

#include "foldline.h"
#include "patience.h"
#include "stack.h"

typedef __int128 fl_wide;

enum { FL_KEPT_BITS = 62, FL_COMPUTED_BITS = 126 };

/* Nonnegative combinations of the vertices, plus any of the lines; only all of space has lines. A facet has
   a slot, given up where a fold no longer makes one: one word is enough for most cells, whatever the number
   of cuts on the way. */
typedef struct {
    size_t n_vertices, n_lines, n_words;
    int n_bits;                /* of the largest coordinate */
    int64_t *points;           /* [n_lines + n_vertices][d + 1]: lines first; in lowest terms */
    uint64_t *facets;          /* [n_vertices][n_words]: slots of the facets that it lies on */
    uint64_t *slots;           /* [n_words]: those in use */
} fl_cone;

typedef struct {
    size_t d;
    fl_stack path;             /* cones live here, the caller gives them back */
    fl_stack scratch;          /* used within a call */
    fl_patience patience;      /* cells of many vertices take long to cut: FL_UNDECIDED where it is over */
} fl_cones;

/* n forms, coefficient by coefficient: form j is rows[k * n + j], k = 0..d. */
typedef struct {
    size_t n;
    int n_bits;                /* of the largest coefficient */
    int64_t *rows;
} fl_integer_forms;

enum { FL_BELOW = 1, FL_ABOVE = 2 };

/* On the scratch stack: a form's values at a cone's points, and where it has points. */
typedef struct {
    fl_wide *values;           /* [n_lines + n_vertices] */
    int n_bits;                /* of the largest */
    int sides;
} fl_form_values;

/* sides[j]: where form j has points of the cone. */
fl_status fl_cone_sides(fl_cones *cones, const fl_cone *cone, const fl_integer_forms *forms, uint8_t *sides);
fl_status fl_cone_values(fl_cones *cones, const fl_cone *cone, const fl_integer_forms *forms, size_t j,
                         fl_form_values *out);

/* The parts below and above a form that has points of the cone on both sides. A part is made where
   wanted & FL_BELOW, wanted & FL_ABOVE. */
fl_status fl_cone_cut(fl_cones *cones, const fl_cone *cone, const fl_form_values *values, int wanted,
                      const fl_cone **parts);

/* The vertices on each facet, as bit sets on the scratch stack: [n_facets][ceil(n_vertices / 64)]. */
fl_status fl_cone_facets(fl_cones *cones, const fl_cone *cone, size_t *n_facets, const uint64_t **members);

int fl_bit_length(uint64_t x);
/* Of the largest of n numbers. */
int fl_largest_bits(const int64_t *x, size_t n);

#endif
