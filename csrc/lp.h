/* The largest value of a form on a cell, by the dual simplex method, with a bound that holds in spite of
   rounding.

   The cell is where some half-spaces are positive, inside the box low_k <= u_k <= high_k. The method walks
   along corners where d of them are tight: the form is largest there among points that these d allow, but
   other half-spaces may be violated. Each step brings in a violated one, so the value falls until the corner
   is a vertex of the cell, or until what it proves suffices. It begins at a corner of the box, or where the
   same form was largest with fewer half-spaces. */
#ifndef FOLDLINE_LP_H
#define FOLDLINE_LP_H

#include "cell_kernels.h"

typedef struct {
    const fl_cell_kernels *kernels;
    size_t d, stride;          /* stride: d, padded to FL_CELL_LANES */
    double *low, *high;        /* [d] */
    const fl_forms *cuts;
    double *scales;            /* [cuts->n]: half-spaces times these are alike in size; 0: disregarded */
    double *row, *rates;       /* [d + 1], [stride]: room to work in */
    int (*is_over)(void *);    /* asked with `context` every now and then where d is large: to give up */
    void *context;
} fl_lp;

/* A form in one piece, slack and size as in fl_forms. */
typedef struct {
    const double *row;         /* [d + 1] */
    double slack, size;
} fl_lp_form;

typedef struct {
    double *point;             /* [d + 1]: where it is, and the form's value there */
    double *edges;             /* [d + 1][stride]: change of those along edge j, which leaves tight[j]: its
                                  scaled value rises at the rate 1 */
    uint32_t *tight;           /* [stride]: the half-spaces that are tight, or FL_LP_BOX */
    size_t n_pivots;           /* from the corner of the box */
} fl_lp_corner;

#define FL_LP_BOX UINT32_MAX

typedef enum {
    FL_LP_NOT_ABOVE,           /* proved: the true form is <= 0 on the true cell */
    FL_LP_ABOVE,               /* the corner is a vertex of the computed cell, and the form is above 0 */
    FL_LP_UNDECIDED
} fl_lp_answer;

/* Bytes of the arrays of a corner. */
size_t fl_lp_corner_size(size_t d);
/* A corner with its arrays in that much memory. */
fl_lp_corner fl_lp_corner_in(void *memory, size_t d);
/* The corner of the box where a form is largest. */
void fl_lp_start(const fl_lp *lp, const fl_lp_form *form, fl_lp_corner *corner);
void fl_lp_copy(const fl_lp_corner *from, size_t d, fl_lp_corner *to);
/* From a corner that was made for the same form, and half-spaces that still hold. `bound` is what was
   proved: the true form is at most that. */
fl_lp_answer fl_lp_maximise(const fl_lp *lp, const fl_lp_form *form, fl_lp_corner *corner, double *bound);

#endif
