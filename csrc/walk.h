/* What the files of the walk share beside cells.h. */
#ifndef FOLDLINE_WALK_H
#define FOLDLINE_WALK_H

#include "cells.h"

/* A layer's forms are changed at most this often before they are computed from nothing. */
enum { FL_MOST_UPDATES = 64 };

static inline size_t fl_words(size_t n_bits) { return (n_bits + 63) / 64; }
static inline int fl_bit(const uint64_t *words, size_t i) { return words[i / 64] >> i % 64 & 1; }

/* Without an instruction for it, which no processor of the baseline need have (Warren, Hacker's Delight, 5-1). */
static inline size_t fl_popcount(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (size_t)(x * 0x0101010101010101 >> 56);
}

/* Puts a form, turned by a sign, on the path. */
void fl_push_cut(fl_walk *w, const fl_forms *forms, size_t at, double sign, int64_t bit);

fl_status fl_cell_opens_add(fl_cell_opens *opens, const uint8_t *bits, size_t length, int tie);
fl_status fl_cell_rows_add(fl_cell_rows *rows, const uint8_t *bits, const double *point, size_t n_vertices,
                           const double *vertices, size_t n_facets, const uint32_t *facets,
                           const int64_t *cut_bits);

#endif
