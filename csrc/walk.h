/* What the files of the walk share beside cells.h. */
#ifndef FOLDLINE_WALK_H
#define FOLDLINE_WALK_H

#include <float.h>
#include <math.h>
#include <time.h>

#include "cells.h"
#include "keys.h"

/* A layer's forms are changed at most this often before they are computed from nothing. */
enum { FL_MOST_UPDATES = 64 };
/* Cuts on a path: the recursion fits any thread's stack. */
enum { FL_MOST_CUTS = 4096 };

static inline size_t fl_words(size_t n_bits) { return (n_bits + 63) / 64; }
static inline int fl_bit(const uint64_t *words, size_t i) { return words[i / 64] >> i % 64 & 1; }

static inline void fl_set_bit(uint64_t *words, size_t i, uint64_t bit)
{
    words[i / 64] = (words[i / 64] & ~(UINT64_C(1) << i % 64)) | bit << i % 64;
}

/* Adds a layer's bits to a pattern, where they are 0. */
static inline void fl_add_bits(const int64_t *bits, size_t n_units, const uint64_t *active, uint8_t *pattern)
{
    for (size_t j = 0; j < n_units; j++)
        if (bits[j] != FL_NO_BIT && fl_bit(active, j)) pattern[bits[j] / 8] |= (uint8_t)(1 << bits[j] % 8);
}

static inline double fl_seconds_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Without an instruction for it, which no processor of the baseline need have (Warren, Hacker's Delight, 5-1). */
static inline size_t fl_popcount(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (size_t)(x * 0x0101010101010101 >> 56);
}

/* What a coefficient, a coordinate or a value counts for at least in a size, unless it is 0 whatever is rounded.
   A product that underflows is off by 2^-1075 at most: less than FL_ROUNDOFF times this, be it here or after
   the next product, with a weight. So a size is 0 only where the form is, and its roundoff covers what vanishes. */
#define FL_LEAST_SIZE 0x1p-1000
/* Bounds are themselves sums of positive numbers, rounded. */
#define FL_FOR_ROUNDED_BOUNDS 1.01

/* What evaluating a form at a point, and placing a crossing by such values, can be off by. */
static inline double fl_evaluation_error(double size, size_t d) { return (double)(3 * d + 16) * FL_ROUNDOFF * size; }

/* Of a form all of whose coefficients are FL_LEAST_SIZE. */
static inline double fl_least_size(const double *reach, size_t d)
{
    double size = FL_LEAST_SIZE;
    for (size_t k = 0; k < d; k++) size += FL_LEAST_SIZE * reach[k];
    return size;
}

/* Of a form with coefficients form[k * stride]. */
static inline double fl_form_size(const double *form, size_t stride, const double *reach, size_t d)
{
    double size = fabs(form[d * stride]);
    int is_zero = size == 0;
    for (size_t k = 0; k < d; k++) {
        size += fabs(form[k * stride]) * reach[k];
        is_zero &= form[k * stride] == 0;
    }
    return is_zero ? 0 : size + fl_least_size(reach, d);
}

/* tighten.c: the forms of layers 0 to l on the path that is walked, with tight bounds, on the stack. */
fl_status fl_tight_forms(fl_walk *w, size_t l, fl_forms *forms);

/* tighten.c: whether the cell of the path, whose pattern is complete, exists; if so, a point in it. */
fl_status fl_leaf_again(fl_walk *w, double *point, int *exists);

/* Puts a form, turned by a sign, on the path. */
void fl_push_cut(fl_walk *w, const fl_forms *forms, size_t at, double sign, int64_t bit);

/* Moves a point near the cuts with these d numbers to where they meet, if that is near: corner.c. */
void fl_move_to_corner(const fl_walk *w, const uint32_t *cuts, double *point);

/* Where the bits of the next open prefix go, [n_bytes], or NULL; and that it is there: the first `length` count. */
uint8_t *fl_cell_opens_room(fl_cell_opens *opens);
void fl_cell_opens_add(fl_cell_opens *opens, size_t length, int tie);
fl_status fl_cell_rows_add(fl_cell_rows *rows, const uint8_t *bits, const double *point,
                           const fl_cell_facts *facts, const int64_t *cut_bits);
/* A cell's points and its facets, [n_facets][ceil(n_vertices / 64)], and its pattern and forms. */
fl_status fl_exact_rows_add(fl_exact_rows *rows, const uint8_t *bits, const int64_t *forms, size_t n_vertices,
                            const int64_t *vertices, size_t n_facets, const uint64_t *members);

#endif
